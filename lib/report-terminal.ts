import { colors } from 'consola/utils'
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
 * Asks for one line of text on the terminal.
 * @returns the answer, `initial` for an empty one, or undefined if the person gave up (Ctrl-C).
 */
export async function ask(question: string, initial: string): Promise<string | undefined> {
  const { consola } = await import('consola')
  const answer = await consola.prompt(question, {
    type: 'text',
    default: initial,
    placeholder: initial,
    cancel: 'null',
  })
  return answer === null ? undefined : answer.trim() || initial
}
