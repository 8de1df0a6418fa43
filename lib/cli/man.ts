import { GLOBAL_ARGS } from './arguments.ts'
import type { ArgumentDefinition, ArgumentDefinitions, Command } from './command.ts'
import { EXITS } from './exits.ts'
import { ABOUT, type Table } from './find-command.ts'
import { TOPICS } from './topics.ts'

/** Variables besides those of flags. */
const VARIABLES: readonly (readonly [name: string, meaning: string])[] = [
  ['STAGECRAFT_ENGINE_TIMEOUT', 'how long a Docker engine may take to answer (default: 60s)'],
  ['NO_COLOR', 'no colours'],
  ['DOCKER_HOST, DOCKER_CONTEXT', 'the engine of environments without hosts, which also builds images'],
]
const FILES: readonly (readonly [name: string, meaning: string])[] = [
  ['stagecraft.yml', 'the environments of a project, and how its services are updated'],
  ['.stagecraft/', 'the releases of environments on this machine: their history, and what restores each'],
  ['/var/lib/stagecraft/', 'the same on a host, by project and environment; ~/.stagecraft/ if it cannot be written'],
]

/** @returns the manual page stagecraft(1), in roff, made of what the help is made of */
export async function manPage(commands: Table, version: string): Promise<string> {
  const all = await loadAll(commands)
  const variables = all.flatMap(({ args }) => variablesOf(args))
  const environment = new Map([...variablesOf(GLOBAL_ARGS), ...variables, ...VARIABLES])
  const lines = [
    `.TH STAGECRAFT 1 "" "stagecraft ${roff(version)}" "User Commands"`,
    '.SH NAME',
    'stagecraft \\- deploy a Docker Compose application to a server you own',
    '.SH SYNOPSIS',
    '.B stagecraft',
    '.I command',
    '[flags] [arguments]',
    '.SH DESCRIPTION',
    text(`${ABOUT} It restores any earlier release, and repairs what an interrupted run has left behind.`),
    '.SH FLAGS OF EVERY COMMAND',
    ...Object.entries(GLOBAL_ARGS).flatMap(([key, definition]) => flag(key, definition)),
    '.SH COMMANDS',
    ...all.flatMap(commandSection),
    '.SH TOPICS',
    ...Object.values(TOPICS).flatMap(topicSection),
    '.SH EXIT STATUS',
    ...EXITS.flatMap(([code, meaning]) => entry(bold(code), meaning.replaceAll('`', ''))),
    '.SH ENVIRONMENT',
    ...[...environment].flatMap(([name, meaning]) => entry(bold(name), meaning)),
    '.SH FILES',
    ...FILES.flatMap(([name, meaning]) => entry(`\\fI${roff(name)}\\fR`, meaning)),
    '.SH SEE ALSO',
    '.BR docker (1),',
    '.BR ssh_config (5)',
  ]
  return `${lines.join('\n')}\n`
}

async function loadAll(table: Table): Promise<Command[]> {
  const found = Object.values(table).map(async (entry) =>
    'load' in entry ? [(await entry.load()).default] : loadAll(entry.commands),
  )
  return (await Promise.all(found)).flat()
}

function commandSection({ name, description, args, rest, examples }: Command): string[] {
  const flags = Object.entries(args).filter(([, { type }]) => type !== 'positional' && type !== 'words')
  const words = Object.entries(args).flatMap(([key, definition]) => {
    if (definition.type === 'words') return [`[\\fI${roff(key)}\\fR ...]`]
    if (definition.type !== 'positional') return []
    return [definition.required ? `\\fI${roff(key)}\\fR` : `[\\fI${roff(key)}\\fR]`]
  })
  return [
    `.SS ${roff(name)}`,
    [
      bold(`stagecraft ${name}`),
      ...(flags.length > 0 ? ['[flags]'] : []),
      ...words,
      ...(rest ? ['[\\-\\- ...]'] : []),
    ].join(' '),
    '.PP',
    text(description),
    ...Object.entries(args).flatMap(([key, definition]) => flag(key, definition)),
    ...(rest === undefined ? [] : entry(bold('--'), rest)),
    ...examples.flatMap(([line, meaning]) => [
      '.PP',
      text(`${capital(meaning)}:`),
      '.PP',
      '.nf',
      text(`  ${line}`),
      '.fi',
    ]),
  ]
}

/** A topic is text with indented commands: it is printed as it is. */
function topicSection(topic: string): string[] {
  const [title = '', ...lines] = topic.trim().split('\n')
  return [`.SS ${roff(title)}`, '.nf', ...lines.slice(1).map((line) => text(line)), '.fi']
}

function flag(key: string, definition: ArgumentDefinition): string[] {
  if (definition.type === 'positional' || definition.type === 'words')
    return entry(`\\fI${roff(key)}\\fR`, definition.description)
  const short = definition.alias === undefined ? [] : [bold(`-${definition.alias}`)]
  const value =
    definition.type === 'boolean'
      ? ''
      : ` \\fI${roff(definition.type === 'enum' ? definition.options.join('|') : definition.valueHint)}\\fR`
  return entry(`${[...short, bold(`--${key}`)].join(', ')}${value}`, definition.description)
}

function variablesOf(args: ArgumentDefinitions): [string, string][] {
  return Object.entries(args).flatMap(([key, definition]): [string, string][] =>
    'env' in definition && definition.env !== undefined ? [[definition.env, `used if --${key} is left out`]] : [],
  )
}

/** @param tag roff */
function entry(tag: string, meaning: string): string[] {
  return ['.TP', tag, text(meaning)]
}

function bold(words: string): string {
  return `\\fB${roff(words)}\\fR`
}

function capital(words: string): string {
  return words.slice(0, 1).toUpperCase() + words.slice(1)
}

/** A line of text: one that begins with a dot or an apostrophe would be a request to roff. */
function text(line: string): string {
  return line === '' ? '' : `\\&${roff(line)}`
}

/** Characters that roff reads, or draws as something else than ASCII. */
const DRAWN: Readonly<Record<string, string>> = {
  '\\': '\\e',
  '-': '\\-',
  "'": '\\(aq',
  '`': '\\(ga',
  '^': '\\(ha',
  '~': '\\(ti',
  '"': '\\(dq',
}

function roff(words: string): string {
  const drawn = words.replaceAll(/[\\\-'`^~"]/g, (character) => DRAWN[character] ?? character)
  // Only preconv, which not every man runs, makes a character of bytes beyond ASCII.
  return drawn.replaceAll(
    /[^\0-\x7f]/gu,
    (one) => `\\[u${one.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}]`,
  )
}
