const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds of a day. */
export const DAY = 24 * 3_600_000

/** A duration in `stagecraft.yml` and on the command line. */
export const DURATION = /^(\d{1,9})(ms|s|m|h)$/

/** @returns the milliseconds of `500ms`, `60s`, `5m`, `1h`, or undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const [, count, unit] = DURATION.exec(text) ?? []
  const factor = UNITS[unit ?? '']
  return count === undefined || factor === undefined ? undefined : Number(count) * factor
}
