/** A column of a table: `right` for numbers. */
export type Align = 'left' | 'right'

/**
 * Lines whose columns line up whatever the cells hold, two spaces apart, without spaces at their ends. Widths are those
 * of a terminal: a wide character counts two.
 */
export function table(rows: readonly (readonly string[])[], align: readonly Align[] = []): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, width(cell))
  }
  return rows.map((row) =>
    row
      .map((cell, column) => pad(cell, widths[column] ?? 0, align[column]))
      .join('  ')
      .trimEnd(),
  )
}

/** Pads a text to a width in terminal cells. A longer one stays whole. */
export function pad(text: string, to: number, align: Align = 'left'): string {
  const fill = ' '.repeat(Math.max(0, to - width(text)))
  return align === 'right' ? fill + text : text + fill
}

const ASCII = /^[\x20-\x7e]*$/

function width(text: string): number {
  // Ten thousand cells of a list are nearly all ASCII, and this is many times faster.
  return ASCII.test(text) ? text.length : Bun.stringWidth(text)
}

/** @returns `0.4s`, `12.3s`, `2m05s`, `1h02m` from milliseconds. */
export function formatDuration(milliseconds: number): string {
  const tenths = Math.max(0, Math.round(milliseconds / 100))
  if (tenths < 600) return `${(tenths / 10).toFixed(1)}s`
  const seconds = Math.round(milliseconds / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`
  const minutes = Math.floor(seconds / 60)
  return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`
}

/** @returns local time to the second, `2026-11-22 09:02:25`; what is no timestamp comes back as it is. */
export function formatTime(timestamp: string): string {
  const date = new Date(timestamp)
  if (Number.isNaN(date.getTime())) return plainLine(timestamp)
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** @returns `512 B`, `1.5 kB`, `32.0 MB`: powers of 1000, as docker prints them. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${units[unit]}`
}

/** A name or value that somebody typed, in double quotes, on one line, and not longer than a line. */
export function quote(text: string): string {
  const short = text.length > 100 ? `${text.slice(0, 99)}…` : text
  return `"${escapeControls(short).replaceAll('"', '\\"')}"`
}

function escapeControls(text: string): string {
  return text.replace(CONTROLS, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

// C0 and C1 controls, and the line and paragraph separators: terminals and log readers act on all of them.
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}]/gu

/** A text that others wrote, as one line that cannot move the cursor, colour a log or start another line. */
export function plainLine(text: string): string {
  return Bun.stripANSI(text)
    .replace(/[\r\n\t\u2028\u2029]+/g, ' ')
    .replace(CONTROLS, '')
}

/** The same for a text of several lines: its line breaks stay. A line that overwrites itself shows as it ends up. */
export function plainText(text: string): string {
  const lines = Bun.stripANSI(text)
    .replace(/[\r\n]+$/, '')
    .split(/\r*\n/)
  return lines.map((line) => plainLine(line.slice(line.lastIndexOf('\r') + 1).replaceAll('\t', '    '))).join('\n')
}

function two(number: number): string {
  return number < 10 ? `0${number}` : String(number)
}
