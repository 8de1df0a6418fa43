import { expect, test } from 'bun:test'
import type { Docker } from '../../lib/docker/client.ts'
import type { ProjectRoutes, Route } from '../../lib/plan/routes/table.ts'
import { caddyConfig } from '../../lib/proxy/caddy/config.ts'
import { readCertificates } from '../../lib/proxy/certificates/state.ts'
import { awaitCertificates } from '../../lib/proxy/certificates/wait.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { judgeCertificate } from '../../lib/status/certificates.ts'
import { askChecks } from '../../lib/status/doctor/exposed.ts'
import { certificateOf, logged } from '../fakes/certificates.ts'

const AT = Date.UTC(2026, 10, 22, 8)
const route = (service: string, hosts: string[], more: Partial<Route> = {}): Route => ({
  ...{ service, hosts, path: '/', tls: 'auto', ports: { a: 80, b: 80 } },
  ...more,
})
const OPEN: ProjectRoutes = {
  blog: [route('blog', ['*.blog.test'], { ask: '/blogs' })],
  shop: [
    route('api', ['*'], { ask: '/allowed', path: '/api' }),
    route('web', ['app.test', '*'], { ask: '/allowed' }),
    route('plain', ['plain.test', 'plain.internal']),
    route('wild', ['*.blog.test'], { tls: 'off', path: '/off' }),
  ],
}

interface Server {
  readonly routes: readonly { match?: unknown; handle: { uri?: string; routes?: unknown; handler: string }[] }[]
  readonly tls_connection_policies?: unknown
}
const config = (projects: ProjectRoutes) =>
  JSON.parse(JSON.stringify(caddyConfig(projects))) as {
    apps: { tls: unknown; http: { servers: Record<string, Server> } }
  }

test('caddyConfig() has a policy for all names, the last; what Caddy does in its own way is said for every other name', () => {
  expect(config(OPEN).apps.tls).toEqual({
    automation: {
      policies: [
        { subjects: ['plain.internal'], issuers: [{ module: 'internal' }] },
        { subjects: ['app.test', 'plain.test'] },
        { subjects: ['*.blog.test'], on_demand: true },
        { on_demand: true },
      ],
      on_demand: { permission: { module: 'http', endpoint: 'http://127.0.0.1:2020/ask' } },
    },
  })
  const { blog = [] } = OPEN
  expect(config({ blog, shop: [route('plain', ['plain.test'])] }).apps.tls).toMatchObject({
    automation: { policies: [{ subjects: ['*.blog.test'], on_demand: true }] },
  })
})

test('caddyConfig() names what is below a wildcard, of any project: it would get the certificate of that, or none', () => {
  const wild = route('wild', ['*.shop.test', 'also.test'], { tls: 'own' })
  const names = ['a.shop.test', 'a.b.shop.test', 'shop.test']
  expect(config({ blog: [route('blog', names)], shop: [wild] }).apps.tls).toMatchObject({
    certificates: { automate: ['a.shop.test'] },
    automation: {
      policies: [{ subjects: ['also.test'] }, { subjects: ['a.shop.test'] }, { subjects: ['*.shop.test'] }],
    },
  })
  expect(config({ blog: [route('blog', names)], shop: [{ ...wild, tls: 'off' }] }).apps.tls).toBeUndefined()
})

test('caddyConfig() asks the live slot of the service with the shortest path, by its first whole name', () => {
  const { routes = [] } = config(OPEN).apps.http.servers['certificates'] ?? {}
  const domain = '{http.request.uri.query.domain}'
  expect(routes.map(({ match, handle }) => [match, handle[0]?.uri])).toEqual([
    [[{ path: ['/ask'], expression: `${domain}.endsWith(".blog.test")` }], '/blogs?{http.request.uri.query}'],
    [[{ path: ['/ask'] }], '/allowed?{http.request.uri.query}'],
  ])
  const headers = (name: string) => ({
    handler: 'headers',
    request: { set: { Host: [name], 'X-Forwarded-Proto': ['https'] } },
  })
  expect(routes.map(({ handle }) => handle[1])).toEqual([headers(domain), headers('app.test')] as never)
  const [, passed = ''] = routes.map(({ handle }) => JSON.stringify(handle[2]))
  expect(passed).toContain('a.web.shop.stagecraft.internal:80')
  expect(passed).toContain('"trusted_proxies":["127.0.0.1"]') // or else it would say http
})

