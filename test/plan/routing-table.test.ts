import { describe, expect, test } from 'bun:test'
import type { ComposeModel } from '../../lib/compose/model.ts'
import type { ExposeConfig } from '../../lib/config/edge/expose.ts'
import { trustedRanges, withPrivateRanges } from '../../lib/config/edge/trusted-proxies.ts'
import { refuseImpossibleRoutes, refuseTakenRoutes } from '../../lib/plan/routes/conflicts.ts'
import {
  describeRoute,
  exposedServices,
  type Route,
  routeNetwork,
  routesOf,
  slotAddress,
  slotAlias,
} from '../../lib/plan/routes/table.ts'
import { StagecraftError } from '../../lib/util/errors.ts'

const model: ComposeModel = {
  name: 'shop',
  services: {
    web: { networks: { default: null } },
    api: { networks: { back: { aliases: ['backend', 'api'] }, default: null } },
    side: { network_mode: 'service:web' },
    host: { network_mode: 'host' },
    none: { network_mode: 'none' },
    strange: { network_mode: 'container:other' },
  },
  networks: { default: { name: 'shop_default' }, back: { name: 'the-back' } },
}
const settings = (exposes: Record<string, ExposeConfig>) =>
  Object.fromEntries(Object.entries(exposes).map(([name, expose]) => [name, { expose, rollout: {} }]))
const host = (...names: string[]) => ({ host: names, port: 3000 })
const route = (service: string, more: Partial<Route> = {}): Route => ({
  ...{ service, hosts: ['shop.example.com'], path: '/', tls: 'auto', ports: { a: 3000, b: 3000 } },
  ...more,
})

function refusal(work: () => void): unknown {
  try {
    work()
  } catch (error) {
    if (error instanceof StagecraftError) return [error.kind, error.message, error.hint]
    throw error
  }
  return undefined
}

test('names of slots and networks are of one project and service alone', () => {
  expect(routeNetwork('shop')).toBe('stagecraft-shop')
  expect(slotAlias('shop', 'web', 'b')).toBe('b.web.shop.stagecraft.internal')
  expect(slotAddress('shop', route('web', { ports: { a: 1, b: 2 } }), 'b')).toBe('b.web.shop.stagecraft.internal:2')
})

test('exposedServices() gives those that are, in order', () => {
  const services = { ...settings({ web: host('a'), api: host('b') }), db: { rollout: {} } }
  expect(exposedServices(services).map(([name]) => name)).toEqual(['api', 'web'])
})

