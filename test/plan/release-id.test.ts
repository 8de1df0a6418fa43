import { describe, expect, test } from 'bun:test'
import { nextReleaseId, RELEASE_ID, RFC_3339 } from '../../lib/plan/release-id.ts'

const NOW = Date.UTC(2026, 10, 22, 8, 2, 25, 643)

describe('nextReleaseId()', () => {
  test.each([
    ['the time of the clock', [], '20261122-080225643'],
    ['the time of the clock, to the millisecond below', ['20261122-080225642'], '20261122-080225643'],
    ['past an id of the same millisecond', ['20261122-080225643'], '20261122-080225644'],
    ['past the greatest id, wherever it stands', ['20261123-235959999', '20260101-000000000'], '20261124-000000000'],
    ['past a last day of a leap year', ['20280228-235959999'], '20280229-000000000'],
    ['past an id without milliseconds', ['20261122-080225'], '20261122-080225643'],
    ['past an id without milliseconds of a later second', ['20261122-080226'], '20261122-080226001'],
    ['past a day that no month has', ['20270230-120000000'], '20270302-120000001'],
  ])('is %s', (_, taken, expected) => {
    const next = nextReleaseId(
      taken.map((id) => `rel-${id}`),
      NOW + 0.9,
    )
    expect(next?.id).toBe(`rel-${expected}`)
    // Far ahead of the clock it is not ours: the timestamp is the clock's.
    const isAhead = expected > '20261122-080325643'
    expect(next?.timestamp.replace(/[-:.TZ]/g, '')).toBe((isAhead ? '20261122-080225643' : expected).replace('-', ''))
  })

  test.each([
    [60_000, '2026-11-22T08:03:25.643Z'],
    [60_001, '2026-11-22T08:02:25.643Z'],
  ])('has a timestamp of its own up to a minute ahead of the clock: %d ms', (ahead, timestamp) => {
    const greatest = new Date(NOW + ahead - 1).toISOString().replace(/\D/g, '')
    expect(nextReleaseId([`rel-${greatest.slice(0, 8)}-${greatest.slice(8)}`], NOW)?.timestamp).toBe(timestamp)
  })

  test('is none after the end of the year 9999', () => {
    expect(nextReleaseId(['rel-99991231-235959998'], NOW)?.id).toBe('rel-99991231-235959999')
    expect(nextReleaseId(['rel-99991231-235959999'], NOW)).toBeUndefined()
  })
})

test.each([
  ['rel-20261122-080225643', true],
  ['rel-20261122-080225', true],
  ['rel-20261122-0802256', false],
  ['rel-20261122-0802256431', false],
  ['rel-20261322-080225643', false],
  ['rel-20261122-240225643', false],
  ['rel-20261122-080260643', false],
  ['rel-20261122-080225643\n', false],
  ['20261122-080225643', false],
  ['../rel-20261122-080225643', false],
])('RELEASE_ID: %j is %p', (id, expected) => {
  expect(RELEASE_ID.test(id)).toBe(expected)
})

test.each([
  ['2026-11-22T08:02:25Z', true],
  ['2026-11-22T08:02:25.643Z', true],
  ['2026-11-22T08:02:25.123456789+05:45', true],
  ['2026-11-22T08:02:25.1-11:00', true],
  ['2026-11-22T08:02:25.1234567890Z', false],
  ['2026-11-22T08:02:25', false],
  ['2026-11-22 08:02:25Z', false],
  ['2026-11-22T08:02:25.Z', false],
  ['2026-13-22T08:02:25Z', false],
  ['2026-11-22T08:02:25+24:00', false],
  ['yesterday', false],
])('RFC_3339: %j is %p', (timestamp, expected) => {
  expect(RFC_3339.test(timestamp)).toBe(expected)
})
