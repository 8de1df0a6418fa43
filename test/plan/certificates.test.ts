import { expect, test } from 'bun:test'
import { refuseOtherCertificates } from '../../lib/plan/routes/certificates.ts'
import type { ProjectRoutes, Route } from '../../lib/plan/routes/table.ts'

const route = (service: string, more: Partial<Route> = {}): Route => ({
  ...{ service, hosts: ['shop.test'], path: `/${service}`, tls: 'auto', ports: { a: 80, b: 80 } },
  ...more,
})
const acme = { ca: 'https://ca.test/dir', email: 'ops@shop.test' }

/** @returns why routes of `shop` are refused, on a host with these of others */
function refused(routes: readonly Route[], others: ProjectRoutes = {}): string {
  try {
    refuseOtherCertificates('shop', routes, others)
    return 'nothing'
  } catch (error) {
    return String(error instanceof Error ? error.message : error)
  }
}

test('routes of one name with one kind of certificate are allowed, whatever other names have', () => {
  expect(refused([route('web'), route('api'), route('blog', { hosts: ['blog.test'], tls: 'internal' })])).toBe(
    'nothing',
  )
  expect(refused([route('web', { acme })], { blog: [route('blog', { acme: { ...acme } })] })).toBe('nothing')
  expect(refused([route('web')], { blog: [route('plain', { tls: 'off' })] })).toBe('nothing')
})

test('a name cannot have two: of two services, or of two projects with different CAs', () => {
  expect(refused([route('api', { tls: 'internal' }), route('web')])).toBe(
    'Cannot expose api as shop.test with tls: internal: web has that name with tls: auto',
  )
  expect(refused([route('web', { acme })], { blog: [route('blog', { acme: { email: 'me@blog.test' } })] })).toBe(
    'Cannot expose web as shop.test with tls: auto from ca.test for ops@shop.test: ' +
      'the project blog has that name with tls: auto for me@blog.test',
  )
})

test('a name that leads elsewhere counts', () => {
  expect(
    refused([route('web', { redirect: ['www.test'] }), route('www', { hosts: ['www.test'], tls: 'internal' })]),
  ).toBe('Cannot expose web as www.test with tls: auto: www has that name with tls: internal')
})

test('one project has the names of a *; exact names next to it are as those of others', () => {
  const open = route('web', { hosts: ['app.test', '*'], ask: '/allowed' })
  const more = [route('api', { hosts: ['*'], ask: '/allowed' }), route('app', { hosts: ['app.test'] })]
  expect(refused([open, ...more], { blog: [route('blog', { hosts: ['app.test', '*.test'], ask: '/x' })] })).toBe(
    'nothing',
  )
  expect(refused([open, route('api', { hosts: ['*'], ask: '/other' })])).toBe(
    'Cannot expose web as * with tls: {ask: /allowed}: api has that name with tls: {ask: /other}',
  )
  expect(refused([open], { blog: [route('blog', { hosts: ['*'], ask: '/allowed' })] })).toBe(
    'Cannot expose web as * with tls: {ask: /allowed}: the project blog has that name with tls: {ask: /allowed}',
  )
})

test('what the project itself had before does not count', () => {
  expect(refused([route('web', { acme })], { shop: [route('web', { tls: 'internal' })] })).toBe('nothing')
})
