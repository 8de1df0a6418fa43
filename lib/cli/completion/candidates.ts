import { resolve } from 'node:path'
import { plainLine } from '../../util/format.ts'
import { GLOBAL_ARGS } from '../arguments.ts'
import type { ArgumentDefinition, ArgumentDefinitions } from '../command.ts'
import type { Table } from '../find-command.ts'
import type { Candidate, Names, Place } from './names.ts'

/** Words that may come next; `files`: the name of a file. */
export type Candidates = readonly Candidate[] | 'files'

/** What is read for the value of a flag or argument, by its name. `--confirm` is not here: it is to be typed. */
const NAMES_BY_KEY: Readonly<Record<string, readonly Names[]>> = {
  env: ['environments'],
  service: ['services'],
  services: ['services'],
  counts: ['services'],
  host: ['hosts'],
  database: ['databases'],
  'to-version': ['versions'],
  'to-release': ['releases'],
  release: ['releases', 'versions'],
  id: ['releases', 'versions'],
  before: ['releases', 'versions'],
  after: ['releases', 'versions'],
}
/** Names of releases that are always there. */
const LATEST: readonly Candidate[] = [['latest'], ['current']]

/** The words before the one that is completed, if they are understood. */
interface Typed {
  /** where commands are looked up; undefined: a command has been found */
  table: Table | undefined
  definitions: ArgumentDefinitions
  readonly values: Map<string, string>
  /** the flag whose value comes next */
  awaited: string | undefined
  /** arguments of the command so far */
  count: number
  /** after `help` */
  help: boolean
  /** after `--` */
  rest: boolean
}

/**
 * @param words what follows `stagecraft` on a command line; the last one is being typed
 * @returns what that one may become
 */
export async function candidatesFor(
  words: readonly string[],
  commands: Table,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Candidates> {
  const current = words.at(-1) ?? ''
  const typed = await understand(words.slice(0, -1), commands)
  if (typed === undefined) return []
  if (typed.rest) return 'files'
  const [, flag = '', begun] = /^--([^=]+)=(.*)$/s.exec(current) ?? []
  const awaited = begun === undefined ? typed.awaited : flag
  if (awaited !== undefined) {
    const found = await valuesOf(awaited, begun ?? current, typed, env)
    if (begun === undefined || found === 'files') return asWords(found)
    return startingWith(
      current,
      found.map(([value, meaning]): Candidate => [`--${flag}=${value}`, meaning]),
    )
  }
  if (current.startsWith('-')) return startingWith(current, flagsOf(typed))
  if (typed.table !== undefined) return startingWith(current, await namesIn(typed))
  const next = Object.entries(typed.definitions).filter(([, { type }]) => type === 'positional' || type === 'words')
  const [key] = next[typed.count] ?? next.findLast(([, { type }]) => type === 'words') ?? []
  if (key !== undefined) return asWords(await valuesOf(key, current, typed, env))
  return current === '' ? flagsOf(typed) : []
}

/** @returns undefined if a word is no command */
async function understand(words: readonly string[], commands: Table): Promise<Typed | undefined> {
  const typed: Typed = {
    ...{ table: commands, definitions: GLOBAL_ARGS, values: new Map() },
    ...{ awaited: undefined, count: 0, help: false, rest: false },
  }
  for (const word of words) {
    if (typed.rest) continue
    if (typed.awaited !== undefined) {
      typed.values.set(typed.awaited, word)
      typed.awaited = undefined
    } else if (word === '--') typed.rest = true
    else if (word.startsWith('-')) noteFlag(word, typed)
    else if (typed.table === undefined) typed.count++
    else if (word === 'help') typed.help = true
    else if (!(await enter(word, typed, typed.table))) return undefined
  }
  return typed
}

function noteFlag(word: string, typed: Typed): void {
  const [, name = '', value] = /^--?([^=]+)(?:=(.*))?$/s.exec(word) ?? []
  const [key, definition] =
    Object.entries(typed.definitions).find(([long, one]) => long === name || aliasOf(one) === name) ?? []
  if (key === undefined || definition === undefined) return
  typed.values.set(key, value ?? '')
  if (definition.type !== 'boolean' && value === undefined) typed.awaited = key
}

async function enter(word: string, typed: Typed, table: Table): Promise<boolean> {
  const entry = Object.hasOwn(table, word) ? table[word] : undefined
  if (entry === undefined) return false
  typed.table = 'load' in entry ? undefined : entry.commands
  if ('load' in entry) typed.definitions = { ...(await entry.load()).default.args, ...GLOBAL_ARGS }
  if ('load' in entry && typed.help) typed.definitions = {}
  return true
}

async function namesIn({ table = {}, help }: Typed): Promise<Candidate[]> {
  const names = Object.entries(table).map(([name, { summary }]): Candidate => [name, summary])
  if (!help) return names
  const { TOPICS } = await import('../topics.ts')
  return [...names, ...Object.keys(TOPICS).map((topic): Candidate => [topic, 'a topic'])]
}

function flagsOf({ definitions, values, table }: Typed): Candidate[] {
  const flags = Object.entries(definitions).flatMap(([key, definition]): Candidate[] => {
    if (definition.type === 'positional' || definition.type === 'words' || values.has(key)) return []
    return [[`--${key}`, definition.description]]
  })
  return table === undefined ? flags : [...flags, ['--version', 'the version of Stagecraft']]
}

async function valuesOf(
  key: string,
  current: string,
  { definitions, values }: Typed,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Candidates> {
  const definition = Object.hasOwn(definitions, key) ? definitions[key] : undefined
  if (definition === undefined) return []
  if (key === 'directory' || key === 'state') return 'files'
  if ('options' in definition)
    return startingWith(
      current,
      (definition.options ?? []).map((option) => [option]),
    )
  const sources = Object.hasOwn(NAMES_BY_KEY, key) ? (NAMES_BY_KEY[key] ?? []) : []
  if (sources.length === 0) return []
  const { namesOf } = await import('./names.ts')
  const place: Place = {
    directory: resolve(values.get('directory') || env['STAGECRAFT_DIRECTORY'] || '.'),
    stateOverride: values.get('state') || env['STAGECRAFT_STATE_FILE'] || undefined,
    environment: values.get('env') || env['STAGECRAFT_ENV'] || undefined,
  }
  const found = sources.flatMap((what) => namesOf(what, place))
  const all = sources.includes('releases') && sources.includes('versions') ? [...found, ...LATEST] : found
  // `--services a,b`: the last of them is being typed.
  const before =
    definition.type === 'string' && key === 'services' ? current.slice(0, current.lastIndexOf(',') + 1) : ''
  return startingWith(
    current,
    all.map(([value, meaning]) => [before + value, meaning]),
  )
}

/** A value that begins with a dash would be a flag of its own. */
function asWords(found: Candidates): Candidates {
  return found === 'files' ? found : found.filter(([value]) => !value.startsWith('-'))
}

/** Values that no command line can have, such as those with line breaks, are left out. */
function startingWith(current: string, all: readonly Candidate[]): Candidate[] {
  const fitting = all.filter(([value]) => value.startsWith(current) && value !== '' && plainLine(value) === value)
  return [...new Map(fitting.map((one) => [one[0], one])).values()]
}

function aliasOf(definition: ArgumentDefinition): string | undefined {
  return 'alias' in definition ? definition.alias : undefined
}
