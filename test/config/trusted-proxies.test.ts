import { expect, test } from 'bun:test'
import { isRange, trustedRanges } from '../../lib/config/edge/trusted-proxies.ts'

test.each([
  ['10.0.0.0/8', true],
  ['203.0.113.7', true],
  ['0.0.0.0/0', true],
  ['2001:db8::/32', true],
  ['::1', true],
  ['::ffff:10.0.0.1', true],
  ['10.0.0.0/33', false],
  ['10.0.0.0/08', false],
  ['10.0.0.0/8/8', false],
  ['10.0.0', false],
  ['010.0.0.1', false],
  ['256.0.0.1', false],
  ['fe80::1%eth0', false],
  ['2001:db8::/129', false],
  ['balancer.example.com', false],
  ['', false],
  ['{env.X}', false],
])('isRange() of %s is %p', (text, is) => {
  expect(isRange(text)).toBe(is)
})

test('trustedRanges() are private ones behind a balancer, nobody otherwise, and what is said', () => {
  expect(trustedRanges({})).toEqual([])
  expect(trustedRanges({ tls: 'internal' })).toEqual([])
  expect(trustedRanges({ tls: 'off' })).toContain('10.0.0.0/8')
  expect(trustedRanges({ tls: 'off', trusted_proxies: [] })).toEqual([])
  expect(trustedRanges({ trusted_proxies: ['203.0.113.7', 'private_ranges', '10.0.0.0/8'] })).toEqual([
    '203.0.113.7',
    ...trustedRanges({ tls: 'off' }),
  ])
})
