import { defineCommand, renderUsage } from 'citty'
import { GLOBAL_ARGS } from './arguments.ts'
import type { ArgumentDefinition, Command } from './cli.ts'
import type { Table } from './find-command.ts'
import { pad } from './format.ts'

/**
 * The help of a command: citty's usage, then examples and exit codes.
 *
 * citty renders usage, and no more: its own parser lets unknown flags, extra arguments and missing values pass, so
 * arguments.ts parses strictly, and that leaves its `runCommand` nothing to do but to parse again.
 */
export async function commandHelp(command: Command): Promise<string> {
  const args = Object.entries({ ...command.args, ...GLOBAL_ARGS })
  const usage = await renderUsage(
    defineCommand({
      meta: { name: `stagecraft ${command.name}`, description: command.description },
      args: Object.fromEntries(args.map(([key, definition]) => [key, toCitty(definition)])),
    }),
  )
  const examples = command.examples.flatMap(([line, meaning]) => [`  # ${meaning}`, `  ${line}`, ''])
  const codes = new Map([[0, 'done'], [2, 'wrong usage'], ...(command.exits ?? [])])
  const exits = [...codes].toSorted(([a], [b]) => a - b)
  return [
    ...plainLines(usage),
    '',
    'EXAMPLES',
    '',
    ...examples,
    'EXIT CODES',
    '',
    ...exits.map(([code, meaning]) => `  ${pad(String(code), 3, 'right')}  ${meaning}`),
  ].join('\n')
}

/** The list of commands of Stagecraft itself, or of the group `name`. */
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
  return plainLines(usage).join('\n')
}

function toCitty(definition: ArgumentDefinition) {
  const variable = 'env' in definition && definition.env !== undefined ? ` [${definition.env}]` : ''
  const description = definition.description + variable
  if (definition.type === 'enum') return { ...definition, options: [...definition.options], description }
  return { ...definition, description }
}

/** citty colours by rules of its own; help is text, to be read, searched and compared. */
function plainLines(usage: string): string[] {
  return Bun.stripANSI(usage)
    .split('\n')
    .map((line) => line.trimEnd())
}
