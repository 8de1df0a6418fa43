import { expect, test } from 'bun:test'
import { parseConfig } from '../../lib/config/parse.ts'
import { exposedChecks, LOOPBACK, type Place } from '../../lib/status/doctor/exposed.ts'
import type { Certificate, Network } from '../../lib/system/network/reach.ts'

const NOW = Date.UTC(2026, 10, 22)
const DAY = 86_400_000
const ADDRESS = '203.0.113.7'

interface Seen {
  readonly names?: Readonly<Record<string, readonly string[] | undefined>>
  readonly ports?: Readonly<Record<number, 'open' | 'refused' | 'silent'>>
  readonly certificate?: Certificate | undefined
}

/** A network in which all is well, but for what is given. */
function fakeNetwork({ names = {}, ports = {}, ...more }: Seen): Network {
  const good = { from: NOW - 30 * DAY, until: NOW + 60 * DAY, issuer: "Let's Encrypt", fits: true }
  return {
    resolve: async (name) => (name in names ? names[name] : [ADDRESS]),
    knock: async (_, port) => ports[port] ?? 'open',
    certificate: async () => ('certificate' in more ? more.certificate : good),
    own: () => ['127.0.0.1', '192.0.2.9'],
  }
}

const HOST: Place = { label: '', key: 'web-1', address: 'web-1', listens: [80, 443], failures: new Map() }

/** @returns the rows, with what to do below those that say it */
async function rows(expose: string, seen: Seen = {}, places: readonly Place[] = [HOST]): Promise<string[]> {
  const { environments } = parseConfig(`environments: {prod: {services: {web: {expose: ${expose}}}}}`)
  const services = environments['prod']?.services ?? {}
  const checks = await exposedChecks({ services }, places, { network: fakeNetwork(seen), now: NOW })
  return checks.flatMap(({ ok, what, found, remedy }) => [
    `${ok ? 'ok' : 'BAD'} ${what}: ${found}`,
    ...(remedy ? [`  ${remedy}`] : []),
  ])
}

const AUTO = '{host: shop.test, port: 3000}'
const INTERNAL = '{host: shop.test, port: 3000, tls: internal}'
const OFF = '{host: shop.test, port: 3000, tls: off}'

test('all is well', async () => {
  expect(await rows(AUTO)).toEqual([
    'ok DNS of shop.test: 203.0.113.7',
    'ok port 80: open from here',
    'ok port 443: open from here',
    "ok certificate of shop.test: until 2027-01-21, by Let's Encrypt",
  ])
  expect(await rows(OFF)).toEqual(['ok DNS of shop.test: 203.0.113.7', 'ok port 80: open from here'])
})

test('a name that does not exist is a problem where a certificate needs it', async () => {
  const none = { names: { 'shop.test': [] } }
  expect((await rows(AUTO, none)).slice(0, 2)).toEqual([
    'BAD DNS of shop.test: there is no such name',
    '  Make a DNS record with the address of the host: the certificate needs it.',
  ])
  expect((await rows(OFF, none))[0]).toBe('ok DNS of shop.test: there is no such name here')
})

test('another address is no problem: a proxy may be in front; nor is a name server that does not answer', async () => {
  expect((await rows(AUTO, { names: { 'shop.test': ['10.0.0.1'] } })).slice(0, 2)).toEqual([
    "ok DNS of shop.test: 10.0.0.1: another address than the host's",
    '  Right if a proxy, a CDN or NAT is in front of it.',
  ])
  expect((await rows(AUTO, { names: { 'shop.test': undefined } }))[0]).toBe(
    'ok DNS of shop.test: not known: no name server answers here',
  )
  expect((await rows(AUTO, { names: { 'web-1': undefined } }))[0]).toBe('ok DNS of shop.test: 203.0.113.7')
})

test('a port that never answers is a problem, unless only http is exposed', async () => {
  expect((await rows(AUTO, { ports: { 443: 'silent' } })).slice(2)).toEqual([
    'BAD port 443: no answer from here',
    '  Open port 443 in the firewall of the host, and of its provider.',
  ])
  expect((await rows(OFF, { ports: { 80: 'silent' } })).slice(1)).toEqual([
    'ok port 80: no answer from here',
    '  Right if a proxy of your own is in front of it, or a VPN.',
  ])
  expect(await rows(AUTO, { ports: { 80: 'refused' } })).toContain('BAD port 80: refused, though the proxy runs')
})

test('before the first deploy nothing listens, and there is no certificate', async () => {
  const first = [{ ...HOST, listens: [] }]
  expect((await rows(AUTO, { ports: { 80: 'refused', 443: 'refused' } }, first)).slice(1)).toEqual([
    'ok port 80: nothing listens yet',
    'ok port 443: nothing listens yet',
  ])
  expect(await rows(AUTO, { ports: { 80: 'silent' } }, first)).toContain('BAD port 80: no answer from here')
})

