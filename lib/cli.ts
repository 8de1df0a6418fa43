import type { Reporter } from './report.ts'

/** One flag or positional argument of a command. `env` names the variable that stands in for a flag left out. */
export type ArgumentDefinition =
  | { type: 'boolean'; description: string; alias?: string }
  | { type: 'string'; description: string; valueHint: string; alias?: string; env?: string; required?: boolean }
  | { type: 'enum'; description: string; options: readonly string[]; alias?: string; env?: string; required?: boolean }
  | { type: 'positional'; description: string; required: boolean }

export type ArgumentDefinitions = Readonly<Record<string, ArgumentDefinition>>

/** What a definition parses to: a boolean is never absent, the rest only if it is not required. Keys are as defined. */
export type Arguments<D extends ArgumentDefinitions> = { readonly [K in keyof D]: Argument<D[K]> }

type Argument<D extends ArgumentDefinition> = D extends { type: 'boolean' }
  ? boolean
  : D extends { required: true }
    ? Value<D>
    : Value<D> | undefined

type Value<D extends ArgumentDefinition> = D extends { options: readonly (infer O)[] } ? O : string

/** What every command is given beside its own arguments: the answers to the global flags, and the outside world. */
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
  /** Is done when the command has ended, however it did. */
  readonly onEnd: (act: () => Promise<void>) => void
  /** A person can be asked: stdin and stderr are terminals, and it is not `--json`. */
  readonly interactive: boolean
}

export interface CommandDefinition<D extends ArgumentDefinitions> {
  /** As it is typed: `deploy`, `releases list`. */
  readonly name: string
  readonly description: string
  readonly args: D
  /** What to type, and what it does. */
  readonly examples: readonly (readonly [command: string, meaning: string])[]
  /** Exit codes worth knowing, beside 0, 1 and 2. */
  readonly exits?: readonly (readonly [code: number, meaning: string])[]
  /**
   * The command only reads: a reader that closes our stdout ends it (141), and its output is one write at the end.
   * Anything else goes on without that output.
   */
  readonly reads?: boolean
  /** @returns the exit code, 0 if it says nothing. */
  run(args: Arguments<D>, context: Context): Promise<number | undefined>
}

/** A command with its arguments' types folded away, as the dispatcher handles it. */
export type Command = CommandDefinition<ArgumentDefinitions>

/** Defines a command. A module in lib/commands/ has one as its default export; the table is lib/commands/table.ts. */
export function command<const D extends ArgumentDefinitions>(definition: CommandDefinition<D>): Command {
  // Sound: the dispatcher parses with this very definition's `args` before it calls `run`.
  return definition as unknown as Command
}
