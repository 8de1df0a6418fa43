import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import type { RolloutConfig } from '../../lib/config/parse.ts'
import type { Container } from '../../lib/docker/inspect.ts'
import type { ServicePlan } from '../../lib/plan/input.ts'
import { makePlan } from '../../lib/plan/make.ts'
import { inputOf, planned, type Services, type Situation } from '../scenes/situation.ts'

const EXPOSE = { host: ['shop.example.com'], port: 3000 }

/** `web` in a new version; its other settings are the same now and before. */
function changed(more: Service = {}, rollout: RolloutConfig = {}, situation: Partial<Situation> = {}): Situation {
  const services = { web: { image: 'web', ...more } }
  const settings = { web: { expose: EXPOSE, rollout } }
  return { before: services, now: services, images: { web: 'new' }, settings, ...situation }
}

function planOf(situation: Situation, service = 'web'): ServicePlan {
  const found = makePlan(inputOf(situation)).services.find((plan) => plan.service === service)
  if (found === undefined) throw new Error(`${service} is not in the plan`)
  return found
}

const volume = (more: object = {}) => ({ volumes: [{ type: 'volume', source: 'data', target: '/data', ...more }] })
const unrouted = (rollout: RolloutConfig = {}) => ({ settings: { web: { rollout } } })

describe('a service that must be recreated rolls', () => {
  test.each<[string, Situation]>([
    ['if it is routed', changed()],
    ['if it says so', changed({}, {}, unrouted({ strategy: 'rolling' }))],
    ['with a volume that it only reads', changed(volume({ read_only: true }))],
    ['with a tmpfs, configs and secrets', changed({ volumes: [{ type: 'tmpfs', target: '/tmp' }] })],
    ['with a port that is not published', changed({ ports: [{ target: 3000 }] })],
    ['with a volume that it writes to, if it says so', changed(volume(), { strategy: 'rolling' })],
    [
      'with a folder that it writes to, if it says so',
      changed(volume({ type: 'bind', source: '/srv' }), { strategy: 'rolling' }),
    ],
    ['with one replica after the other not asked for', changed({}, { order: 'start-first' })],
  ])('%s', (_, situation) => {
    expect(planOf(situation)).toEqual({
      service: 'web',
      action: 'rolling',
      why: 'image changed',
      replicas: 1,
      ifImageChanges: false,
    })
  })

  test('if it is routed for internal callers alone, and becomes so', () => {
    const situation = changed({}, {}, { images: {}, settings: { web: { expose: { internal: true, port: 1 } } } })
    expect(planOf(situation)).toMatchObject({ action: 'rolling', why: 'the proxy will answer under its name' })
  })

  test('with all of its replicas', () => {
    expect(planOf(changed({ scale: 3 }))).toMatchObject({ action: 'rolling', replicas: 3 })
  })

  test('if only its number of replicas changes: none is asked before it is ready, or removed while it answers', () => {
    const situation = changed({}, {}, { images: {}, before: { web: { image: 'web', scale: 3 } } })
    expect(planOf(situation)).toMatchObject({ action: 'rolling', why: '3 → 1 containers', replicas: 1 })
    expect(planOf({ ...situation, ...unrouted() })).toMatchObject({ action: 'scale', why: '3 → 1 containers' })
    expect(planOf(changed({ scale: 3 }, {}, { images: {}, before: { web: { image: 'web' } } }))).toMatchObject({
      action: 'rolling',
      why: '1 → 3 containers',
    })
  })

  test('if its image turns out to be another one', () => {
    expect(planned(changed({}, {}, { images: { web: undefined } }))).toEqual([
      'web rolling?: if the built or pulled image differs',
    ])
  })

  test('where its container has ended by itself', () => {
    const situation = changed(
      {},
      {},
      { images: {}, containers: (made) => made.map((one) => ({ ...one, state: 'exited' })) },
    )
    expect(planOf(situation)).toMatchObject({ action: 'rolling', why: 'it is not running (exited, exit code 0)' })
  })

  test('where what it is in the namespace of does not roll: then both are recreated', () => {
    const side = { image: 'side', network_mode: 'service:web' }
    const services = { web: { image: 'web' }, side }
    const situation = { ...changed(), before: services, now: services }
    expect(planned(situation)).toEqual([
      'web recreate: image changed',
      'side recreate: it uses the network of web, which is recreated',
    ])
    expect(planOf(situation).gap?.because).toBe('side shares something with it')
  })
})