describe('routesOf()', () => {
  const slots = { web: 'b', api: 'a' } as const
  test('makes a route of each exposed service that has a slot', () => {
    const exposes = {
      web: { host: ['shop.example.com'], port: 3000, path: '/shop//', tls: 'off' },
      api: { internal: true, port: 4000 },
      db: host('db.example.com'),
    } as const
    expect(routesOf({ services: settings(exposes) }, model, { slots, before: [] })).toEqual([
      {
        ...{ service: 'api', hosts: [], path: '/', tls: 'auto', ports: { a: 4000, b: 4000 } },
        internal: { port: 4000, names: ['api', 'backend'], networks: ['shop_default', 'the-back'], subnets: [] },
      },
      {
        ...{ service: 'web', hosts: ['shop.example.com'], path: '/shop', tls: 'off', ports: { a: 3000, b: 3000 } },
        trusted: trustedRanges({ tls: 'off' }),
      },
    ])
  })

  test('says whose X-Forwarded headers arrive, for what has a host', () => {
    const trusted = (expose: ExposeConfig) =>
      routesOf({ services: settings({ web: expose }) }, model, { slots: { web: 'a' }, before: [] })[0]?.trusted
    expect(trusted(host('x'))).toBeUndefined()
    expect(trusted({ ...host('x'), trusted_proxies: ['203.0.113.0/24'] })).toEqual(['203.0.113.0/24'])
    expect(trusted({ ...host('x'), tls: 'off', trusted_proxies: [] })).toBeUndefined()
    expect(trusted({ internal: true, port: 80 })).toBeUndefined()
  })

  test('says whose PROXY headers are read, for what has a host', () => {
    const proxy = { proxy_protocol: ['10.0.0.7', 'private_ranges'] }
    const read = (expose: ExposeConfig) =>
      routesOf({ services: settings({ web: expose }), proxy }, model, { slots: { web: 'a' }, before: [] })[0]
    expect(read(host('x'))?.proxy_protocol).toEqual(['10.0.0.7', ...withPrivateRanges(['private_ranges'])])
    expect(read({ internal: true, port: 80 })?.proxy_protocol).toBeUndefined()
  })

  test('leaves the other slot the port that it had', () => {
    const before = [route('web', { ports: { a: 80, b: 81 } })]
    const of = (slot: 'a' | 'b') =>
      routesOf({ services: settings({ web: host('x') }) }, model, { slots: { web: slot }, before })
    expect([of('a')[0]?.ports, of('b')[0]?.ports]).toEqual([
      { a: 3000, b: 81 },
      { a: 80, b: 3000 },
    ])
  })

  test('counts replicas where each is asked by its own name; the other slot keeps what it had', () => {
    const replicas = (more: object, count: number, before: Route[]) =>
      routesOf({ services: settings({ web: { ...host('x'), ...more } }) }, model, {
        ...{ slots: { web: 'b' }, before, replicas: { web: count } },
      })[0]?.replicas
    expect(replicas({}, 3, [])).toBeUndefined()
    expect(replicas({ sticky: true }, 1, [])).toBeUndefined()
    expect(replicas({ sticky: true }, 3, [])).toEqual({ a: 3, b: 3 })
    expect(replicas({ sticky: true }, 3, [route('web')])).toEqual({ a: 1, b: 3 })
    expect(replicas({ protocol: 'h2c' }, 2, [route('web', { replicas: { a: 3, b: 1 } })])).toEqual({ a: 3, b: 2 })
    expect(replicas({}, 2, [route('web', { replicas: { a: 3, b: 2 } })])).toEqual({ a: 3, b: 1 })
    expect(replicas({}, 2, [route('web', { replicas: { a: 1, b: 2 } })])).toBeUndefined()
  })

  test('says which slots speak HTTP/2: the other one speaks what it spoke', () => {
    const h2c = (slot: 'a' | 'b', protocol: 'http' | 'h2c', before: Route[]) =>
      routesOf({ services: settings({ web: { ...host('x'), protocol } }) }, model, { slots: { web: slot }, before })[0]
        ?.h2c
    expect(h2c('a', 'h2c', [])).toEqual(['a', 'b'])
    expect(h2c('b', 'h2c', [route('web')])).toEqual(['b'])
    expect(h2c('a', 'h2c', [route('web', { h2c: ['b'] })])).toEqual(['a', 'b'])
    expect(h2c('a', 'http', [route('web', { h2c: ['a', 'b'] })])).toEqual(['b'])
    expect(h2c('a', 'http', [])).toBeUndefined()
  })
})

test('describeRoute() says what answers', () => {
  expect(describeRoute(route('web', { hosts: ['a', '*.b'], path: '/x' }))).toBe('https://a/x, https://*.b/x')
  const internal = { port: 80, names: ['web'], networks: [], subnets: [] }
  expect(describeRoute(route('web', { tls: 'off', internal }))).toBe(
    'http://shop.example.com, http://web:80 (internal)',
  )
})

describe('refuseImpossibleRoutes()', () => {
  test.each<[string, string, string]>([
    ['host', 'host', 'The proxy reaches containers over a network: take network_mode out of the Compose file.'],
    ['none', 'none', 'The proxy reaches containers over a network: take network_mode out of the Compose file.'],
    [
      'strange',
      'container:other',
      'The proxy reaches containers over a network: take network_mode out of the Compose file.',
    ],
    ['side', 'service:web', 'Expose web, whose network it is in, with the port that side listens on.'],
  ])('%s has no network of its own', (service, mode, hint) => {
    expect(refusal(() => refuseImpossibleRoutes(settings({ [service]: host('x') }), model))).toEqual([
      'config',
      `Cannot expose ${service}: it has network_mode ${mode}`,
      hint,
    ])
  })

  test('two services cannot have one route, however it is written', () => {
    const exposes = settings({ web: { ...host('b', 'a'), path: '/x/' }, api: { ...host('a'), path: '/x' } })
    expect(refusal(() => refuseImpossibleRoutes(exposes, model))).toEqual([
      'config',
      'Cannot expose web as a/x: api is exposed there too',
      'Give one of them another `host` or `path` in stagecraft.yml.',
    ])
  })

  test('a host with two paths, two hosts, and internal ones on one port are fine', () => {
    const exposes = { web: host('a'), api: { ...host('a'), path: '/api' }, none: undefined }
    const { none: _, ...some } = exposes
    expect(refusal(() => refuseImpossibleRoutes(settings(some), model))).toBeUndefined()
    const internal = { internal: true, port: 80 }
    expect(refusal(() => refuseImpossibleRoutes(settings({ web: internal, api: internal }), model))).toBeUndefined()
  })
})

