import { expect, test } from 'bun:test'
import type { Docker } from '../../lib/docker/client.ts'
import type { Route } from '../../lib/plan/routes/table.ts'
import { readCertificates } from '../../lib/proxy/certificates/state.ts'
import { awaitCertificates } from '../../lib/proxy/certificates/wait.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { certificateOf, logged } from '../fakes/certificates.ts'

const AT = Date.UTC(2026, 10, 22, 8)
const route = (service: string, hosts: string[], more: Partial<Route> = {}): Route => ({
  ...{ service, hosts, path: '/', tls: 'auto', ports: { a: 80, b: 80 } },
  ...more,
})

/** A docker whose proxy prints these texts, one after the other; the last again and again. */
function printing(...texts: string[]): { docker: Docker; asked: string[] } {
  const asked: string[] = []
  const attempt: Docker['try'] = async (args) => {
    asked.push(args.slice(args.indexOf('stagecraft-certificates') + 1).join(' '))
    return {
      argv: args,
      code: 0,
      stdout: texts[Math.min(asked.length, texts.length) - 1] ?? '',
      stderr: '',
      timedOut: false,
    }
  }
  return { docker: { try: attempt, run: (_, args, options) => attempt(args, options), mask: createMask([]) }, asked }
}

const MADE = { from: '2026-11-01T08:00:00.000Z', until: '2027-01-30T08:00:00.000Z', issuer: "Let's Encrypt" }

test('readCertificates() finds the certificate of each name by the CA of its route', async () => {
  const acme = { ca: 'https://CA.test:14000/acme/dir' }
  const { docker, asked } = printing(
    certificateOf('shop.test') +
      certificateOf('own.test', 'ca.test-14000-acme-dir') +
      certificateOf('other.test') +
      certificateOf('in.test', 'local') +
      certificateOf('ex.test', 'other') +
      certificateOf('shop/given', 'own'),
  )
  const routes = [
    route('web', ['shop.test', 'plain.test']),
    route('own', ['own.test'], { acme }),
    route('moved', ['other.test'], { acme }),
    route('in', ['in.test', 'ex.test'], { tls: 'internal' }),
    route('off', ['off.test'], { tls: 'off' }),
    route('given', ['given.test', '*.given.test'], { tls: 'own' }),
  ]
  expect(await readCertificates(docker, { shop: routes })).toEqual([
    { name: 'shop.test', service: 'web', tls: 'auto', ...MADE },
    { name: 'plain.test', service: 'web', tls: 'auto' },
    { name: 'own.test', service: 'own', tls: 'auto', ...MADE },
    { name: 'other.test', service: 'moved', tls: 'auto', ...MADE },
    { name: 'in.test', service: 'in', tls: 'internal', ...MADE },
    { name: 'ex.test', service: 'in', tls: 'internal' },
    { name: 'given.test', service: 'given', tls: 'own', ...MADE },
    { name: '*.given.test', service: 'given', tls: 'own', ...MADE },
  ])
  expect(asked).toEqual(['shop.test plain.test own.test other.test in.test ex.test shop/given'])
})

test('readCertificates() asks no service where nothing has one', async () => {
  const { docker, asked } = printing('')
  expect(await readCertificates(docker, { shop: [route('off', ['off.test'], { tls: 'off' })] })).toEqual([])
  expect(asked).toEqual([])
})

test('readCertificates() says what became of the last attempt', async () => {
  const error =
    '[a.test] creating new order: dial tcp: connection refused (order=https://ca.test/1) (ca=https://ca.test/dir)'
  const limit =
    'HTTP 429 urn:ietf:params:acme:error:rateLimited - too many certificates for "test", problem "…": again (ca=…)'
  const { docker } = printing(
    logged('a.test', 'obtaining certificate', AT) +
      logged('a.test', 'could not get certificate from issuer', AT, error) +
      logged('b.test', 'could not get certificate from issuer', AT, limit) +
      logged('b.test', 'obtaining certificate', AT + 60_000) +
      logged('c.test', 'could not get certificate from issuer', AT, error) +
      logged('c.test', 'certificate renewed successfully', AT) +
      '{"level":"err',
  )
  const states = await readCertificates(docker, { shop: [route('web', ['a.test', 'b.test', 'c.test'])] })
  const failed_at = '2026-11-22T08:00:00.000Z'
  const base = { service: 'web', tls: 'auto' } as const
  expect(states).toEqual([
    { ...base, name: 'a.test', error: 'creating new order: dial tcp: connection refused', failed_at },
    { ...base, name: 'b.test', error: 'rateLimited: too many certificates for "test"', failed_at, requested: true },
    { ...base, name: 'c.test' },
  ])
})

test('awaitCertificates() waits until all are there, or the CA has refused, a minute at most', async () => {
  let now = AT
  const sleep = async (ms: number) => {
    now += ms
  }
  const clock = { now: () => now, sleep }
  const waited = async (...texts: string[]) => {
    const began = now
    const missing = await awaitCertificates(printing(...texts).docker, clock, { shop: [route('web', ['a.test'])] })
    return [missing.map(({ name, error }) => `${name}: ${error}`), now - began]
  }
  const asks = logged('a.test', 'obtaining certificate', AT)
  const fails = logged('a.test', 'could not get certificate from issuer', AT, 'no')
  expect(await waited(certificateOf('a.test'))).toEqual([[], 0])
  expect(await waited('', asks, asks, certificateOf('a.test'))).toEqual([[], 1500])
  expect(await waited(asks, asks + fails)).toEqual([['a.test: no'], 500])
  expect(await waited(asks)).toEqual([['a.test: undefined'], 60_500])
})
