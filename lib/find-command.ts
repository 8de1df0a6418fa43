import { GLOBAL_ARGS, parseArguments, splitAtWord, usage } from './arguments.ts'
import type { Command } from './cli.ts'
import { StagecraftError } from './errors.ts'
import { quote } from './format.ts'
import { nearest } from './nearest.ts'

/** A command in the table: what it is for, and how to load it. A group has commands of its own. */
export type Entry =
  | { readonly summary: string; readonly load: () => Promise<{ readonly default: Command }> }
  | { readonly summary: string; readonly commands: Table }

export type Table = Readonly<Record<string, Entry>>

/** What a command line asks for: a command, with what follows its name; or the list of the commands there are. */
export type Found =
  | { kind: 'command'; name: string; load: () => Promise<{ readonly default: Command }>; argv: readonly string[] }
  | { kind: 'list'; name: string; description: string; table: Table; asked: boolean }

const ABOUT = 'Puts a Docker Compose application on a server you own, in six recorded phases.'

/** @throws StagecraftError `usage` for an unknown command, and for anything but global flags before a command. */
export function findCommand(argv: readonly string[], commands: Table): Found {
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
    if (entry === undefined) throw unknownCommand(word, place.name, place.table)
    if ('load' in entry) return { kind: 'command', name, load: entry.load, argv: rest }
    place = { name, description: entry.summary, table: entry.commands }
  }
}

/** @throws StagecraftError `usage` for flags without a command, unless one of them is `--help`. */
function asksForHelp(name: string, flags: readonly string[]): boolean {
  if (flags.length === 0) return false
  if (parseArguments(name, GLOBAL_ARGS, flags, {})['help'] === true) return true
  throw usage(name, 'the command is missing', { hint: `All commands: ${seeHelp(name)}` })
}

function unknownCommand(word: string, group: string, table: Table): StagecraftError {
  const within = (name: string) => (group === '' ? name : `${group} ${name}`)
  const meant = nearest(word, Object.keys(table))
  const suggestion = meant === undefined ? '' : `Did you mean ${quote(within(meant))}? `
  const hint = `${suggestion}All commands: ${seeHelp(group)}`
  return new StagecraftError('usage', `Cannot run ${quote(within(word))}: there is no such command`, { hint })
}

function seeHelp(name: string): string {
  return name === '' ? 'stagecraft --help' : `stagecraft ${name} --help`
}
