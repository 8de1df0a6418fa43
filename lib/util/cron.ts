import { DAY } from './duration.ts'

/**
 * Schedules in the language of cron (POSIX crontab, with the names, steps and words that all crons know). Crons differ at the
 * edges, so a schedule is expanded into plain lists of numbers, which all of them and systemd read alike; what has no meaning
 * that is the same everywhere is refused.
 */

/** The minutes at which something begins. A field that allows every value is undefined. */
export interface Schedule {
  readonly minutes: readonly number[] | undefined
  readonly hours: readonly number[] | undefined
  /** with `weekdays`, a day that is in one of the two is enough */
  readonly days: readonly number[] | undefined
  readonly months: readonly number[] | undefined
  /** 0 is Sunday */
  readonly weekdays: readonly number[] | undefined
}

const WORDS: Readonly<Record<string, string>> = {
  '@hourly': '0 * * * *',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@weekly': '0 0 * * 0',
  '@monthly': '0 0 1 * *',
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

interface Field {
  readonly name: string
  readonly first: number
  readonly last: number
  /** of its values, from `first` */
  readonly names?: readonly string[]
}

const FIELDS: readonly Field[] = [
  { name: 'minute', first: 0, last: 59 },
  { name: 'hour', first: 0, last: 23 },
  { name: 'day of the month', first: 1, last: 31 },
  { name: 'month', first: 1, last: 12, names: MONTHS },
  { name: 'day of the week', first: 0, last: 7, names: WEEKDAYS },
]

/** The most days that a month can have. */
const LENGTHS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** @returns the schedule, or what is wrong with it: `has no …`, `must …` */
export function parseCron(text: string): Schedule | string {
  const word = text.trim().toLowerCase()
  if (word.startsWith('@') && WORDS[word] === undefined)
    return `must be a schedule: the words are ${Object.keys(WORDS).join(', ')}`
  const parts = (WORDS[word] ?? text.trim()).split(/[ \t]+/)
  if (parts.length !== FIELDS.length)
    return `must have 5 fields (minute, hour, day of the month, month, day of the week), such as 0 3 * * *, not ${parts.length}`
  const lists: (readonly number[])[] = []
  for (const [at, field] of FIELDS.entries()) {
    const values = parseField(parts[at] ?? '', field)
    if (typeof values === 'string') return values
    lists.push(values)
  }
  const [minutes = [], hours = [], days = [], months = [], weekdays = []] = lists
  const [dayText = '', weekdayText = ''] = [parts[2], parts[4]]
  const all = (values: readonly number[], count: number) => (values.length === count ? undefined : values)
  const schedule = {
    minutes: all(minutes, 60),
    hours: all(hours, 24),
    months: all(months, 12),
    ...withDays({ text: dayText, values: all(days, 31) }, { text: weekdayText, values: all(weekdays, 7) }),
  }
  if ('problem' in schedule) return schedule.problem
  return firstDay(schedule) ? schedule : 'never comes: no such month has such a day'
}

interface Days {
  readonly text: string
  readonly values: readonly number[] | undefined
}

/** If both fields are limited, either is enough; but of a field that begins with a star, crons say different things. */
function withDays(day: Days, weekday: Days): Pick<Schedule, 'days' | 'weekdays'> | { readonly problem: string } {
  const isStar = ({ text, values }: Days) => text.startsWith('*') && values === undefined
  const isStep = ({ text, values }: Days) => text.startsWith('*') && values !== undefined
  if (isStar(day) || isStar(weekday)) return { days: day.values, weekdays: weekday.values }
  if (isStep(day) || isStep(weekday))
    return {
      problem:
        'must not have a step from * in one field of days, and the other limited too: crons differ about it. Write a range, such as 1-31/2, and either is enough',
    }
  const isEvery = day.values === undefined || weekday.values === undefined
  return isEvery ? { days: undefined, weekdays: undefined } : { days: day.values, weekdays: weekday.values }
}

function parseField(text: string, field: Field): number[] | string {
  const found = new Set<number>()
  for (const part of text.split(',')) {
    const values = parsePart(part, field)
    if (typeof values === 'string') return `has no ${field.name} ${JSON.stringify(part)}: ${values}`
    for (const value of values) found.add(field.last === 7 ? value % 7 : value)
  }
  return [...found].toSorted((a, b) => a - b)
}

function parsePart(part: string, field: Field): number[] | string {
  const [, range = '', step] = /^([^/]*)(?:\/(\d{1,2}))?$/.exec(part) ?? []
  if (range === '')
    return `write *, numbers from ${field.first} to ${field.last}, ranges such as 1-5, or steps such as */5`
  const every = step === undefined ? 1 : Number(step)
  if (every === 0) return 'a step must be at least 1'
  const last = field.last === 7 ? 6 : field.last
  if (range === '*') return numbers(field.first, last, every)
  const [from = '', to, more] = range.split('-')
  const [low, high] = [numberOf(from, field), numberOf(to ?? from, field)]
  if (low === undefined || high === undefined || more !== undefined)
    return `write numbers from ${field.first} to ${field.last}${field.names ? `, or names such as ${field.names[1]}` : ''}`
  if (to === undefined && step !== undefined) return 'a step needs * or a range before it'
  if (low > high) return 'a range must not end before it begins: write two, separated by a comma'
  return numbers(low, high, every)
}

function numberOf(text: string, { first, last, names = [] }: Field): number | undefined {
  const at = names.indexOf(text.toLowerCase())
  if (at !== -1) return at + first
  const value = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN
  return value >= first && value <= last ? value : undefined
}

function numbers(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, at) => from + at * step)
}

