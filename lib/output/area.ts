import type { Output } from './streams.ts'

/** The part of a terminal below what stays: it is drawn again and again. */
interface Area {
  /**
   * Prints lines that stay above the area, and draws the area below them, in one write. A line that has not changed is not
   * written. The cursor is hidden only while it moves, so that it is there whatever ends this process.
   * @param area lines that are shorter than the terminal is wide
   */
  draw(above: readonly string[], area: readonly string[], columns: number): void
}

const [HIDE, SHOW, REST_OF_LINE, ALL_BELOW] = ['\u001b[?25l', '\u001b[?25h', '\u001b[K', '\u001b[J']

export function createArea(output: Output): Area {
  let [drawn, width]: [readonly string[], number] = [[], 0]
  return {
    draw(above, area, columns) {
      const stays = (line: string, at: number) => above.length === 0 && columns === width && line === drawn[at]
      if (above.length === 0 && area.length === drawn.length && area.every(stays)) return
      const lines = [
        ...above.map((text) => `${REST_OF_LINE}${text}\n`), // erased first: after a full row some terminals erase its end
        ...area.map((text, at) => (stays(text, at) ? '\n' : `${text}${REST_OF_LINE}\n`)),
      ]
      // What is typed meanwhile is echoed where the cursor is: below, in the first column.
      const text = `${HIDE}\r${up(rowsOf(drawn, columns))}${lines.join('')}${ALL_BELOW}${SHOW}`
      // A terminal that is stopped (Ctrl-S) holds nothing up that need not be seen.
      if (above.length > 0 || area.length === 0 || output.offer === undefined) output.write(text)
      else if (!output.offer(text)) return
      ;[drawn, width] = [area, columns]
    },
  }
}

/** A terminal that was made narrower has wrapped what was drawn before. */
function rowsOf(lines: readonly string[], columns: number): number {
  return lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(Bun.stringWidth(line) / columns)), 0)
}

function up(rows: number): string {
  return rows === 0 ? '' : `\u001b[${rows}A`
}

/** @returns a line of at most so many cells; colours stay. @param more marks that it was cut */
export function cutLine(line: string, columns: number, more: string): string {
  return Bun.sliceAnsi(line, 0, columns, more)
}

/** @returns a line as lines of a terminal, cut between words. What follows stands under the last column of the first. */
export function wrapLine(line: string, columns: number): string[] {
  if (Bun.stringWidth(line) <= columns) return [line]
  const plain = Bun.stripANSI(line)
  const [start = ''] = /^ */.exec(plain) ?? []
  const [column = ''] = /^( *[\w-]+: |.*\S {2,})(?=\S)/.exec(plain) ?? []
  const longest = Math.max(
    ...plain
      .slice(column.length)
      .split(' ')
      .map((word) => Bun.stringWidth(word)),
  )
  const fits = (cells: number) => cells > 0 && cells <= columns / 2 && cells + longest <= columns
  const indent = [Bun.stringWidth(column), start.length + 2].find(fits) ?? Math.min(start.length, columns >> 1)
  const [first = '', ...rest] = Bun.wrapAnsi(Bun.sliceAnsi(line, indent), columns - indent, { hard: false }).split('\n')
  return [`${Bun.sliceAnsi(line, 0, indent)}${first}`, ...rest.map((row) => `${' '.repeat(indent)}${row}`)]
}
