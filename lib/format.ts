/** A column of a table: `right` for numbers. */
export type Align = 'left' | 'right'

/**
 * Lines whose columns line up whatever the cells hold, two spaces apart, without spaces at their ends. Widths are those
 * of a terminal: a wide character counts two.
 */
export function table(rows: readonly (readonly string[])[], align: readonly Align[] = []): string[] {
  // Ten thousand rows are nearly always ASCII: to look at the whole once is faster than to measure every cell.
  const lines = layOut(rows, align, (text) => text.length)
  if (PRINTABLE_ASCII.test(lines.join(''))) return lines
  return layOut(
    rows.map((row) => row.map(plainLine)),
    align,
    Bun.stringWidth,
  )
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
    // To look at the end of every line would have each built twice.
    if (end === '' || end.endsWith(' ')) return (line + end).trimEnd()
    return line + (align[last] === 'right' ? padBy(end, widths[last] ?? 0, 'right', width) : end)
  })
}

/** Pads a text to a width in terminal cells. A longer one stays whole. */
export function pad(text: string, to: number, align: Align = 'left'): string {
  return padBy(text, to, align, Bun.stringWidth)
}

function padBy(text: string, to: number, align: Align | undefined, width: Width): string {
  // The native padding counts UTF-16 units: that is the same only where every character is one cell wide.
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

/** @returns local time to the second, `2026-11-22 09:02:25`; what is no timestamp comes back as it is. */
export function formatTime(timestamp: string): string {
  if (UTC.test(timestamp)) {
    if (!timestamp.startsWith(lately.hour)) lately = localHour(timestamp.slice(0, 13))
    if (lately.local !== undefined) return lately.local + timestamp.slice(13, 19)
  }
  const time = Date.parse(timestamp)
  return Number.isNaN(time) ? plainLine(timestamp) : localIso(new Date(time), 19)
}

const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/

/** The hour asked for last: releases come in bunches, and to ask the time zone is slow. */
let lately: { hour: string; local: string | undefined } = { hour: 'none yet', local: undefined }

/** An hour of UTC in local time. Undefined where that is not whole hours off. */
function localHour(hour: string): typeof lately {
  const date = new Date(`${hour}:00:00Z`)
  return { hour, local: date.getTimezoneOffset() % 60 === 0 ? localIso(date, 13) : undefined }
}

function localIso(date: Date, length: number): string {
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000)
  return local.toISOString().slice(0, length).replace('T', ' ')
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

// C0 and C1 controls, the line and paragraph separators, and what turns the direction of a text: terminals and log readers act
// on all of them.
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\u206a-\u206f\ufeff]/gu

/** The same as a line of JSON: JSON.stringify leaves C1 controls and what turns a text as they are. */
export function jsonLine(value: unknown): string {
  const text = JSON.stringify(value)
  return PRINTABLE_ASCII.test(text) ? text : escapeControls(text)
}

/** A text that others wrote, as one line that cannot move the cursor, colour a log or start another line. */
export function plainLine(text: string): string {
  if (PRINTABLE_ASCII.test(text)) return text
  return Bun.stripANSI(text)
    .replace(/[\r\n\t\u2028\u2029]+/g, ' ')
    .replace(CONTROLS, '')
}

/** Any line, as it may be printed. One that overwrites itself shows as it ends up. */
export function shownLine(line: string): string {
  if (PRINTABLE_ASCII.test(line)) return line
  const whole = line.replace(/\r+$/, '')
  return plainLine(whole.slice(whole.lastIndexOf('\r') + 1))
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

/** @returns `once`, `2 times`. */
export function timesText(count: number): string {
  return count === 1 ? 'once' : `${count} times`
}
