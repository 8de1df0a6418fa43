import { expect, test } from 'bun:test'
import { formatBytes, formatDuration, formatTime, plainLine, plainText, quote, table } from '../../lib/util/format.ts'

test('table() lines columns up whatever the lengths, wide characters too', () => {
  const lines = table(
    [
      ['ID', 'VERSION', 'N'],
      ['rel-1', '版本', '1'],
      ['rel-20261122-080225643', 'v1', '1000'],
    ],
    ['left', 'left', 'right'],
  )
  expect(lines).toEqual([
    'ID                      VERSION     N',
    'rel-1                   版本        1',
    'rel-20261122-080225643  v1       1000',
  ])
})

test('table() leaves no spaces at the end of a line, and takes rows of different lengths', () => {
  expect(table([['a', ''], ['b', 'c'], ['d'], []])).toEqual(['a', 'b  c', 'd', ''])
})

test('formatDuration() is short at every size', () => {
  const cases = { '-5': '0.0s', 0: '0.0s', 49: '0.0s', 412: '0.4s', 12345: '12.3s', 59940: '59.9s', 59960: '1m00s' }
  for (const [milliseconds, text] of Object.entries(cases)) expect(formatDuration(Number(milliseconds))).toBe(text)
  expect(formatDuration(125_000)).toBe('2m05s')
  expect(formatDuration(3_599_600)).toBe('1h00m')
  expect(formatDuration(3_725_000)).toBe('1h02m')
})

test('formatTime() is local time to the second, from any offset and precision', () => {
  const local = new Date(2026, 10, 22, 9, 2, 25)
  expect(formatTime(local.toISOString())).toBe('2026-11-22 09:02:25')
  expect(formatTime(local.toISOString().replace('.000Z', '.643123456Z'))).toBe('2026-11-22 09:02:25')
  const shifted = new Date(local.getTime() + 2 * 3600_000).toISOString().replace('.000Z', '+02:00')
  expect(formatTime(shifted)).toBe('2026-11-22 09:02:25')
  expect(formatTime('soon\u001b[2J')).toBe('soon')
  expect(formatTime('2026-13-45T99:00:00Z')).toBe('2026-13-45T99:00:00Z')
})

test.each([
  ['Asia/Kathmandu', '2026-11-22T18:20:25Z', '2026-11-23 00:05:25'],
  ['America/New_York', '2026-11-01T05:59:59Z', '2026-11-01 01:59:59'],
  ['America/New_York', '2026-11-01T06:00:00Z', '2026-11-01 01:00:00'],
  ['Europe/Berlin', '2026-03-29T00:59:59.9Z', '2026-03-29 01:59:59'],
  ['Europe/Berlin', '2026-03-29T01:00:00.1Z', '2026-03-29 03:00:00'],
])('formatTime() in %s of %s is %s', (zone, timestamp, local) => {
  const script = `console.log((await import('./lib/util/format.ts')).formatTime('${timestamp}'))`
  const { stdout } = Bun.spawnSync([process.execPath, '-e', script], { env: { ...process.env, TZ: zone } })
  expect(stdout.toString().trim()).toBe(local)
})

test('formatBytes() counts in thousands', () => {
  expect([0, 999, 1000, 1500, 999_949, 999_950, 32_000_000, 5e12, 5e15].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '1.5 kB',
    '999.9 kB',
    '1.0 MB',
    '32.0 MB',
    '5.0 TB',
    '5000.0 TB',
  ])
})

test('quote() keeps what somebody typed on one line', () => {
  expect(quote('prod')).toBe('"prod"')
  expect(quote('a\nb"c\u001b[31m\u0085\u007f')).toBe('"a\\u000ab\\"c\\u001b[31m\\u0085\\u007f"')
  expect(quote('x'.repeat(5000))).toHaveLength(102)
})

test('plainLine() takes out whatever could break or colour a line', () => {
  expect(plainLine('a plain one')).toBe('a plain one')
  expect(plainLine('\u001b[31mred\u001b[0m\r\nnext\u0007\u2028x')).toBe('red next x')
  expect(plainLine('\u001b]0;title\u0007shown')).toBe('shown')
  expect(plainLine('\u009b31mred')).not.toContain('\u009b')
})

test('plainText() keeps the lines of a text, and shows a progress line as it ends up', () => {
  expect(plainText('10%\r50%\r100%\nnext\tcolumn\r\n\u001b[1mend\u001b[0m\n\n')).toBe('100%\nnext    column\nend')
})
