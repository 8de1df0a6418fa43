import { parseArgs } from 'node:util'
import { StagecraftError } from '../util/errors.ts'
import { quote } from '../util/format.ts'
import { didYouMean } from '../util/nearest.ts'
import type { ArgumentDefinition, ArgumentDefinitions } from './command.ts'

/** The flags of every command. */
export const GLOBAL_ARGS = {
  directory: {
    type: 'string',
    alias: 'C',
    valueHint: 'folder',
    description: 'the project folder (default: the current one)',
    env: 'STAGECRAFT_DIRECTORY',
  },
  state: {
    type: 'string',
    valueHint: 'file',
    description: 'another file for the history of releases',
    env: 'STAGECRAFT_STATE_FILE',
  },
  json: { type: 'boolean', description: 'print one JSON object per line' },
  quiet: { type: 'boolean', alias: 'q', description: 'no progress: results, warnings and errors only' },
  verbose: { type: 'boolean', description: 'also show the output of the programs that it runs' },
  help: { type: 'boolean', alias: 'h', description: 'this help' },
} as const satisfies ArgumentDefinitions

/** A word of the command line, a flag or an argument, with its position. */
type Token = NonNullable<ReturnType<typeof tokenize>>[number]

export type Values = Readonly<Record<string, Value | undefined>>
type Value = string | boolean | readonly string[]

type Environment = Readonly<Record<string, string | undefined>>

/** The first argument that is not a flag, and the arguments before and after it. */
interface Split {
  readonly word: string | undefined
  readonly before: readonly string[]
  readonly after: readonly string[]
}

const BEFORE = "A command's own flags go after its name. "

/**
 * Finds the command's name. Only global flags may come before it.
 * @throws StagecraftError `usage` for any other flag before it
 */
export function splitAtWord(argv: readonly string[], name: string): Split {
  const tokens = tokenize(argv, GLOBAL_ARGS)
  const end = tokens.findIndex((token) => token.kind !== 'option')
  const word = tokens[end]
  for (const token of end < 0 ? tokens : tokens.slice(0, end)) checkFlag(token, GLOBAL_ARGS, name, BEFORE)
  if (word === undefined) return { word: undefined, before: argv, after: [] }
  if (word.kind !== 'positional') throw usage(name, 'a command was expected, not "--"')
  return { word: word.value, before: argv.slice(0, word.index), after: argv.slice(word.index + 1) }
}

/**
 * Parses the arguments of a command strictly: one that is unknown, missing, given twice or too many is an error. A flag that is
 * left out takes the value of its variable, unless that is empty. With `--help`, missing arguments are no error.
 * @throws StagecraftError `usage`
 */
export function parseArguments(
  name: string,
  definitions: ArgumentDefinitions,
  argv: readonly string[],
  env: Environment,
): Values {
  const tokens = tokenize(argv, definitions)
  const values: Record<string, Value | undefined> = {}
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const { key, value } = checkFlag(token, definitions, name)
    if (typeof value === 'string' && values[key] !== undefined) throw usage(name, `"--${key}" is given twice`)
    values[key] = value
  }
  const words = tokens.flatMap((token) => (token.kind === 'positional' ? [token.value] : []))
  assignWords(name, definitions, words, values)
  for (const [key, definition] of Object.entries(definitions)) {
    if (definition.type === 'boolean') values[key] ??= false
    else values[key] ??= fromVariable(name, definition, env)
    if (values[key] === undefined && isRequired(definition) && values['help'] !== true) {
      throw usage(name, `${shown(key, definition)} is missing`)
    }
  }
  return values
}

/** @returns whether the command line has `--json`, even if it is otherwise wrong */
export function asksForJson(argv: readonly string[]): boolean {
  return tokenize(argv, GLOBAL_ARGS).some((token) => token.kind === 'option' && token.rawName === '--json')
}

function tokenize(argv: readonly string[], definitions: ArgumentDefinitions) {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {}
  for (const [key, definition] of Object.entries(definitions)) {
    if (definition.type === 'positional' || definition.type === 'words') continue
    const type = definition.type === 'boolean' ? 'boolean' : 'string'
    options[key] = definition.alias === undefined ? { type } : { type, short: definition.alias }
  }
  // Not `strict`: its errors have no codes that say what was wrong. The tokens say it.
  return parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true }).tokens
}

