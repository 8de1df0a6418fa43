import { expect, test } from 'bun:test'
import { formatAge } from '../../lib/status/services.ts'
import { HOUR } from '../scenes/status.ts'

test('formatAge() is short at every size', () => {
  const cases = { '-5': '0 s', 0: '0 s', 59999: '59 s', 60000: '1 min', 3599000: '59 min', 3600000: '1 h' }
  for (const [milliseconds, text] of Object.entries(cases)) expect(formatAge(Number(milliseconds))).toBe(text)
  expect(formatAge(47 * HOUR)).toBe('47 h')
  expect(formatAge(48 * HOUR)).toBe('2 d')
})
