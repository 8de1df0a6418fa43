import { colors } from 'consola/utils'
import { plainLine } from './format.ts'
import type { Style } from './report-lines.ts'

/** Colours for a terminal. Loaded only there: it costs 6 ms at the start. consola heeds NO_COLOR and TERM=dumb. */
export const terminalStyle: Style = (tone, text) => {
  switch (tone) {
    case 'good':
      return colors.green(text)
    case 'bad':
      return colors.red(text)
    case 'notable':
      return colors.yellow(text)
    case 'quiet':
      return colors.dim(text)
  }
}

/**
 * Asks for one line of text on the terminal. (consola's own prompt does not take in what is typed under Bun 1.4: tried.)
 * @returns the answer, `initial` for an empty one, or undefined if the person gave up (Ctrl-C, Ctrl-D).
 */
export async function ask(question: string, initial: string): Promise<string | undefined> {
  const { createInterface } = await import('node:readline')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await new Promise<string | undefined>((resolve) => {
    terminal.once('close', () => resolve(undefined))
    terminal.once('SIGINT', () => resolve(undefined))
    terminal.question(`${plainLine(`${question} (${initial})`)}: `, resolve)
  })
  terminal.close()
  // What was typed stands on the line: what is printed next begins below it.
  if (answer === undefined) process.stderr.write('\n')
  return answer === undefined ? undefined : answer.trim() || initial
}
