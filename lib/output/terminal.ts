import { colors } from 'consola/utils'
import { plainText } from '../util/format.ts'
import { wrapLine } from './area.ts'
import type { Style, Tone } from './lines.ts'
import { liveOn } from './live.ts'
import type { ReporterOptions } from './report.ts'

const COLOURS: Record<Tone, (text: string) => string> = {
  good: colors.green,
  bad: colors.red,
  notable: colors.yellow,
  quiet: colors.dim,
  name0: colors.cyan,
  name1: colors.yellow,
  name2: colors.green,
  name3: colors.magenta,
  name4: colors.blue,
  name5: colors.red,
}

/** Colours for a terminal. Loaded only for one: it costs 6 ms at the start. consola heeds NO_COLOR and TERM=dumb. */
const terminalStyle: Style = (tone, text) => COLOURS[tone](text)

/**
 * @returns how a reporter uses the terminal that stderr is: no live display on a dumb one or in CI, and only ASCII where the
 * locale is not UTF-8
 */
export function terminalOptions(
  { TERM = 'dumb', CI = '', LC_ALL, LC_CTYPE, LANG = '' }: Readonly<Record<string, string | undefined>>,
  quiet: boolean,
): Pick<ReporterOptions, 'style' | 'openLive' | 'spell'> {
  const unicode = /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG)
  const isLive = !quiet && TERM !== 'dumb' && ['', '0', 'false'].includes(CI)
  return {
    style: terminalStyle,
    openLive: isLive ? liveOn({ size, unicode }) : undefined,
    spell: unicode ? undefined : (line) => line.replace(/[→…•]/g, (sign) => ASCII[sign] ?? sign),
  }
}

const ASCII: Readonly<Record<string, string>> = { '→': '->', '…': '...', '•': '*' }

/** A terminal that does not know its size says 0. One that has gone has none. */
function size() {
  const [columns, rows] = process.stderr.getWindowSize?.() ?? []
  return { columns: columns || 80, rows: rows || 24 }
}

/**
 * Asks for one line of text on the terminal. The question may have several lines. consola's own prompt does not read what is
 * typed under Bun 1.4.
 * @returns the answer, `initial` for an empty one, or undefined after Ctrl-C or Ctrl-D.
 */
export async function ask(question: string, initial: string): Promise<string | undefined> {
  const { createInterface } = await import('node:readline')
  const columns = size().columns - ': '.length
  const text = plainText(initial === '' ? question : `${question} (${initial})`)
    .split('\n')
    .flatMap((line) => wrapLine(line, columns))
    .join('\n')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await new Promise<string | undefined>((resolve) => {
    terminal.once('close', () => resolve(undefined))
    terminal.once('SIGINT', () => resolve(undefined))
    terminal.question(`${text}: `, resolve)
  })
  terminal.close()
  // End the line that was typed on.
  if (answer === undefined) process.stderr.write('\n')
  return answer === undefined ? undefined : answer.trim() || initial
}
