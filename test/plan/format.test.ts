import { describe, expect, test } from 'bun:test'
import { formatPlan } from '../../lib/plan/format.ts'
import type { Plan, ServicePlan } from '../../lib/plan/input.ts'
import { NO_STAGES } from '../../lib/plan/stages.ts'

const service = (name: string, action: ServicePlan['action'], why: string, ifImageChanges = false): ServicePlan => {
  return { service: name, action, why, replicas: 1, ifImageChanges }
}

function plan(more: Partial<Plan>): Plan {
  return {
    environment: 'prod',
    project: 'shop-prod',
    version: 'v2',
    serving: { id: 'rel-20261122-080000000', version: 'v1' },
    phases: {
      build: 'build web',
      push: 'nothing: the engine that builds the images runs them',
      migrate_pre: 'nothing: no databases are configured',
      rollout: 'as follows',
      migrate_post: 'nothing: no databases are configured',
      finalize: 'check that what runs is what was released',
    },
    services: [],
    networks: [],
    handovers: [],
    routes: [],
    proxy: null,
    stages: NO_STAGES,
    notes: [],
    ...more,
  }
}

const printed = (more: Partial<Plan>) => formatPlan(plan(more)).join('\n')

describe('formatPlan()', () => {
  test('lines up services and networks, and says what has downtime', () => {
    const text = printed({
      services: [
        service('db', 'hold', 'held: a deploy does not touch it'),
        service('migrate', 'job', 'runs again: image changed'),
        service('web', 'recreate', 'environment changed (A, B)'),
        service('a-service-with-a-long-name', 'create', 'new'),
        service('api', 'scale', '1 → 3 containers'),
        service('cache', 'unchanged', 'nothing changed'),
        service('old', 'remove', 'no longer in the Compose file; its volumes stay'),
      ],
      networks: [
        { network: 'shop_back', action: 'replace' },
        { network: 'shop_old', action: 'remove' },
      ],
      handovers: [{ port: '8080/tcp', from: 'old', to: 'a-service-with-a-long-name' }],
      notes: ['./uploads is mounted in place'],
    })
    expect(text).toMatchInlineSnapshot(`
      "Plan for prod (Compose project shop-prod): v2; v1 (rel-20261122-080000000) is live

      build         build web
      push          nothing: the engine that builds the images runs them
      migrate_pre   nothing: no databases are configured
      rollout       as follows
        shop_back                   replace    network: its definition changed; its services have downtime
        shop_old                    remove     network: no longer used
        db                          hold       held: a deploy does not touch it
        migrate                     job        runs again: image changed
        web                         recreate   environment changed (A, B)
        a-service-with-a-long-name  create     new
        api                         scale      1 → 3 containers
        cache                       unchanged  nothing changed
        old                         remove     no longer in the Compose file; its volumes stay
        port 8080/tcp moves from old to a-service-with-a-long-name, with downtime
      migrate_post  nothing: no databases are configured
      finalize      check that what runs is what was released

      note: ./uploads is mounted in place

      7 services: 5 to change. Recreated services have downtime."
    `)
  })

  test('marks what depends on an image that is not known yet', () => {
    const services = [
      service('web', 'recreate', 'if the built or pulled image differs', true),
      service('db', 'unchanged', 'nothing changed'),
    ]
    expect(printed({ services })).toMatchInlineSnapshot(`
      "Plan for prod (Compose project shop-prod): v2; v1 (rel-20261122-080000000) is live

      build         build web
      push          nothing: the engine that builds the images runs them
      migrate_pre   nothing: no databases are configured
      rollout       as follows
        web  recreate?  if the built or pulled image differs
        db   unchanged  nothing changed
      migrate_post  nothing: no databases are configured
      finalize      check that what runs is what was released

      2 services: 0 to change, 1 to change if the image differs. Recreated services have downtime."
    `)
  })

  test('says what rolls, what has downtime and how to avoid it, and what changes for routes and the proxy', () => {
    const gap = { because: 'it publishes port 8080', avoid: 'let the proxy have the port', inTurn: false }
    const services: ServicePlan[] = [
      service('web', 'rolling', 'image changed'),
      service('api', 'rolling', 'if the built or pulled image differs', true),
      { ...service('mail', 'recreate', 'image changed'), gap },
      {
        ...service('db', 'recreate', 'command changed'),
        gap: { because: 'it writes to volume data', ms: 12_345, inTurn: false },
      },
      {
        ...service('pool', 'recreate', 'user changed'),
        gap: { because: '`order: stop-first` is set', inTurn: true },
      },
    ]
    const routes: Plan['routes'] = [
      { service: 'web', action: 'keep', route: 'https://shop.example.com' },
      { service: 'api', action: 'add', route: 'http://api:3000 (internal)' },
      { service: 'mail', action: 'change', route: 'https://mail.example.com' },
      { service: 'old', action: 'remove', route: 'https://old.example.com' },
    ]
    const text = printed({ services, routes, proxy: { action: 'start', why: 'this host has none yet (caddy:2)' } })
    expect(text.split('\n').slice(6)).toMatchInlineSnapshot(`
      [
        "  web    rolling   image changed",
        "  api    rolling?  if the built or pulled image differs",
        "  mail   recreate  image changed; downtime until it is ready, because it publishes port 8080; to avoid it: let the proxy have the port",
        "  db     recreate  command changed; downtime of about 12.3s (as last time), because it writes to volume data",
        "  pool   recreate  user changed; one at a time, because \`order: stop-first\` is set",
        "  api    route     http://api:3000 (internal)",
        "  mail   reroute   https://mail.example.com",
        "  old    unroute   https://old.example.com",
        "  proxy  start     this host has none yet (caddy:2)",
        "",
        "  prepare  start the proxy",
        "  switch   change the routes of api, mail, old",
        "migrate_post  nothing: no databases are configured",
        "finalize      check that what runs is what was released",
        "",
        "5 services: 4 to change, 1 to change if the image differs. Recreated services have downtime.",
      ]
    `)
    const kept = printed({ services, routes, proxy: { action: 'keep', why: 'caddy:2 runs' } })
    expect(kept).not.toContain('caddy:2')
  })

  test('says that there is something to do if only routes change', () => {
    const services = [service('web', 'unchanged', 'nothing changed')]
    const routes: Plan['routes'] = [{ service: 'web', action: 'add', route: 'https://shop.example.com' }]
    expect(formatPlan(plan({ services, routes })).at(-1)).toBe('1 service: 0 to change.')
    expect(formatPlan(plan({ services, routes, proxy: { action: 'upgrade', why: 'x' } })).join('\n')).toContain(
      'proxy  upgrade',
    )
  })

  test('says that no release is live yet', () => {
    expect(formatPlan(plan({ serving: null, services: [service('web', 'create', 'new')] }))[0]).toBe(
      'Plan for prod (Compose project shop-prod): v2; no release is live yet',
    )
  })

  test('says that there is nothing to do', () => {
    const services = [
      service('web', 'unchanged', 'nothing changed'),
      service('db', 'hold', 'held: a deploy does not touch it'),
    ]
    expect(formatPlan(plan({ services })).at(-1)).toBe('Nothing to do: everything runs as it should.')
    const waiting = [service('db', 'hold', 'held; waiting: image changed')]
    expect(formatPlan(plan({ services: waiting }), true).at(-1)).toBe('Nothing to do.')
  })

  test('never ends a line with a space', () => {
    const lines = formatPlan(
      plan({ services: [service('web', 'create', '')], phases: { ...plan({}).phases, build: '' } }),
    )
    expect(lines.filter((line) => line !== line.trimEnd())).toEqual([])
  })
})
