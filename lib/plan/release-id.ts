const DATE = ['\\d{4}', '(?:0[1-9]|1[0-2])', '(?:0[1-9]|[12]\\d|3[01])']
const HOUR = '(?:[01]\\d|2[0-3])'

/** An id of a release, in UTC. Ids of older records may lack the three millisecond digits. */
export const RELEASE_ID = new RegExp(`^rel-${DATE.join('')}-${HOUR}[0-5]\\d[0-5]\\d(?:\\d{3})?$`)

/** RFC 3339 with any offset and at most nine fractional digits. */
export const RFC_3339 = new RegExp(
  `^${DATE.join('-')}T${HOUR}:[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-]${HOUR}:[0-5]\\d)$`,
)

const PARTS = /^rel-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)(\d{3})?$/

/** Milliseconds that an id may be ahead of the clock and still give the timestamp. An id further ahead was imported. */
const MOST_AHEAD = 60_000

/** The last instant that an id has room for. */
const LAST_TIME = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

/**
 * @param ids the ids so far, each a `RELEASE_ID`, in any order.
 * @param now epoch milliseconds.
 * @returns an id greater than all of them, from the clock if possible, and its timestamp, which is the clock's time if the id
 * is far ahead of it; undefined if no id is left.
 */
export function nextReleaseId(ids: Iterable<string>, now: number): { id: string; timestamp: string } | undefined {
  let greatest = ''
  for (const id of ids) if (withMilliseconds(id) > greatest) greatest = withMilliseconds(id)
  const time = Math.max(Math.floor(now), greatest === '' ? 0 : timeOf(greatest) + 1)
  if (time > LAST_TIME) return undefined
  const digits = new Date(time).toISOString().replace(/\D/g, '')
  const timestamp = new Date(time - now > MOST_AHEAD ? Math.floor(now) : time).toISOString()
  return { id: `rel-${digits.slice(0, 8)}-${digits.slice(8)}`, timestamp }
}

function withMilliseconds(id: string): string {
  return id.padEnd('rel-YYYYMMDD-HHMMSSmmm'.length, '0')
}

/** @returns epoch milliseconds. A day past the end of its month counts into the next month, which is still later. */
function timeOf(id: string): number {
  const [year = 0, month = 1, ...rest] = (PARTS.exec(id) ?? []).slice(1).map(Number)
  return Date.UTC(year, month - 1, ...rest)
}

/** @param id of a release, or of its part on a host @returns the release's id */
export function releaseId(id: string): string {
  return id.replace(/\/.*/, '')
}

/** @param configFiles the label of a container's model @returns the id of the release that made the container; empty: none did */
export function madeIn(configFiles: string): string {
  return /\/releases\/(rel-[\d-]+)\//.exec(configFiles)?.[1] ?? ''
}
