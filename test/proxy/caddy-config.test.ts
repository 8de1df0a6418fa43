import { describe, expect, test } from 'bun:test'
import type { ProjectRoutes, Route } from '../../lib/plan/routes/table.ts'
import { caddyConfig } from '../../lib/proxy/caddy/config.ts'
import { PROXY_FOLDER } from '../../lib/proxy/inside/scripts.ts'
import { askCaddy, type CaddyConfig, type CaddyRequest } from '../fakes/caddy.ts'
import { expectGoldenFile } from '../support/golden.ts'

const route = (service: string, more: Partial<Route> = {}): Route => ({
  ...{ service, hosts: [`${service}.example.com`], path: '/', tls: 'off', ports: { a: 3000, b: 3000 } },
  ...more,
})
const internal = (port: number, subnets: string[], names = ['api']) => ({ port, names, networks: ['n'], subnets })

/** Two projects that have an internal `api` on port 4000 each. */
const RICH: ProjectRoutes = {
  shop: [
    route('api', { hosts: [], ports: { a: 4000, b: 4001 }, internal: internal(4000, ['10.1.0.0/24', '10.2.0.0/24']) }),
    route('web', { hosts: ['shop.example.com', 'www.example.com'], tls: 'auto' }),
    route('files', { hosts: ['shop.example.com'], path: '/files', tls: 'auto' }),
  ],
  blog: [
    route('api', { hosts: ['api.example.com'], tls: 'internal', internal: internal(4000, ['10.3.0.0/24']) }),
    route('web', { hosts: ['*.example.com'], tls: 'off' }),
  ],
}
/** As JSON: what Caddy is given. */
const config = (projects: ProjectRoutes) => JSON.parse(JSON.stringify(caddyConfig(projects))) as CaddyConfig
const live = (...files: string[]) => new Set(files.map((file) => `${PROXY_FOLDER}/live/${file}`))

test('caddyConfig() writes all of it, for two projects', () => {
  expectGoldenFile('caddy-config.json', `${JSON.stringify(caddyConfig(RICH), null, 2)}\n`)
})

test('caddyConfig() of no project answers 404, and has nothing for certificates', () => {
  expect(config({})).toEqual({
    admin: { listen: '127.0.0.1:2019' },
    logging: config(RICH).logging,
    apps: {
      http: {
        servers: {
          'port-80': {
            listen: [':80'],
            routes: [{ handle: [{ handler: 'static_response', status_code: '404', body: 'No such site.\n' }] }],
          },
        },
      },
    },
  } as never)
})

test('caddyConfig() reads PROXY headers of the balancers of all projects, at the ports of visitors', () => {
  const [web, blog] = [
    route('web', { tls: 'auto', proxy_protocol: ['10.0.0.7', '::1', '10.0.0.0/16'] }),
    route('blog', { proxy_protocol: ['10.0.0.7'], internal: internal(4000, ['10.3.0.0/24']) }),
  ]
  const { servers } = config({ shop: [web], blog: [blog] }).apps.http
  const wrappers = [
    { wrapper: 'proxy_protocol', timeout: '5s', allow: ['10.0.0.0/16', '10.0.0.7/32', '::1/128'] },
    { wrapper: 'tls' },
  ]
  const found = Object.entries(servers).map(([name, server]) => [name, Object(server).listener_wrappers])
  expect(Object.fromEntries(found)).toEqual({ 'port-80': wrappers, 'port-443': wrappers, 'port-4000': undefined })
})

test('caddyConfig() has a policy for each CA, of all names that use it; the account key stays in its file', () => {
  const acme = { ca: 'https://ca.test/dir', email: 'ops@example.com', root: 'PEM', eab: { key_id: 'k', hmac: 'abc' } }
  const { apps } = JSON.parse(
    JSON.stringify(
      caddyConfig({
        shop: [
          route('web', { tls: 'auto', acme }),
          route('api', { tls: 'auto', acme, path: '/api', hosts: ['web.example.com', 'shop.localhost'] }),
        ],
        blog: [route('blog', { tls: 'auto', acme: { email: 'ops@example.com' } }), route('plain', { tls: 'auto' })],
      }),
    ),
  ) as { apps: { tls: unknown } }
  expect(apps.tls).toEqual({
    automation: {
      policies: [
        {
          subjects: ['web.example.com'],
          issuers: [
            {
              module: 'acme',
              ca: 'https://ca.test/dir',
              email: 'ops@example.com',
              trusted_roots_pem_files: [`${PROXY_FOLDER}/keys/shop/384fb9a44fabe158`],
              external_account: { key_id: 'k', mac_key: `{file.${PROXY_FOLDER}/keys/shop/abc}` },
            },
          ],
        },
        { subjects: ['blog.example.com'], issuers: [{ module: 'acme', email: 'ops@example.com' }] },
      ],
    },
  })
})