test('caddyConfig() serves all names after those that somebody has, and leads them to HTTPS', () => {
  const { servers } = config(OPEN).apps.http
  const matches = (port: number) => servers[`port-${port}`]?.routes.slice(1).map(({ match }) => match)
  expect(matches(443)).toEqual([
    [{ host: ['app.test'] }],
    [{ host: ['plain.test', 'plain.internal'] }],
    [{ host: ['*.blog.test'] }],
    [{ path: ['/api', '/api/*'] }],
    undefined,
    undefined,
  ])
  expect(servers['port-443']?.tls_connection_policies).toEqual([{}])
  const redirect = {
    handler: 'static_response',
    status_code: '308',
    headers: { Location: ['https://{http.request.host}{http.request.uri}'] },
  }
  expect(servers['port-80']?.routes.slice(2, 4).map(({ handle }) => handle)).toEqual([[redirect], [redirect]] as never)
  const served = config({ shop: [route('web', ['*'], { ask: '/allowed', rules: { http: 'serve' } })] })
  expect(JSON.stringify(served.apps.http.servers['port-80'])).not.toContain('308')
})

/** A docker whose proxy prints this. */
function printing(stdout: string): { docker: Docker; asked: string[] } {
  const asked: string[] = []
  const attempt: Docker['try'] = async (args) => {
    asked.push(...args.slice(args.indexOf('stagecraft-certificates') + 1))
    return { argv: args, code: 0, stdout, stderr: '', timedOut: false }
  }
  return { docker: { try: attempt, run: (_, args, options) => attempt(args, options), mask: createMask([]) }, asked }
}

const { shop = [], blog = [] } = OPEN
const states = (stdout: string) => readCertificates(printing(stdout).docker, { shop: shop.slice(0, 2), blog })
const base = { tls: 'auto', on_demand: true } as const
const names = { all: { ...base, name: '*', service: 'web' }, blog: { ...base, name: '*.blog.test', service: 'blog' } }

test('readCertificates() asks each service about a name of nobody; of visitors’ names it shows those that failed', async () => {
  const { docker, asked } = printing('')
  await readCertificates(docker, { shop: shop.slice(0, 2), blog })
  expect(asked).toEqual([
    'app.test',
    'ask:http://127.0.0.1:2020/ask?domain=stagecraft-asks.invalid',
    'ask:http://127.0.0.1:2020/ask?domain=stagecraft-asks.blog.test',
  ])
  const printed =
    `${certificateOf('app.test')}asked stagecraft-asks.blog.test HTTP/1.1 204 No Content\n` +
    'asked stagecraft-asks.invalid HTTP/1.1 404 Not Found\n' +
    logged('kunde.test', 'could not get certificate from issuer', AT, 'no A record') +
    logged('a.blog.test', 'could not get certificate from issuer', AT + 1000, 'refused') +
    logged('fine.test', 'certificate obtained successfully', AT)
  expect((await states(printed)).slice(1)).toEqual([
    { ...names.all, answer: 404 },
    { ...names.blog, answer: 204 },
    { ...names.blog, name: 'a.blog.test', error: 'refused', failed_at: '2026-11-22T08:00:01.000Z' },
    { ...names.all, name: 'kunde.test', error: 'no A record', failed_at: '2026-11-22T08:00:00.000Z' },
  ])
})

test.each([
  ['', 'web, asked for /allowed, does not answer'],
  ['HTTP/1.1 502 Bad Gateway', 'web, asked for /allowed, answers 502'],
  ['HTTP/1.1 302 Found', 'web, asked for /allowed, redirects (302), which is a no'],
])('a service that answers "%s": no name gets one, and a deploy, status and doctor say so', async (status, error) => {
  const printed = `${certificateOf('app.test')}asked stagecraft-asks.invalid ${status}\n`
  const routes = { shop: [route('web', ['app.test', '*'], { ask: '/allowed' })] }
  const { docker } = printing(printed)
  const clock = { now: () => AT, sleep: async () => {} }
  const [missing, ...others] = await awaitCertificates(docker, clock, routes)
  expect([missing?.name, missing?.error, others]).toEqual(['*', error, []])
  expect(missing && judgeCertificate(missing, AT).problem).toBe(`no new name gets one: ${error}`)
  const services = { web: { expose: { host: ['*'], port: 80, tls: { ask: '/allowed' } }, rollout: {} } } as never
  expect(askChecks(services, missing ? [missing] : [])).toMatchObject([{ ok: false, found: error }])
})

test('a service that allows any name works, and doctor warns of it; one that refuses some is well', async () => {
  const check = (answer: number) =>
    askChecks({ web: { expose: { host: ['*'], port: 80, tls: { ask: '/x' } }, rollout: {} } } as never, [
      { ...names.all, answer },
    ])
  expect(check(200)).toMatchObject([{ ok: false, what: 'certificates of *', found: 'web allows any name (200)' }])
  expect(check(404)).toMatchObject([{ ok: true, found: 'on demand; web answers 404 for a name of nobody' }])
  expect(judgeCertificate({ ...names.all, answer: 200 }, AT).problem).toBeUndefined()
})
