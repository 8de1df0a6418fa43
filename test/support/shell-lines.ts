import { GLOBAL_ARGS, parseArguments } from '../../lib/cli/arguments.ts'
import { COMMANDS } from '../../lib/cli/commands/table.ts'
import { findCommand } from '../../lib/cli/find-command.ts'
import { findTopic } from '../../lib/cli/topics.ts'

/** A word of a shell's line: quoted and other pieces, without a space between them. */
const WORD = /^(?:"(?:\\.|\$\([^)]*\)|[^"\\])*"|'[^']*'|\$\([^)]*\)|[^\s"'|&;<>()])+/
/** Where a simple command ends: an operator, a redirection, a comment or the end of the line. */
const END = /^(?:\d?[<>]|[|&;)`\n]|#|$)/

/** @returns the arguments of each call of `stagecraft` in a shell's text; what stands in quotes is one word, as it is */
export function callsIn(shell: string): string[][] {
  const lines = shell.replaceAll('\\\n', ' ').replaceAll(/^\s*#.*$/gm, '')
  return [...lines.matchAll(/(?<![\w./-])stagecraft (?=[a-z-])/g)].map(({ index }) => {
    const words: string[] = []
    for (let rest = lines.slice(index + 'stagecraft '.length); ; ) {
      rest = rest.replace(/^[ \t]+/, '')
      const [word = ''] = END.test(rest) ? [] : (WORD.exec(rest) ?? [])
      if (word === '') return words
      words.push(word.replaceAll(/^["']|["']$/g, ''))
      rest = rest.slice(word.length)
    }
  })
}

/** Parses a call as the command line does. Throws if it would be wrong usage. */
export async function checkCall(argv: readonly string[]): Promise<void> {
  if (argv[0] === 'help' && findTopic(argv[1] ?? '') !== undefined) return
  const found = findCommand(argv, COMMANDS)
  if (found.kind === 'list') throw new Error(`stagecraft ${argv.join(' ')}: the command is missing`)
  const { default: command } = await found.load()
  const dashes = command.rest === undefined ? -1 : found.argv.indexOf('--')
  const own = dashes < 0 ? found.argv : found.argv.slice(0, dashes)
  parseArguments(found.name, { ...command.args, ...GLOBAL_ARGS }, own, {})
}