test('a certificate that ends soon, or is none, is a problem', async () => {
  const last = async (expose: string, certificate: Certificate | undefined) =>
    (await rows(expose, { certificate })).find((row) => row.includes('certificate'))
  const by = (issuer: string, days: number, fits = true) => ({
    from: NOW - DAY * 76,
    until: NOW + days * DAY,
    issuer,
    fits,
  })
  expect(await last(AUTO, undefined)).toBe('BAD certificate of shop.test: there is none')
  expect(await last(AUTO, by('R11', -1))).toBe('BAD certificate of shop.test: expired on 2026-11-21, by R11')
  expect(await last(AUTO, by('R11', 13.9))).toStartWith('BAD certificate of shop.test: until 2026-12-05')
  expect(await last(AUTO, by('R11', 14))).toStartWith('ok certificate of shop.test: until 2026-12-06')
  expect(await last(AUTO, by('nginx', 90, false))).toBe('BAD certificate of shop.test: for another name, by nginx')
  const own = by('Caddy Local Authority - ECC Intermediate', 0.4)
  expect(await last(INTERNAL, own)).toBe("ok certificate of shop.test: by Caddy's own authority")
  expect(await rows(AUTO, { certificate: own })).toContain('  Only browsers that trust that authority accept it.')
})

test('a certificate of a few days is no problem while a quarter of its life is left', async () => {
  const ends = async (hours: number) => {
    const certificate = {
      from: NOW + (hours - 6 * 24) * 3_600_000,
      until: NOW + hours * 3_600_000,
      issuer: 'R11',
      fits: true,
    }
    return (await rows(AUTO, { certificate })).find((row) => row.includes('certificate'))
  }
  expect(await ends(36)).toStartWith('ok certificate of shop.test: until 2026-11-23')
  expect(await ends(35)).toStartWith('BAD certificate of shop.test: until 2026-11-23')
})

test('why the CA has refused is said', async () => {
  const refused = { ...HOST, failures: new Map([['shop.test', 'rateLimited: too many certificates']]) }
  const last = async (seen: Seen) => (await rows(AUTO, seen, [refused])).find((row) => row.includes('certificate'))
  const because = 'the last attempt failed: rateLimited: too many certificates'
  expect(await last({ certificate: undefined })).toBe(`BAD certificate of shop.test: there is none; ${because}`)
  expect(await last({})).toBe(`ok certificate of shop.test: until 2027-01-21, by Let's Encrypt; ${because}`)
})

test('a name with a * has no record of its own', async () => {
  const wild = await rows('{host: "*.shop.test", port: 3000, tls: internal}')
  expect(wild).toEqual(['ok port 80: open from here', 'ok port 443: open from here'])
})

test('each host is looked at for the services that it has; one behind another machine is not', async () => {
  const { environments } = parseConfig(`
environments:
  prod:
    hosts: [web-1, web-2, web-3]
    services:
      web: {hosts: web-1, expose: {host: shop.test, port: 1}}
      api: {hosts: web-2, expose: {host: api.test, port: 1}}`)
  const places = ['web-1', 'web-2', 'web-3'].map((key) => ({
    label: `${key}: `,
    key,
    address: key,
    listens: [80, 443],
    failures: new Map<string, string>(),
  }))
  const services = environments['prod']?.services ?? {}
  const behind = places.map((place) => (place.key === 'web-2' ? { ...place, address: undefined } : place))
  const found = await exposedChecks({ services }, behind, { network: fakeNetwork({}), now: NOW })
  expect(found.map(({ what, found: text }) => `${what}: ${text}`)).toEqual([
    'DNS of shop.test: 203.0.113.7',
    'DNS of api.test: 203.0.113.7',
    'web-1: port 80: open from here',
    'web-1: port 443: open from here',
    "web-1: certificate of shop.test: until 2027-01-21, by Let's Encrypt",
    'web-2: ports: not tried: no direct way to the host is known',
  ])
})

test('this machine is reached by its own address', async () => {
  const here = [{ ...HOST, address: LOOPBACK }]
  expect((await rows(OFF, { names: { 'shop.test': ['192.0.2.9'] } }, here))[0]).toBe('ok DNS of shop.test: 192.0.2.9')
})

test('before the first route with a certificate the proxy does not listen on 443', async () => {
  const refused = { ports: { 443: 'refused' } } as const
  expect((await rows(AUTO, refused, [{ ...HOST, listens: [80] }])).at(-1)).toBe('ok port 443: nothing listens yet')
  expect(await rows(AUTO, refused)).toContain('BAD port 443: refused, though the proxy runs')
})
