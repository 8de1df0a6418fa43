import { defineCommand, renderUsage } from 'citty'
import { pad } from '../util/format.ts'
import { GLOBAL_ARGS } from './arguments.ts'
import type { ArgumentDefinition, Command } from './command.ts'
import type { Table } from './find-command.ts'
import { TOPIC_OF, TOPICS } from './topics.ts'

/**
 * @returns the help of a command: citty's usage, then examples and exit codes
 *
 * citty only renders the usage. Its parser accepts unknown flags, extra arguments and missing values, so arguments.ts parses
 * strictly instead of `runCommand`.
 */
export async function commandHelp(command: Command): Promise<string> {
  const args = Object.entries({ ...command.args, ...GLOBAL_ARGS })
  const rest = command.rest === undefined ? [] : ['', `AFTER --   ${command.rest}`]
  const usage = await renderUsage(
    defineCommand({
      meta: { name: `stagecraft ${command.name}`, description: command.description },
      args: Object.fromEntries(args.map(([key, definition]) => [key, toCitty(definition)])),
    }),
  )
  const examples = command.examples.flatMap(([line, meaning]) => [`  # ${meaning}`, `  ${line}`, ''])
  const codes = new Map([
    [0, 'done'],
    [2, 'wrong usage'],
    [9, 'the output cannot be written'],
    ...(command.exits ?? []),
  ])
  if (command.reads) codes.set(141, 'the reader of the output has gone')
  const exits = [...[...codes].toSorted(([a], [b]) => a - b), ['128+n', 'ended by signal n']]
  return [
    ...plainLines(usage),
    ...rest,
    '',
    'EXAMPLES',
    '',
    ...examples,
    'EXIT CODES',
    '',
    ...exits.map(([code, meaning]) => `  ${pad(String(code), 5, 'right')}  ${meaning}`),
    ...(TOPIC_OF[command.name] === undefined ? [] : ['', `See also: stagecraft help ${TOPIC_OF[command.name]}`]),
  ].join('\n')
}

/** @returns the list of commands of Stagecraft, or of the group `name` */
export async function tableHelp(name: string, description: string, table: Table): Promise<string> {
  const entries = Object.entries(table).map(([key, { summary }]) => [
    key,
    defineCommand({ meta: { description: summary } }),
  ])
  const usage = await renderUsage(
    defineCommand({
      meta: { name: `stagecraft ${name}`.trim(), description },
      subCommands: Object.fromEntries(entries),
    }),
  )
  const topics = name === '' ? ['', `Topics (stagecraft help <topic>): ${Object.keys(TOPICS).join(', ')}`] : []
  return [...plainLines(usage), ...topics].join('\n')
}

function toCitty(definition: ArgumentDefinition) {
  if (definition.type === 'words') return { ...definition, type: 'positional', required: false } as const
  const variable = 'env' in definition && definition.env !== undefined ? ` [${definition.env}]` : ''
  const description = definition.description + variable
  if (definition.type === 'enum') return { ...definition, options: [...definition.options], description }
  return { ...definition, description }
}

/** citty colours its usage, also without a terminal. Help is plain text. */
function plainLines(usage: string): string[] {
  return Bun.stripANSI(usage)
    .split('\n')
    .map((line) => line.trimEnd())
}