describe('routes are compared as Caddy compares them', () => {
  const SAME: readonly (readonly [string, string])[] = [
    ['/api', '/API'],
    ['/api', '/api/'],
    ['/api', '/api//'],
    ['/api/v1', '/api//v1'],
    ['/api', '/x/../api'],
    ['/api', '/./api'],
    ['/', '//'],
  ]
  const OTHER: readonly (readonly [string, string])[] = [
    ['/api', '/apis'],
    ['/api', '/api/v1'],
    ['/api', '/'],
    ['/a-b', '/a_b'],
  ]
  const refusals = (one: string, other: string) => [
    refusal(() =>
      refuseImpossibleRoutes(settings({ web: { ...host('a'), path: one }, api: { ...host('A'), path: other } }), model),
    ),
    refusal(() =>
      refuseTakenRoutes('shop', [route('web', { path: one })], {
        blog: [route('blog', { hosts: ['Shop.Example.com'], path: other })],
      }),
    ),
  ]

  test.each(SAME)('%s and %s are one', (one, other) => {
    for (const found of refusals(one, other)) expect(found).toBeArray()
  })

  test.each(OTHER)('%s and %s are two', (one, other) => {
    expect(refusals(one, other)).toEqual([undefined, undefined])
  })

  test('a wildcard is one with itself, not with a name: that comes first', () => {
    const wild = (name: string) => route('web', { hosts: [name] })
    expect(refusal(() => refuseTakenRoutes('shop', [wild('*.A.com')], { blog: [wild('*.a.com')] }))).toBeArray()
    expect(refusal(() => refuseTakenRoutes('shop', [wild('*.a.com')], { blog: [wild('x.a.com')] }))).toBeUndefined()
  })

  test('routesOf() writes the path that requests have', () => {
    const exposes = settings({ web: { ...host('a'), path: '/x//../Docs/' } })
    expect(routesOf({ services: exposes }, model, { slots: { web: 'a' }, before: [] })[0]?.path).toBe('/Docs')
  })
})

describe('a name on a network', () => {
  const internal = (names: string[], port = 80, networks = ['net']) =>
    route('api', { hosts: [], internal: { port, names, networks, subnets: [] } })

  test('at one port is of one project', () => {
    expect(refusal(() => refuseTakenRoutes('shop', [internal(['api'])], { blog: [internal(['x', 'API'])] }))).toEqual([
      'config',
      'Cannot expose api as http://api:80: the project blog has that name on network net',
      'Choose another name or `port`, or another network: callers there could not tell the two apart.',
    ])
  })

  test('may be of two on two networks, at two ports, or be another one', () => {
    const others = { blog: [internal(['api'], 80, ['other']), internal(['api'], 81), internal(['web'])] }
    expect(refusal(() => refuseTakenRoutes('shop', [internal(['api'])], others))).toBeUndefined()
  })

  test('at one port is of one service of a project', () => {
    const both: ComposeModel = {
      name: 'shop',
      services: { one: { networks: { n: { aliases: ['api'] } } }, two: { networks: { n: { aliases: ['api'] } } } },
    }
    const expose = { internal: true, port: 80 }
    expect(refusal(() => refuseImpossibleRoutes(settings({ one: expose, two: expose }), both))).toEqual([
      'config',
      'Cannot expose two as http://api:80: one is exposed there too',
      'Both have that name and port on one network: take the alias from one of them in the Compose file, or give it another port.',
    ])
  })
})

test('refuseTakenRoutes() leaves each project its own', () => {
  const all = { shop: [route('old')], blog: [route('blog', { path: '/blog' })] }
  expect(refusal(() => refuseTakenRoutes('shop', [route('web')], all))).toBeUndefined()
  expect(
    refusal(() => refuseTakenRoutes('shop', [route('web', { hosts: ['x', 'shop.example.com'], path: '/blog' })], all)),
  ).toEqual([
    'config',
    'Cannot expose web as shop.example.com/blog: the project blog has that route',
    'Choose another `host` or `path`, or take it from the other project and deploy that first.',
  ])
  expect(refusal(() => refuseTakenRoutes('blog', [route('web', { hosts: [] })], all))).toBeUndefined()
})