function checkFlag(token: Token, definitions: ArgumentDefinitions, name: string, hint = '') {
  if (token.kind !== 'option') throw new TypeError('not a flag')
  const definition = Object.hasOwn(definitions, token.name) ? definitions[token.name] : undefined
  if (definition === undefined || definition.type === 'positional' || definition.type === 'words')
    throw unknownFlag(name, token.rawName, definitions, hint)
  if (definition.type === 'boolean') {
    if (token.value !== undefined) throw usage(name, `"${token.rawName}" takes no value`)
    return { key: token.name, value: true }
  }
  return { key: token.name, value: checkValue(token, definition, name) }
}

function checkValue(token: Token & { kind: 'option' }, definition: ArgumentDefinition, name: string): string {
  const { value, rawName } = token
  if (value === undefined) throw usage(name, `"${rawName}" needs a value`)
  if (!token.inlineValue && value.length > 1 && value.startsWith('-')) {
    throw usage(name, `"${rawName}" needs a value`, {
      hint: `A value that begins with a dash is written --${token.name}=${shellWord(value)}`,
    })
  }
  if (value === '') throw usage(name, `the value of "${rawName}" is empty`)
  checkOption(name, `"${rawName}"`, definition, value)
  return value
}

function checkOption(name: string, what: string, definition: ArgumentDefinition, value: string): void {
  if (!('options' in definition) || !definition.options || definition.options.includes(value)) return
  const hint = `${didYouMean(value, definition.options)}See: ${seeHelp(name)}`
  throw usage(name, `${what} must be one of ${definition.options.join(', ')}, not ${quote(value)}`, { hint })
}

function assignWords(
  name: string,
  definitions: ArgumentDefinitions,
  words: readonly string[],
  values: Record<string, Value | undefined>,
): void {
  const [rest] = Object.entries(definitions).flatMap(([key, { type }]) => (type === 'words' ? [key] : []))
  const places = Object.entries(definitions).filter(([, definition]) => definition.type === 'positional')
  const extra = words[places.length]
  if (rest !== undefined) values[rest] = words.slice(places.length)
  else if (extra !== undefined) {
    const takes =
      places.length === 0 ? 'It takes no arguments.' : `It takes ${places.map(([key]) => `<${key}>`).join(' ')}.`
    throw usage(name, `unexpected argument ${quote(extra)}`, {
      hint: `${takes} See: stagecraft ${name} --help`,
    })
  }
  for (const [at, [key, definition]] of places.entries()) {
    if (words[at] === '') throw usage(name, `<${key}> is empty`)
    if (words[at] !== undefined) checkOption(name, `<${key}>`, definition, words[at])
    values[key] = words[at]
  }
}

function fromVariable(name: string, definition: ArgumentDefinition, env: Environment): string | undefined {
  if (!('env' in definition) || definition.env === undefined) return undefined
  const value = env[definition.env] || undefined
  if (value !== undefined) checkOption(name, definition.env, definition, value)
  return value
}

function isRequired(definition: ArgumentDefinition): boolean {
  return 'required' in definition && definition.required === true
}

function shown(key: string, definition: ArgumentDefinition): string {
  return definition.type === 'positional' ? `<${key}>` : `"--${key}"`
}

function unknownFlag(name: string, rawName: string, definitions: ArgumentDefinitions, note: string): StagecraftError {
  const flags = Object.entries(definitions).flatMap(([key, { type }]) =>
    type === 'positional' || type === 'words' ? [] : [`--${key}`],
  )
  const meant = rawName.startsWith('--') ? didYouMean(rawName, flags) : ''
  const hint = `${meant}${note}All flags: ${seeHelp(name)}`
  return usage(name, `unknown flag ${quote(rawName)}`, { hint })
}

/** @returns the error of a wrong command line. `name` is empty if no command was found in it. */
export function usage(name: string, reason: string, options: { readonly hint?: string } = {}): StagecraftError {
  const what = name === '' ? 'Stagecraft' : quote(name)
  const hint = options.hint ?? `See: ${seeHelp(name)}`
  return new StagecraftError('usage', `Cannot run ${what}: ${reason}`, { hint })
}

/** @returns the command that prints the help of a command, or of Stagecraft if the name is empty */
export function seeHelp(name: string): string {
  return ['stagecraft', name, '--help'].filter(Boolean).join(' ')
}

function shellWord(value: string): string {
  return /^[\w./:=@%+-]+$/.test(value) ? value : quote(value)
}