test('caddyConfig() lets Caddy look for the certificates that operators give at each handshake', () => {
  const web = { tls: 'own', hosts: ['shop.test', '*.shop.test'] } as const
  const { apps } = JSON.parse(
    JSON.stringify(caddyConfig({ shop: [route('web', web), route('api', { ...web, path: '/api' })] })),
  ) as { apps: { tls: unknown; http: { servers: Record<string, unknown> } } }
  const given = {
    issuers: [{ module: 'internal' }],
    get_certificate: [{ via: 'http', url: 'http://127.0.0.1:2020/shop/web.pem' }],
  }
  expect(apps.tls).toEqual({
    automation: {
      policies: [
        { subjects: ['shop.test'], ...given },
        { subjects: ['*.shop.test'], ...given },
      ],
    },
  })
  expect(apps.http.servers['certificates']).toEqual({
    listen: ['127.0.0.1:2020'],
    automatic_https: { disable: true },
    routes: [{ match: [{ path: ['*.pem'] }], handle: [{ handler: 'file_server', root: `${PROXY_FOLDER}/keys` }] }],
  })
})

test('caddyConfig() sends the visitors of other names to the first, after all whole names and before wildcards', () => {
  const to = { hosts: ['shop.test', 'also.test'], redirect: ['www.shop.test', 'shop.old'] }
  const servers = (tls: 'off' | 'auto') => {
    const projects = {
      blog: [route('blog', { tls, hosts: ['*.shop.test'] })],
      shop: [route('web', { tls, ...to }), route('news', { tls, hosts: ['www.shop.test'], path: '/news' })],
    }
    const all = config(projects).apps.http.servers
    return all[`port-${tls === 'off' ? 80 : 443}`]?.routes.slice(1) ?? [] // the first ends connections
  }
  expect(servers('auto').map(({ match }) => match?.[0]?.host)).toEqual([
    ['www.shop.test'],
    ['shop.test', 'also.test'],
    ['www.shop.test', 'shop.old'],
    ['*.shop.test'],
    undefined,
  ])
  const answer = (location: string) => [
    { handler: 'static_response', status_code: '308', headers: { Location: [location] } } as never,
  ]
  expect(servers('auto')[2]?.handle).toEqual(answer('https://shop.test{http.request.uri}'))
  expect(servers('off')[2]?.handle).toEqual(answer('//shop.test{http.request.uri}'))
})

test('caddyConfig() is the same whatever the order of projects', () => {
  const { shop = [], blog = [] } = RICH
  expect(JSON.stringify(config({ blog, shop }))).toBe(JSON.stringify(config({ shop, blog })))
})