/** @returns whether any date has such a day. */
function firstDay({ days, months, weekdays }: Schedule): boolean {
  if (days === undefined || weekdays !== undefined) return true
  return (months ?? numbers(1, 12, 1)).some((month) => days.some((day) => day <= (LENGTHS[month - 1] ?? 0)))
}

/** @returns the five fields of a crontab, with numbers only. */
export function cronFields({ minutes, hours, days, months, weekdays }: Schedule): string {
  return [minutes, hours, days, months, weekdays].map((values) => values?.join(',') ?? '*').join(' ')
}

/** @returns the same for systemd's OnCalendar (systemd.time): two, if one of two days is enough. */
export function calendars({ minutes, hours, days, months, weekdays }: Schedule): string[] {
  const list = (values: readonly number[] | undefined) =>
    values?.map((value) => String(value).padStart(2, '0')).join(',') ?? '*'
  const names = weekdays?.map((day) => WEEKDAYS[day] ?? '').map((name) => name.charAt(0).toUpperCase() + name.slice(1))
  const one = (weekday: string, day: string) => `${weekday}*-${list(months)}-${day} ${list(hours)}:${list(minutes)}:00`
  const onWeekdays = names ? `${names.join(',')} ` : ''
  if (days !== undefined && weekdays !== undefined) return [one('', list(days)), one(onWeekdays, '*')]
  return [one(onWeekdays, list(days))]
}

/** Days that are looked at: 29 February comes at least once in eight years. */
const FAR = 366 * 8 + 1

/** @param after a time of a host's clock @returns the next time of a schedule after it, by the same clock; both `2026-11-22 03:00` */
export function nextTime({ minutes, hours, days, months, weekdays }: Schedule, after: string): string | undefined {
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d$/.test(after)) return undefined
  const start = Date.parse(`${after.replace(' ', 'T')}:00Z`)
  const has = (values: readonly number[] | undefined, value: number) => values === undefined || values.includes(value)
  const isDay = (at: Date) => {
    const [day, weekday] = [has(days, at.getUTCDate()), has(weekdays, at.getUTCDay())]
    return has(months, at.getUTCMonth() + 1) && (days && weekdays ? day || weekday : day && weekday)
  }
  for (let ahead = 0; ahead <= FAR; ahead++) {
    const date = new Date(start + ahead * DAY)
    if (!isDay(date)) continue
    const text = date.toISOString().slice(0, 10)
    for (const hour of hours ?? numbers(0, 23, 1))
      for (const minute of minutes ?? numbers(0, 59, 1)) {
        const time = `${text} ${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`
        if (time > after) return time
      }
  }
  return undefined
}