const other = (more: Service): Services => ({ web: { image: 'web' }, db: { image: 'db', ...more } })
const withOther = (more: Service) => ({ before: other(more), now: other(more) })

describe('a service that is recreated has downtime', () => {
  test.each<[string, Situation, string, string | undefined]>([
    [
      'if nothing routes it',
      changed({}, {}, unrouted()),
      'it is not routed',
      'expose it, or set `strategy: rolling` if two versions may run at once',
    ],
    ['if it is to', changed({}, { strategy: 'recreate' }), '`strategy: recreate` is set', undefined],
    [
      'if its replicas are to be replaced in turn',
      changed({}, { order: 'stop-first' }),
      '`order: stop-first` is set',
      undefined,
    ],
    [
      'with a volume that it writes to',
      changed(volume()),
      'it writes to volume data',
      'set `strategy: rolling` if two may write there at once',
    ],
    [
      'with a folder that it writes to',
      changed(volume({ type: 'bind', source: '/srv/files' })),
      'it writes to /srv/files',
      'set `strategy: rolling` if two may write there at once',
    ],
    [
      'with an anonymous volume',
      changed(volume({ source: undefined })),
      'it has an anonymous volume (/data)',
      undefined,
    ],
    [
      'with a port of the host',
      changed({ ports: [{ target: 80, published: '8080' }] }),
      'it publishes port 8080',
      'if it is HTTP, let the proxy have the port: `expose`, and no `ports` in the Compose file',
    ],
    [
      'with a name of its own',
      changed({ container_name: 'the-web' }),
      'it has a container_name (the-web)',
      'take `container_name` out of the Compose file',
    ],
    [
      'with a fixed address',
      changed({ networks: { default: { ipv4_address: '10.0.0.9' } } }),
      'it has a fixed address',
      'take the address out of the Compose file',
    ],
    [
      'with a fixed hardware address',
      changed({ mac_address: '02:42:ac:11:65:43' }),
      'it has a fixed address',
      'take the address out of the Compose file',
    ],
    [
      'with a hook of Compose',
      changed({ post_start: [{ command: 'x' }] }),
      'it has a post_start hook, which only Compose can run',
      undefined,
    ],
    [
      'with containers that run before it',
      changed({ pre_start: [{ command: 'x' }] }, { strategy: 'rolling' }),
      'it has a pre_start hook, which only Compose can run',
      expect.stringContaining('if it migrates a database, take it out of the Compose file and let the release run it'),
    ],
    [
      'in the network of another',
      changed(
        { network_mode: 'service:db' },
        { strategy: 'rolling' },
        {
          ...unrouted({ strategy: 'rolling' }),
          before: { ...other({}), web: { image: 'web', network_mode: 'service:db' } },
          now: { ...other({}), web: { image: 'web', network_mode: 'service:db' } },
        },
      ),
      'it uses the network of db',
      undefined,
    ],
    [
      'in the processes of another',
      {
        ...changed(),
        before: { ...other({}), web: { image: 'web', pid: 'service:db' } },
        now: { ...other({}), web: { image: 'web', pid: 'service:db' } },
      },
      'it uses the pid of db',
      undefined,
    ],
    [
      'with the volumes of another',
      {
        ...changed(),
        before: { ...other({}), web: { image: 'web', volumes_from: ['db'] } },
        now: { ...other({}), web: { image: 'web', volumes_from: ['db'] } },
      },
      'it uses the volumes of another service',
      undefined,
    ],
    [
      'with links',
      {
        ...changed(),
        before: { ...other({}), web: { image: 'web', links: ['db'] } },
        now: { ...other({}), web: { image: 'web', links: ['db'] } },
      },
      'it has links',
      undefined,
    ],
    [
      'if another shares its network',
      { ...changed(), ...withOther({ network_mode: 'service:web' }) },
      'db shares something with it',
      undefined,
    ],
    [
      'if another has its volumes',
      { ...changed(), ...withOther({ volumes_from: ['web:ro'] }) },
      'db shares something with it',
      undefined,
    ],
    [
      'if another links to it',
      { ...changed(), ...withOther({ links: ['web:w'] }) },
      'db shares something with it',
      undefined,
    ],
    [
      'if its image declares a volume',
      changed({}, {}, { images: { web: 'data' } }),
      'its image declares a volume',
      undefined,
    ],
    [
      'on the network of the host',
      changed({ network_mode: 'host' }, {}, unrouted({ strategy: 'rolling' })),
      'it is on the host network',
      undefined,
    ],
    [
      'on a network that is replaced',
      changed(
        { networks: { back: null } },
        {},
        {
          nowParts: { networks: { back: { labels: { a: '1' } } } },
          beforeParts: { networks: { back: { labels: { a: '2' } } } },
        },
      ),
      'its network shop_back is recreated',
      undefined,
    ],
  ])('%s', (_, situation, because, avoid) => {
    expect(planOf(situation)).toMatchObject({ action: 'recreate' })
    expect(planOf(situation).gap).toEqual({ because, ...(avoid ? { avoid } : {}), inTurn: false })
  })

  test('where only what runs has an anonymous volume, which it would be removed with', () => {
    const anonymous = [{ name: 'f'.repeat(64), path: '/data' }]
    const containers = (made: readonly Container[]) => made.map((one) => ({ ...one, anonymous }))
    const because = 'what runs has an anonymous volume (/data), which would be removed with it'
    expect(planOf(changed({}, {}, { containers }))).toMatchObject({ action: 'recreate', gap: { because } })
    const twice = changed({ scale: 2 }, { order: 'stop-first' }, { containers })
    expect(planOf(twice)).toMatchObject({ action: 'recreate', gap: { inTurn: false } })
  })

  test.each<[string, Service, string]>([
    ['an anonymous volume', volume({ source: undefined }), 'it has an anonymous volume (/data)'],
    ['a port of the host', { ports: [{ target: 80, published: '8080' }], ...volume() }, 'it publishes port 8080'],
    ['a name', { container_name: 'one' }, 'it has a container_name (one)'],
  ])('with %s, also if it says strategy: rolling', (_, more, because) => {
    expect(planOf(changed(more, { strategy: 'rolling' }))).toMatchObject({ action: 'recreate', gap: { because } })
    const image = planOf(changed({}, { strategy: 'rolling' }, { images: { web: 'data' } }))
    expect(image).toMatchObject({ action: 'recreate', gap: { because: 'its image declares a volume' } })
  })

  test('as long as the last time', () => {
    expect(planOf(changed(volume(), {}, { bundle: { gaps: { web: 1_234, db: 1 } } })).gap?.ms).toBe(1_234)
  })

  test('but for one that is replaced one replica after the other', () => {
    expect(planOf(changed({ scale: 2 }, { order: 'stop-first' })).gap).toMatchObject({ inTurn: true })
    expect(planOf(changed({ scale: 2, ...volume() }, { order: 'stop-first' })).gap).toMatchObject({ inTurn: true })
  })

  test('says nothing of it where nothing is recreated, is held, runs once, or comes first', () => {
    const gapOf = (situation: Situation) => [planOf(situation).action, planOf(situation).gap]
    expect(gapOf(changed(volume(), {}, { images: {} }))).toEqual(['unchanged', undefined])
    expect(gapOf(changed(volume(), { strategy: 'hold' }))).toEqual(['hold', undefined])
    expect(gapOf({ now: { web: { image: 'web' } } })).toEqual(['create', undefined])
    expect(gapOf(changed({}, {}, { jobs: ['web'], settings: {} }))).toEqual(['job', undefined])
    expect(gapOf(changed({ scale: 0 }, {}, { containers: () => [] }))).toEqual(['unchanged', undefined])
  })
})
