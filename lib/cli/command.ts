import type { Reporter } from '../output/report.ts'

/** One flag or positional argument of a command. `env` names the variable that is used if the flag is left out. */
export type ArgumentDefinition =
  | { type: 'boolean'; description: string; alias?: string }
  | { type: 'string'; description: string; valueHint: string; alias?: string; env?: string; required?: boolean }
  | { type: 'enum'; description: string; options: readonly string[]; alias?: string; env?: string; required?: boolean }
  | { type: 'positional'; description: string; required: boolean; options?: readonly string[] }
  /** the last of the positional arguments: any number of words */
  | { type: 'words'; description: string; valueHint: string }

export type ArgumentDefinitions = Readonly<Record<string, ArgumentDefinition>>

/** The parsed values, by the keys of the definitions. A boolean is never undefined, nor is a required value. */
export type Arguments<D extends ArgumentDefinitions> = { readonly [K in keyof D]: Argument<D[K]> }

type Argument<D extends ArgumentDefinition> = D extends { type: 'words' }
  ? readonly string[]
  : D extends { type: 'boolean' }
    ? boolean
    : D extends { required: true }
      ? Value<D>
      : Value<D> | undefined

type Value<D extends ArgumentDefinition> = D extends { options: readonly (infer O)[] } ? O : string

/** `--env`: the environment that a command acts on, or looks at. */
export const environmentArgument = {
  type: 'string',
  alias: 'e',
  valueHint: 'name',
  description: 'environment (optional if there is only one)',
  env: 'STAGECRAFT_ENV',
} as const

/** What every command gets besides its own arguments: the values of the global flags, and the outside world. */
export interface Context {
  /** The project folder, absolute. */
  readonly directory: string
  /** `--state` or `STAGECRAFT_STATE_FILE`, absolute. */
  readonly stateOverride: string | undefined
  readonly report: Reporter
  /** `--verbose` */
  readonly verbose: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** Runs `act` when the command has ended, whether it succeeded or failed. */
  readonly onEnd: (act: () => Promise<void>) => void
  /** What follows `--`, for commands that have `rest`. */
  readonly rest: readonly string[]
  /** The reader of stdout has gone, or it is full: a command that goes on and on ends. */
  readonly outputFailed: () => boolean
  /** Whether a file descriptor is a terminal. */
  readonly isTerminal: (fd: 0 | 1 | 2) => boolean
  /** A person can answer questions: stdin and stderr are terminals, and `--json` is not given. */
  readonly interactive: boolean
}

interface CommandDefinition<D extends ArgumentDefinitions> {
  /** as it is typed: `deploy`, `releases list` */
  readonly name: string
  readonly description: string
  readonly args: D
  /** what may follow `--`, for the help: the words are the command's `rest` */
  readonly rest?: string
  readonly examples: readonly (readonly [command: string, meaning: string])[]
  /** exit codes worth knowing, besides those of every command (lib/cli/usage.ts) */
  readonly exits?: readonly (readonly [code: number, meaning: string])[]
  /**
   * The command only reads. Its output is one write at the end, and it exits with 141 if the reader of stdout has gone.
   * Any other command goes on without a reader.
   */
  readonly reads?: boolean
  /** a flag with which a command that only reads prints as it goes */
  readonly streams?: string
  /** @returns the exit code; undefined: 0 */
  run(args: Arguments<D>, context: Context): Promise<number | undefined>
}

/** A command without the types of its arguments, as the dispatcher handles it. */
export type Command = CommandDefinition<ArgumentDefinitions>

/** Defines a command: the default export of a module in lib/cli/commands/, which table.ts there lists. */
export function command<const D extends ArgumentDefinitions>(definition: CommandDefinition<D>): Command {
  // Sound: before the dispatcher calls `run`, it parses the arguments by the `args` of the same definition.
  return definition as unknown as Command
}
