import { WriteStream } from 'node:tty'
import type { Output } from './streams.ts'

/** The size of a terminal, in cells. */
interface ScreenSize {
  readonly rows: number
  readonly columns: number
}

/** A terminal on which one text is shown in place of the one before. */
export interface Screen {
  /** Shows finished lines (`Reporter.finished`), cut to the terminal's size, with one write. */
  draw(lines: readonly string[]): void
  /** Gives the terminal back as it was, with its cursor. May be called again. */
  close(): void
}

/** The alternate screen, without a cursor; and back. */
const [OPEN, CLOSE] = ['\x1b[?1049h\x1b[?25l', '\x1b[?25h\x1b[?1049l']
/** Terminals that know it show what is between the two at once (synchronized output); others ignore it. */
const [BEGIN, END] = ['\x1b[?2026h', '\x1b[?2026l']
const HOME = '\x1b[H'
const [CLEAR_LINE, CLEAR_REST] = ['\x1b[K', '\x1b[J']

export function openScreen(out: Output, size: () => ScreenSize): Screen {
  let isOpen = false
  return {
    draw(lines) {
      const fitting = fit(lines, size()).map((line) => line + CLEAR_LINE)
      out.write(`${isOpen ? '' : OPEN}${BEGIN}${HOME}${fitting.join('\r\n')}${CLEAR_REST}${END}`)
      isOpen = true
    },
    close() {
      if (isOpen) out.write(CLOSE)
      isOpen = false
    },
  }
}

/** @returns the size of the terminal that stdout is, now */
export function terminalSize(): ScreenSize {
  const [columns, rows] = new WriteStream(1).getWindowSize()
  return { columns: columns || 80, rows: rows || 24 }
}

/** @returns lines that no terminal of this size wraps or scrolls; the last one says how many are left out */
export function fit(lines: readonly string[], { rows, columns }: ScreenSize): string[] {
  const left = lines.length - rows
  const shown = left <= 0 ? lines : [...lines.slice(0, Math.max(0, rows - 1)), `… ${left + 1} more lines`]
  return shown.map((line) => (Bun.stringWidth(line) <= columns ? line : `${Bun.sliceAnsi(line, 0, columns - 1)}…`))
}
