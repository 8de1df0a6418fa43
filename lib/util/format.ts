/** For a sort by code units, the same in every locale. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** @returns `a, b and c` */
export function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

/** How a column of a table is aligned: `right` for numbers. */
export type Align = 'left' | 'right'

/**
 * @returns lines with aligned columns, two spaces apart, without trailing spaces. Widths are those of a terminal: a wide
 * character counts two.
 */
export function table(rows: readonly (readonly string[])[], align: readonly Align[] = []): string[] {
  // Ten thousand rows are nearly always ASCII: testing the whole text once is faster than measuring every cell.
  const lines = layOut(rows, align, (text) => text.length)
  if (PRINTABLE_ASCII.test(lines.join(''))) return lines
  return layOut(
    rows.map((row) => row.map(plainLine)),
    align,
    Bun.stringWidth,
  )
}

/** A row of a table, and the host that it is about, if there are several. */
export interface HostRow {
  readonly host: string | undefined
  readonly cells: readonly string[]
}

/** @returns a table like `table`, with a first column of hosts if there are several */
export function hostTable(
  rows: readonly HostRow[],
  head: readonly string[] | undefined,
  align: readonly Align[] = [],
  several = rows.some(({ host }) => host !== undefined),
): string[] {
  const all = rows.map(({ host, cells }) => (several ? [plainLine(host ?? ''), ...cells] : cells))
  const titles = head === undefined ? [] : [several ? ['HOST', ...head] : head]
  return table([...titles, ...all], several ? ['left', ...align] : align)
}

type Width = (text: string) => number

function layOut(rows: readonly (readonly string[])[], align: readonly Align[], width: Width): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (let column = 0; column < row.length; column++) {
      const wide = width(row[column] ?? '')
      if (wide > (widths[column] ?? -1)) widths[column] = wide
    }
  }
  return rows.map((row) => {
    let line = ''
    const last = row.length - 1
    for (let column = 0; column < last; column++) {
      line += padBy(row[column] ?? '', widths[column] ?? 0, align[column], width)
      line += '  '
    }
    const end = row[last] ?? ''
    // Calling trimEnd on every line would build each twice.
    if (end === '' || end.endsWith(' ')) return (line + end).trimEnd()
    return line + (align[last] === 'right' ? padBy(end, widths[last] ?? 0, 'right', width) : end)
  })
}

/** Pads a text to a width in terminal cells. A longer text is not cut. */
export function pad(text: string, to: number, align: Align = 'left'): string {
  return padBy(text, to, align, Bun.stringWidth)
}

function padBy(text: string, to: number, align: Align | undefined, width: Width): string {
  // The native padding counts UTF-16 units, not cells.
  const units = to + text.length - width(text)
  return align === 'right' ? text.padStart(units) : text.padEnd(units)
}

const PRINTABLE_ASCII = /^[ -~]*$/

/** @returns `0.4s`, `12.3s`, `2m05s`, `1h02m` from milliseconds. */
export function formatDuration(milliseconds: number): string {
  const tenths = Math.max(0, Math.round(milliseconds / 100))
  if (tenths < 600) return `${(tenths / 10).toFixed(1)}s`
  const seconds = Math.round(milliseconds / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`
  const minutes = Math.floor(seconds / 60)
  return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`
}

/** @returns local time to the second, `2026-11-22 09:02:25`; a text that is not a timestamp is returned as it is. */
export function formatTime(timestamp: string): string {
  if (UTC.test(timestamp)) {
    if (!timestamp.startsWith(lately.hour)) lately = localHour(timestamp.slice(0, 13))
    if (lately.local !== undefined) return lately.local + timestamp.slice(13, 19)
  }
  const time = Date.parse(timestamp)
  return Number.isNaN(time) ? plainLine(timestamp) : localIso(new Date(time), 19)
}

/** @returns local time to the minute */
export function formatMinute(timestamp: string): string {
  return formatTime(timestamp).slice(0, 'yyyy-mm-dd hh:mm'.length)
}

const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/

/** The last hour that was converted: releases come in bunches, and looking up the time zone is slow. */
let lately: { hour: string; local: string | undefined } = { hour: 'none yet', local: undefined }

/** A UTC hour in local time. `local` is undefined if the offset is not in whole hours. */
function localHour(hour: string): typeof lately {
  const date = new Date(`${hour}:00:00Z`)
  return { hour, local: date.getTimezoneOffset() % 60 === 0 ? localIso(date, 13) : undefined }
}

function localIso(date: Date, length: number): string {
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000)
  return local.toISOString().slice(0, length).replace('T', ' ')
}

/** @returns `512 B`, `1.5 kB`, `32.0 MB`: powers of 1000, as docker prints sizes. */
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

/** @returns a name or value that somebody typed, in double quotes, on one line, cut to 100 characters. */
export function quote(text: string): string {
  const short = text.length > 100 ? `${text.slice(0, 99)}…` : text
  return `"${escapeControls(short).replaceAll('"', '\\"')}"`
}

/** @returns `text` as one word for a POSIX shell (XCU 2.2.2: nothing is special inside single quotes). */
export function quotePosix(text: string): string {
  return /^[A-Za-z0-9_/:=.,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

function escapeControls(text: string): string {
  return text.replace(CONTROLS, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

// C0 and C1 controls, line and paragraph separators, and controls of text direction: terminals and log readers act on all of
// them.
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\u206a-\u206f\ufeff]/gu

/** @returns a line of JSON without controls: JSON.stringify itself keeps C1 controls and those of text direction. */
export function jsonLine(value: unknown): string {
  const text = JSON.stringify(value)
  return PRINTABLE_ASCII.test(text) ? text : escapeControls(text)
}

/** @returns foreign text as one line that cannot move the cursor, colour a log or start another line. */
export function plainLine(text: string): string {
  if (PRINTABLE_ASCII.test(text)) return text
  return Bun.stripANSI(text)
    .replace(/[\r\n\t\u2028\u2029]+/g, ' ')
    .replace(CONTROLS, '')
}

/** @returns a line as it may be printed. A line that overwrites itself (carriage return) shows its final state. */
export function shownLine(line: string): string {
  if (PRINTABLE_ASCII.test(line)) return line
  const whole = line.replace(/\r+$/, '')
  return plainLine(whole.slice(whole.lastIndexOf('\r') + 1))
}

/** The same for a text of several lines: its line breaks stay. */
export function plainText(text: string): string {
  const lines = Bun.stripANSI(text)
    .replace(/[\r\n]+$/, '')
    .split(/\r*\n/)
  return lines.map((line) => plainLine(line.slice(line.lastIndexOf('\r') + 1).replaceAll('\t', '    '))).join('\n')
}

function two(number: number): string {
  return number < 10 ? `0${number}` : String(number)
}

/** @returns `once`, `2 times`. */
export function timesText(count: number): string {
  return count === 1 ? 'once' : `${count} times`
}
