import { StagecraftError } from '../util/errors.ts'
import { quote } from '../util/format.ts'
import { didYouMean } from '../util/nearest.ts'
import { GLOBAL_ARGS, parseArguments, seeHelp, splitAtWord, usage } from './arguments.ts'
import type { Command } from './command.ts'

/** A command in the table, with its summary and how to load it; or a group, with its own commands. */
type Entry =
  | { readonly summary: string; readonly load: () => Promise<{ readonly default: Command }> }
  | { readonly summary: string; readonly commands: Table }

export type Table = Readonly<Record<string, Entry>>

/** What a command line asks for: a command, with its other arguments; or the list of commands. `asked`: `--help` is given. */
export type Found =
  | { kind: 'command'; name: string; load: () => Promise<{ readonly default: Command }>; argv: readonly string[] }
  | { kind: 'list'; name: string; description: string; table: Table; asked: boolean }

export const ABOUT = 'Deploys a Docker Compose application to a server you own, in six recorded phases.'

/**
 * @param topics of the help, which are suggested too
 * @throws StagecraftError `usage` for an unknown command, and for anything but global flags before the command
 */
export function findCommand(argv: readonly string[], commands: Table, topics: readonly string[] = []): Found {
  let place = { name: '', description: ABOUT, table: commands }
  let rest = argv
  for (;;) {
    const { word, before, after } = splitAtWord(rest, place.name)
    if (word === undefined) return { kind: 'list', ...place, asked: asksForHelp(place.name, before) }
    rest = [...before, ...after]
    if (word === 'help') {
      // `help deploy` is `deploy --help`, and `help` alone is `--help`.
      rest = ['--help', ...rest]
      continue
    }
    const name = place.name === '' ? word : `${place.name} ${word}`
    const entry = Object.hasOwn(place.table, word) ? place.table[word] : undefined
    if (entry === undefined) throw unknownCommand(word, place.name, Object.keys(place.table), topics)
    if ('load' in entry) return { kind: 'command', name, load: entry.load, argv: rest }
    place = { name, description: entry.summary, table: entry.commands }
  }
}

/** @throws StagecraftError `usage` for flags without a command, unless one of them is `--help` */
function asksForHelp(name: string, flags: readonly string[]): boolean {
  if (flags.length === 0) return false
  if (parseArguments(name, GLOBAL_ARGS, flags, {})['help'] === true) return true
  throw usage(name, 'the command is missing', { hint: `All commands: ${seeHelp(name)}` })
}

function unknownCommand(
  word: string,
  group: string,
  names: readonly string[],
  topics: readonly string[],
): StagecraftError {
  const within = (name: string) => (group === '' ? name : `${group} ${name}`)
  const typed = (name: string) => (topics.includes(name) ? `help ${name}` : within(name))
  const hint = `${didYouMean(word, [...names, ...topics], typed)}All commands: ${seeHelp(group)}`
  return new StagecraftError('usage', `Cannot run ${quote(within(word))}: there is no such command`, { hint })
}