describe('a request', () => {
  const ALL = live('shop/api.a', 'shop/web.a', 'shop/files.b', 'blog/api.b', 'blog/web.a')
  const ask = (request: Partial<CaddyRequest>, files = ALL, projects = RICH) =>
    askCaddy(
      config(projects),
      { host: 'shop.example.com', path: '/', port: 443, from: '203.0.113.7/32', ...request },
      files,
    )
  const dial = (service: string, port: number) => ({ dial: `${service}.stagecraft.internal:${port}` })

  test('goes to the slot that is live, on its own port', () => {
    expect(ask({})).toEqual(dial('a.web.shop', 3000))
    expect(ask({}, live('shop/web.b'))).toEqual(dial('b.web.shop', 3000))
  })

  test('is answered 503 while none is', () => {
    expect(ask({}, live())).toEqual({ status: 503 })
  })

  test.each([
    ['/files', 'b.files.shop'],
    ['/files/a/b', 'b.files.shop'],
    ['/filesystem', 'a.web.shop'],
    ['/', 'a.web.shop'],
  ])('for %s goes to the most specific path: %s', (path, service) => {
    expect(ask({ path })).toEqual(dial(service, 3000))
  })

  test('for a host that is named goes there, and not to a wildcard', () => {
    const projects = { a: [route('any', { hosts: ['*.example.com'] })], b: [route('one')] }
    const files = live('a/any.a', 'b/one.a')
    expect(ask({ host: 'one.example.com', port: 80 }, files, projects)).toEqual(dial('a.one.b', 3000))
    expect(ask({ host: 'two.example.com', port: 80 }, files, projects)).toEqual(dial('a.any.a', 3000))
    expect(ask({ host: 'a.b.example.com', port: 80 }, files, projects)).toEqual({ status: 404 })
  })

  // A path below a wildcard of one project takes requests to another project's own host.
  test('for a host that is named goes there, also if a wildcard of another project has a longer path', () => {
    const projects = { a: [route('any', { hosts: ['*.example.com'], path: '/api' })], b: [route('one')] }
    const files = live('a/any.a', 'b/one.a')
    expect(ask({ host: 'one.example.com', port: 80, path: '/api' }, files, projects)).toEqual(dial('a.one.b', 3000))
  })

  // A route with a wildcard among its hosts is sorted as one, with all of them.
  test('for a host that is named goes there, also if its route has a wildcard besides', () => {
    const projects = {
      a: [route('any', { hosts: ['*.example.com'] })],
      b: [route('one', { hosts: ['one.example.com', '*.other.com'] })],
    }
    const files = live('a/any.a', 'b/one.a')
    expect(ask({ host: 'one.example.com', port: 80 }, files, projects)).toEqual(dial('a.one.b', 3000))
  })

  test('for an unknown host is answered 404, on every port', () => {
    expect(ask({ host: 'nobody.net' })).toEqual({ status: 404 })
    expect(ask({ host: 'nobody.net', port: 80 })).toEqual({ status: 404 })
    expect(ask({ host: 'api', port: 4000 })).toEqual({ status: 404 })
    expect(ask({ port: 8080 })).toBeUndefined()
  })

  test('of an internal caller goes to its own project', () => {
    const call = (from: string, host = 'api') => ask({ host, port: 4000, from })
    expect(call('10.1.0.0/24')).toEqual(dial('a.api.shop', 4000))
    expect(call('10.2.0.0/24')).toEqual(dial('a.api.shop', 4000))
    expect(call('10.3.0.0/24')).toEqual(dial('b.api.blog', 3000))
    expect(call('10.4.0.0/24')).toEqual({ status: 404 })
    expect(call('10.1.0.0/24', 'shop.example.com')).toEqual(dial('a.api.shop', 4000)) // what it forwards
  })

  test('of an internal caller is recognized by its name where two services have the port', () => {
    const subnets = ['10.1.0.0/24']
    const projects = {
      shop: [
        route('api', { hosts: [], internal: internal(80, subnets, ['api', 'backend']) }),
        route('auth', { hosts: [], internal: internal(80, subnets, ['auth']) }),
        route('web'),
      ],
    }
    const files = live('shop/api.a', 'shop/auth.a', 'shop/web.a')
    const call = (host: string) => ask({ host, port: 80, from: '10.1.0.0/24' }, files, projects)
    expect(['api', 'backend', 'auth', 'web.example.com', 'other'].map(call)).toEqual([
      dial('a.api.shop', 3000),
      dial('a.api.shop', 3000),
      dial('a.auth.shop', 3000),
      dial('a.web.shop', 3000),
      { status: 404 },
    ])
  })

  describe('on a network that two projects share, at one port', () => {
    const shared = (name: string, subnets: string[], named?: string[]) => [
      route(name, { hosts: [], internal: { ...internal(80, subnets, [name]), ...(named ? { named } : {}) } }),
    ]
    const projects = {
      zoo: shared('api', ['10.1.0.0/24']),
      blog: shared('mail', ['10.1.0.0/24', '10.2.0.0/24'], ['10.1.0.0/24']),
    }
    const call = (host: string, from = '10.1.0.0/24') =>
      askCaddy(config(projects), { host, path: '/', port: 80, from }, live('zoo/api.a', 'blog/mail.a'))
    const [api, mail] = ['a.api.zoo', 'a.mail.blog'].map((dial) => ({ dial: `${dial}.stagecraft.internal:3000` }))

    test('is recognized by the name that is called, in any case and with its network', () => {
      expect(['api', 'mail', 'MAIL', 'mail.n'].map((name) => call(name))).toEqual([api, mail, mail, mail])
    })

    test('goes by any other name to who was there first', () => {
      expect([call('shop.example.com'), call('shop.example.com', '10.2.0.0/24')]).toEqual([api, mail])
    })
  })

  test('of nobody is internal where the subnets are not known', () => {
    const projects = { shop: [route('api', { hosts: [], internal: internal(80, []) })] }
    expect(ask({ host: 'api', port: 80, from: '10.1.0.0/24' }, live('shop/api.a'), projects)).toEqual({ status: 404 })
  })

  test('gets the page under maintenance, but for internal callers and other projects', () => {
    const files = new Set([...ALL, `${PROXY_FOLDER}/maintenance/shop.html`])
    expect(ask({}, files)).toEqual({ status: 503 })
    expect(ask({ path: '/files/x' }, files)).toEqual({ status: 503 })
    expect(ask({ host: 'api', port: 4000, from: '10.1.0.0/24' }, files)).toEqual(dial('a.api.shop', 4000))
    expect(ask({ host: 'any.example.com', port: 80 }, files)).toEqual(dial('a.web.blog', 3000))
  })
})

test('caddyConfig() passes on what trusted senders say, and what internal callers do', () => {
  const web = route('web', { trusted: ['10.0.0.0/8'] })
  const api = route('api', {
    ...{ hosts: [], tls: 'auto' },
    internal: { port: 4000, names: ['api'], networks: ['back'], subnets: ['10.9.0.0/24'] },
  })
  const trusted = (routes: Route[]) =>
    JSON.stringify(caddyConfig({ shop: routes })).match(/"trusted_proxies":\[[^\]]*\]/g) ?? []
  expect(trusted([route('web')])).toEqual([])
  expect(new Set(trusted([web]))).toEqual(new Set(['"trusted_proxies":["10.0.0.0/8"]']))
  expect(new Set(trusted([api]))).toEqual(new Set(['"trusted_proxies":["10.9.0.0/24"]']))
})
