import { describe, expect, test } from 'bun:test'
import type { Resource, Service } from '../lib/compose.ts'
import type { Container } from '../lib/docker.ts'
import { isNothingToDo, makePlan, type Plan, type PlanInput } from '../lib/plan.ts'
import { plannedImages, plannedModel } from '../lib/plan-model.ts'
import { classify } from '../lib/services.ts'
import {
  container,
  imageOf,
  inputOf,
  type Parts,
  planned,
  refusal,
  type Services,
  type Situation,
} from './support/situation.ts'

const web = (more: Service = {}): Services => ({ web: { image: 'web', ...more } })
const trio: Services = { web: { image: 'web' }, api: { image: 'api' }, db: { image: 'db' } }
const after = (...names: string[]) => ({
  depends_on: Object.fromEntries(names.map((name) => [name, { condition: 'service_started' as const }])),
})
const completed = { depends_on: { job: { condition: 'service_completed_successfully' } } } as const
const bind = (hash: string, target = '/etc/web.conf') => ({
  type: 'bind',
  source: `/app/.stagecraft/content/${hash}`,
  target,
  read_only: true,
})
const change = (changes: Partial<Container>) => (made: Container[]) => made.map((found) => ({ ...found, ...changes }))

describe('makePlan() decides and gives its reason', () => {
  test.each<[string, Situation, string[]]>([
    ['on a first deploy, everything is new', { now: trio }, ['api create: new', 'db create: new', 'web create: new']],
    [
      'in the order of dependencies',
      { now: { a: { image: 'a', ...after('b') }, b: { image: 'b', ...after('c') }, c: { image: 'c' } } },
      ['c create: new', 'b create: new', 'a create: new'],
    ],
    [
      'when nothing changed',
      { before: trio, now: trio },
      ['api unchanged: nothing changed', 'db unchanged: nothing changed', 'web unchanged: nothing changed'],
    ],
    [
      'when one image of three changed',
      { before: trio, now: trio, images: { api: 'new' } },
      ['api recreate: its image changed', 'db unchanged: nothing changed', 'web unchanged: nothing changed'],
    ],
    [
      'when env values changed, came and went, with their names and without their values',
      {
        before: web({ environment: { KEPT: 'k', OLD: 'secret1', PASSWORD: 'secret2' } }),
        now: web({ environment: { PASSWORD: 'secret3', NEW: 'secret4', KEPT: 'k' } }),
      },
      ['web recreate: environment changed (NEW, OLD, PASSWORD)'],
    ],
    [
      'when a variable is taken from the image and not set any more',
      { before: web({ environment: { A: null } }), now: web({ environment: {} }) },
      ['web recreate: environment changed (A)'],
    ],
    [
      'when several things changed',
      { before: web({ command: ['a'], user: '1' }), now: web({ command: ['b'], user: '2' }), images: { web: 'new' } },
      ['web recreate: its image changed; command changed; user changed'],
    ],
    [
      'when a key says nothing that was not said before',
      { before: web({ deploy: null, labels: {} }), now: web({ deploy: { replicas: 1, resources: {} }, init: null }) },
      ['web unchanged: nothing changed'],
    ],
    [
      'when only the spelling of a mode changed',
      {
        before: web({ configs: [{ source: 'a', mode: 0o440 }] }),
        now: web({ configs: [{ source: 'a', mode: '0440' }] }),
      },
      ['web unchanged: nothing changed'],
    ],
    [
      'when an empty list replaces what the image says',
      { before: web({ entrypoint: null }), now: web({ entrypoint: [] }) },
      ['web recreate: entrypoint changed'],
    ],
    [
      'when a service is added and another removed',
      {
        before: { web: { image: 'web' }, old: { image: 'old' } },
        now: { web: { image: 'web' }, api: { image: 'api' } },
      },
      [
        'api create: new',
        'web unchanged: nothing changed',
        'old remove: not in the Compose file any more; its volumes stay',
      ],
    ],
    [
      'when the release before could not remove everything',
      { before: web(), now: web(), retiring: ['old', 'gone'], containers: (made) => [...made, container('old')] },
      ['web unchanged: nothing changed', 'old remove: not in the Compose file any more; its volumes stay'],
    ],
    [
      'when a container is gone',
      { before: web(), now: web(), containers: () => [] },
      ['web create: it does not exist any more'],
    ],
  ])('%s', (_, situation, expected) => {
    expect(planned(situation)).toEqual(expected)
  })
})

describe('makePlan() about content', () => {
  const content = (name: string, hash: string) => [{ name, hash }]
  const [old, next] = ['1'.repeat(32), '2'.repeat(32)]

  test.each<[string, Situation, string[]]>([
    [
      'names the bind-mounted file that changed',
      {
        before: web({ volumes: [bind(old)] }),
        now: web({ volumes: [bind(next)] }),
        contentBefore: content('./web.conf', old),
        content: content('./web.conf', next),
      },
      ['web recreate: content of ./web.conf changed'],
    ],
    [
      'names the config that changed',
      {
        before: web({ configs: [{ source: `app-${old.slice(0, 12)}`, target: '/app' }] }),
        now: web({ configs: [{ source: `app-${next.slice(0, 12)}`, target: '/app' }] }),
        contentBefore: content('config app', old),
        content: content('config app', next),
      },
      ['web recreate: content of config app changed'],
    ],
    [
      'names the secret that changed',
      {
        before: web({ secrets: [{ source: `token-${old.slice(0, 12)}`, target: '/run/secrets/token' }] }),
        now: web({ secrets: [{ source: `token-${next.slice(0, 12)}`, target: '/run/secrets/token' }] }),
        contentBefore: content('secret token', old),
        content: content('secret token', next),
      },
      ['web recreate: content of secret token changed'],
    ],
    [
      'does not name a file of another service',
      {
        before: { web: { volumes: [bind(old)] }, api: { volumes: [] } },
        now: {
          web: { volumes: [bind(next)] },
          api: { volumes: [{ type: 'volume', source: 'cache', target: '/cache' }] },
        },
        contentBefore: content('./web.conf', old),
        content: content('./web.conf', next),
      },
      ['api recreate: volumes changed', 'web recreate: content of ./web.conf changed'],
    ],
    [
      'calls a mount that is new a change of volumes',
      { before: web(), now: web({ volumes: [bind(next)] }), content: content('./web.conf', next) },
      ['web recreate: volumes changed'],
    ],
  ])('%s', (_, situation, expected) => {
    expect(planned(situation)).toEqual(expected)
  })
})

describe('makePlan() about networks and volumes', () => {
  const on = (...networks: string[]): Services => ({
    api: { image: 'api', networks: Object.fromEntries(networks.map((name) => [name, null])) },
    web: { image: 'web' },
  })
  const back = (label: string): Parts => ({ networks: { back: { labels: { label } } } })

  test.each<[string, Situation, string[]]>([
    [
      'makes a changed network anew, with what is on it and what uses that',
      {
        before: { ...on('back'), side: { image: 'side', network_mode: 'service:api' } },
        now: { ...on('back'), side: { image: 'side', network_mode: 'service:api' } },
        beforeParts: back('one'),
        nowParts: back('two'),
      },
      [
        'api recreate: its network shop_back changed',
        'side recreate: it uses the network of api, which is made anew',
        'web unchanged: nothing changed',
        'network shop_back replace',
      ],
    ],
    [
      'removes a network that nothing uses any more',
      { before: on('back', 'default'), now: on('default'), beforeParts: back('one'), nowParts: {} },
      ['api recreate: networks changed', 'web unchanged: nothing changed', 'network shop_back remove'],
    ],
    [
      'recreates what leaves one of two networks',
      { before: on('back', 'default'), now: on('default'), nowParts: back('one') },
      ['api recreate: networks changed', 'web unchanged: nothing changed'],
    ],
    [
      'has nothing to do with external networks',
      {
        before: on('back'),
        now: on('back'),
        beforeParts: { networks: { back: { name: 'company', external: true } } },
        nowParts: { networks: { back: { name: 'company', external: true, labels: { a: 'b' } } } },
      },
      ['api unchanged: nothing changed', 'web unchanged: nothing changed'],
    ],
    [
      'sees past the keys to the names that the engine knows',
      {
        before: on('default'),
        now: on('default'),
        beforeParts: { networks: { one: { name: 'shop_net' } } },
        nowParts: { networks: { two: { name: 'shop_net' } } },
      },
      ['api unchanged: nothing changed', 'web unchanged: nothing changed'],
    ],
    [
      'hands a published port over',
      {
        before: { old: { image: 'a', ports: [{ target: 80, published: '8080' }] } },
        now: { new: { image: 'a', ports: [{ target: 80, published: '8080' }] } },
      },
      [
        'new create: new',
        'old remove: not in the Compose file any more; its volumes stay',
        'port 8080/tcp from old to new',
      ],
    ],
  ])('%s', (_, situation, expected) => {
    expect(planned(situation)).toEqual(expected)
  })

  const volume = (definition: Resource): Parts => ({ volumes: { data: definition } })

  test('refuses a changed definition of a volume, and says how to go about it', () => {
    const [beforeParts, nowParts] = [volume({}), volume({ driver_opts: { type: 'nfs' } })]
    expect(refusal({ before: web(), now: web(), beforeParts, nowParts })).toEqual([
      'config',
      'Cannot change the definition of volume shop_data: that would delete its data',
      'Give the volume another name in the Compose file and copy the data into it: docker run --rm -v shop_data:/from -v NEW_NAME:/to busybox cp -a /from/. /to/',
    ])
  })

  test.each<[string, Parts, Parts]>([
    ['that is new', {}, volume({})],
    ['that is not used any more', volume({}), {}],
    [
      'that is external',
      volume({ name: 'd', external: true }),
      volume({ name: 'd', external: true, labels: { a: '1' } }),
    ],
  ])('has nothing against a volume %s', (_, beforeParts, nowParts) => {
    expect(refusal({ before: web(), now: web(), beforeParts, nowParts })).toEqual(['web unchanged: nothing changed'])
  })

  test('refuses to make a network anew that a held service is on', () => {
    const settings = { api: { rollout: { strategy: 'hold' as const } } }
    const situation = { before: on('back'), now: on('back'), settings }
    expect(refusal({ ...situation, beforeParts: back('one'), nowParts: back('two') })).toEqual([
      'config',
      'Cannot change network shop_back: api is on it, and is held',
      'Take `strategy: hold` from api for one deploy, or leave the network as it is.',
    ])
  })
})

describe('makePlan() about jobs', () => {
  const job = (environment: Record<string, string> = {}): Services => ({
    job: { image: 'job', environment },
    web: { image: 'web', ...completed },
  })
  const situation = { jobs: ['job'] }

  test.each<[string, Situation, string]>([
    ['runs a new one', { ...situation, now: job() }, 'job job: new: runs once, to its end'],
    [
      'does not run one again that did not change',
      { ...situation, before: job(), now: job() },
      'job unchanged: has run, and nothing changed',
    ],
    [
      'does not run one again because its container is gone',
      {
        ...situation,
        before: job(),
        now: job(),
        containers: (made) => made.filter(({ service }) => service !== 'job'),
      },
      'job unchanged: has run, and nothing changed',
    ],
    [
      'runs one again whose definition changed',
      { ...situation, before: job(), now: job({ STEP: '2' }) },
      'job job: runs again: environment changed (STEP)',
    ],
    [
      'runs one again whose image changed',
      { ...situation, before: job(), now: job(), images: { job: 'new' } },
      'job job: runs again: its image changed',
    ],
    [
      'may run one again whose image is not known yet',
      { ...situation, before: job(), now: job(), images: { job: undefined } },
      'job job?: runs again if the image that is built or pulled differs',
    ],
    [
      'knows one by what depends on it, without being told',
      { before: web(), now: job() },
      'job job: new: runs once, to its end',
    ],
  ])('%s', (_, given, expected) => {
    expect(planned(given)[0]).toBe(expected)
  })
})

describe('makePlan() about services that belong together', () => {
  const with_ = (more: Service): Services => ({ owner: { image: 'owner' }, side: { image: 'side', ...more } })

  test.each<[string, Service, string]>([
    ['network_mode', { network_mode: 'service:owner' }, 'it uses the network of owner, which is made anew'],
    ['ipc', { ipc: 'service:owner' }, 'it uses the ipc of owner, which is made anew'],
    ['pid', { pid: 'service:owner' }, 'it uses the pid of owner, which is made anew'],
    ['volumes_from', { volumes_from: ['owner:ro'] }, 'it uses the volumes of owner, which is made anew'],
    ['links', { links: ['owner:alias'] }, 'it is linked to owner, which is made anew'],
    [
      'depends_on with restart: true',
      { depends_on: { owner: { condition: 'service_started', restart: true } } },
      'it depends on owner with restart: true, which is made anew',
    ],
  ])('makes anew what follows by %s', (_, more, why) => {
    const situation = { before: with_(more), now: with_(more), images: { owner: 'new' } }
    expect(planned(situation)).toEqual(['owner recreate: its image changed', `side recreate: ${why}`])
  })

  test('leaves alone what just depends on it', () => {
    const services = with_(after('owner'))
    const situation = { before: services, now: services, images: { owner: 'new' } }
    expect(planned(situation)).toEqual(['owner recreate: its image changed', 'side unchanged: nothing changed'])
  })

  test('goes on from follower to follower, also over one that must be created', () => {
    const services: Services = {
      a: { image: 'a' },
      b: { image: 'b', network_mode: 'service:a' },
      c: { image: 'c', ipc: 'service:b' },
    }
    const without = (name: string) => (made: Container[]) => made.filter(({ service }) => service !== name)
    expect(planned({ before: services, now: services, containers: without('a') })).toEqual([
      'a create: it does not exist any more',
      'b recreate: it uses the network of a, which is made anew',
      'c recreate: it uses the ipc of b, which is made anew',
    ])
  })

  test('keeps its own reason, and stays open while that of the other is', () => {
    const services = with_({ network_mode: 'service:owner' })
    expect(planned({ before: services, now: services, images: { owner: undefined } })).toEqual([
      'owner recreate?: if the image that is built or pulled differs',
      'side recreate?: it uses the network of owner, which is made anew',
    ])
    expect(planned({ before: services, now: services, images: { owner: undefined, side: 'new' } })).toEqual([
      'owner recreate?: if the image that is built or pulled differs',
      'side recreate: its image changed',
    ])
    expect(planned({ before: services, now: services, images: { owner: 'new', side: undefined } })).toEqual([
      'owner recreate: its image changed',
      'side recreate: it uses the network of owner, which is made anew',
    ])
  })

  test('makes anew what is in the namespace of a container that is gone', () => {
    const services = with_({ network_mode: 'service:owner' })
    const sharing = (id: string) => (made: Container[]) =>
      made.map((found) => (found.service === 'side' ? { ...found, shares: [id], configHash: 'of other ids' } : found))
    expect(planned({ before: services, now: services, containers: sharing('gone') })[1]).toBe(
      'side recreate: the container whose namespace it uses is gone',
    )
    expect(planned({ before: services, now: services, containers: sharing('owner-1') })[1]).toBe(
      'side unchanged: nothing changed',
    )
  })

  test('does not take a container outside the project for a service', () => {
    const services = with_({ volumes_from: ['container:owner'], network_mode: 'container:owner' })
    const situation = { before: services, now: services, images: { owner: 'new' } }
    expect(planned(situation)[1]).toBe('side unchanged: nothing changed')
  })
})

describe('makePlan() about what somebody did by hand', () => {
  test.each<[string, Partial<Container>, string]>([
    ['another definition', { configHash: 'other' }, 'web recreate: it was changed by hand'],
    ['another image', { image: 'sha256:other' }, 'web recreate: its image was changed by hand'],
    ['stopped', { state: 'exited', exitCode: 137 }, 'web recreate: it is not running (exited, exit code 137)'],
    ['paused', { state: 'paused' }, 'web recreate: it is not running (paused, exit code 0)'],
    ['crashing', { state: 'restarting', exitCode: 1 }, 'web recreate: it is not running (restarting, exit code 1)'],
  ])('recreates a container that is found with %s', (_, found, expected) => {
    expect(planned({ before: web(), now: web(), containers: change(found) })).toEqual([expected])
  })

  test('keeps a number of containers that was set by hand, unless the file changes its own', () => {
    const three = () => [1, 2, 3].map((number) => container('web', number))
    expect(planned({ before: web(), now: web(), containers: three })).toEqual(['web unchanged: nothing changed'])
    expect(planned({ before: web(), now: web({ scale: 2 }), containers: three })).toEqual([
      'web scale: 3 → 2 containers',
    ])
    const [plan] = makePlan(inputOf({ before: web(), now: web(), images: { web: 'new' }, containers: three })).services
    expect([plan?.action, plan?.replicas]).toEqual(['recreate', 3])
  })

  test('does not count what a release that failed has left beside what is live', () => {
    const configFiles = '/shop/.stagecraft/releases/rel-29991231-000000000/compose.json'
    const left = () => [container('web', 1), { ...container('web', 2), configHash: 'other', configFiles }]
    const [plan] = makePlan(inputOf({ before: web(), now: web(), containers: left })).services
    expect([plan?.action, plan?.replicas]).toEqual(['recreate', 1])
  })

  test.each<[string, Service, Service, string]>([
    ['more', { scale: 1 }, { scale: 3 }, 'web scale: 1 → 3 containers'],
    ['fewer', { deploy: { replicas: 3 } }, { deploy: { replicas: 2 } }, 'web scale: 3 → 2 containers'],
    ['none', { scale: 2 }, { scale: 0 }, 'web scale: 2 → 0 containers'],
    ['none, as before', { scale: 0 }, { scale: 0 }, 'web unchanged: no replicas are wanted'],
    ['some after none', { scale: 0 }, { scale: 2 }, 'web create: it does not exist any more'],
  ])('scales when the file wants %s', (_, before, now, expected) => {
    expect(planned({ before: web(before), now: web(now) })).toEqual([expected])
  })

  test('recreates an unhealthy container only if it holds no data', () => {
    const sick = { before: web(), now: web(), containers: change({ health: 'unhealthy' }) }
    expect(planned(sick)).toEqual(['web recreate: it is unhealthy'])
    const leftAlone = ['web unchanged: unhealthy, but it holds data: look at it yourself']
    const volumes = [{ type: 'volume', source: 'data', target: '/data' }]
    expect(planned({ ...sick, before: web({ volumes }), now: web({ volumes }) })).toEqual(leftAlone)
    const input = inputOf(sick)
    const withData = { ...input, images: { web: { ...imageOf('web', 'old'), volumes: true } } }
    expect(makePlan(withData).services[0]?.why).toBe('unhealthy, but it holds data: look at it yourself')
  })

  test('reports containers that it does not know, and leaves them alone', () => {
    const input = inputOf({ before: web(), now: web(), containers: (made) => [...made, container('debug')] })
    const plan = makePlan(input)
    expect(plan.notes).toEqual([
      'container shop-debug-1 is of this Compose project but not of this release: it is left alone',
    ])
    expect(isNothingToDo(plan)).toBe(true)
  })

  test('says what a recreated container keeps of the old image, where an anonymous volume hides the new one', () => {
    const image = (name: string, paths: readonly string[]) => ({
      ...imageOf('web', name),
      volumes: true,
      volume_paths: paths,
    })
    const notes = (more: Service, now: string | undefined, paths = ['/data']) => {
      const input = inputOf({ before: web(more), now: web(more), images: { web: 'old' } })
      const { serving } = input
      if (serving === undefined) throw new Error('nothing serves')
      const bundle = { ...serving.bundle, images: { web: image('old', paths) } }
      const images = now === undefined ? {} : { web: image(now, paths) }
      return makePlan({ ...input, images, serving: { ...serving, bundle } }).notes
    }
    const said = [
      'web keeps what it has in /data, also the files of its old image: an anonymous volume goes on to the container that is recreated. ' +
        'For the new image’s files: take VOLUME out of the image, or, if nothing in it is to be kept, docker rm -fv shop-web-1 first',
    ].map((text) => text.replace('’', "'"))
    expect(notes({}, 'new')).toEqual(said)
    expect(notes({}, undefined)).toEqual(said) // it is not known before it is built
    expect(notes({}, 'old')).toEqual([])
    const mounted = { volumes: [{ type: 'volume', source: 'data', target: '/data' }] }
    expect(notes(mounted, 'new')).toEqual([])
    const own = { volumes: [{ type: 'volume', target: '/own' }] }
    expect(notes(own, 'new', [])[0]).toStartWith('web keeps what it has in /own,')
  })

  test('says which paths are not part of the release', () => {
    const data = [{ path: './uploads', why: 'a service writes to it' }]
    expect(makePlan(inputOf({ now: web(), data })).notes).toEqual([
      './uploads is mounted from where it is, and is not part of the release: a service writes to it',
    ])
  })
})

describe('makePlan() about a held service', () => {
  const settings = { db: { rollout: { strategy: 'hold' as const } } }
  const db = (more: Service = {}): Services => ({ db: { image: 'db', ...more } })

  test.each<[string, Situation, string]>([
    ['creates it', { now: db() }, 'db create: new'],
    ['leaves it alone', { before: db(), now: db() }, 'db hold: held: a deploy does not touch it'],
    [
      'says what is waiting',
      { before: db(), now: db({ environment: { A: '1' } }), images: { db: 'new' } },
      'db hold: held; waiting: its image changed; environment changed (A)',
    ],
    [
      'leaves it alone though it follows another',
      { before: { ...db(), web: { image: 'web' } }, now: { ...db(), web: { image: 'web' } }, images: { web: 'new' } },
      'db hold: held: a deploy does not touch it',
    ],
  ])('%s', (_, situation, expected) => {
    expect(planned({ ...situation, settings })[0]).toBe(expected)
  })

  test('keeps its definition, image and files in the release', () => {
    const config = (hash: string) => [{ source: `app-${hash}`, target: '/app' }]
    const files = (hash: string) => ({
      configs: { [`app-${hash}`]: { name: `app-${hash}`, file: `/content/${hash}` } },
    })
    const input = inputOf({
      before: { ...db({ configs: config('one') }), web: { image: 'web' } },
      now: { ...db({ configs: config('two') }), web: { image: 'web', environment: { A: '1' } } },
      beforeParts: files('one'),
      nowParts: files('two'),
      images: { db: 'new', web: 'new' },
      settings,
    })
    const plan = makePlan(input)
    const model = plannedModel(input, plan)
    expect(model.services['db']).toEqual(input.serving?.model.services['db'] ?? {})
    expect(model.services['web']?.image).toBe('shop-web:sc-new')
    expect(Object.keys(model.configs ?? {}).toSorted()).toEqual(['app-one', 'app-two'])
    const ids = Object.entries(plannedImages(input, plan)).map(([service, { id }]) => [service, id])
    expect(Object.fromEntries(ids)).toEqual({ db: 'sha256:old', web: 'sha256:new' })
  })
})

describe('makePlan() where nothing has been released but containers run', () => {
  const running = () => [container('web')]
  const adoptable = { web: ['hash of web', 'hash with depends_on'] }

  test.each<[string, Situation, string]>([
    [
      'adopts what runs as the file says',
      { now: web(), containers: running, adoptable },
      'web unchanged: adopted as it runs',
    ],
    [
      'recreates what has another image',
      { now: web(), containers: running, adoptable, images: { web: 'new' } },
      'web recreate: its image changed',
    ],
    [
      'recreates what runs otherwise, and warns',
      { now: web(), containers: running, adoptable: { web: ['other'] } },
      'web recreate: it runs, but not as the Compose file says now; its old container is kept until the new release is live',
    ],
    [
      'waits for the image before it decides',
      { now: web(), containers: running, adoptable, images: { web: undefined } },
      'web recreate?: if the image that is built or pulled differs',
    ],
    [
      'recreates what runs beside a release that does not know it',
      {
        before: { api: { image: 'api' } },
        now: { ...web(), api: { image: 'api' } },
        containers: (made) => [...made, ...running()],
      },
      'web recreate: it runs without having been released; its old container is kept until the new release is live',
    ],
  ])('%s', (_, situation, expected) => {
    expect(planned(situation)).toContain(expected)
  })
})

describe('makePlan() before images are known', () => {
  test('says what is certain, and what depends on the image', () => {
    const situation = {
      before: { ...web(), api: { image: 'api' } },
      now: { ...web(), api: { image: 'api', user: '1' }, new: { image: 'new' } },
      images: { web: undefined, api: undefined, new: undefined },
    }
    expect(planned(situation)).toEqual([
      'api recreate: user changed',
      'new create: new',
      'web recreate?: if the image that is built or pulled differs',
    ])
    expect(isNothingToDo(makePlan(inputOf(situation)))).toBe(false)
  })
})

describe('makePlan()', () => {
  const situation: Situation = {
    before: {
      db: { image: 'db', environment: { A: '1', B: '2' }, networks: { back: null, default: null } },
      web: { image: 'web', network_mode: 'service:db', labels: { x: '1', y: '2' } },
      old: { image: 'old' },
    },
    now: {
      db: { image: 'db', environment: { A: '1', B: '3' }, networks: { back: null, default: null } },
      web: { image: 'web', network_mode: 'service:db', labels: { x: '1', y: '2' } },
      api: { image: 'api', ...after('db', 'web') },
    },
    beforeParts: {
      networks: { back: { labels: { a: '1', b: '2' } } },
      volumes: { data: { labels: { c: '3', d: '4' } } },
    },
    nowParts: { networks: { back: { labels: { a: '1', b: '3' } } }, volumes: { data: { labels: { c: '3', d: '4' } } } },
  }

  test('gives the same plan whatever the order of keys', () => {
    const input = inputOf(situation)
    const shuffled = { ...reversed(input), topology: classify(reversed(input.target.model)) } as PlanInput
    expect(makePlan(shuffled)).toEqual(makePlan(input))
    expect(JSON.stringify(makePlan(input).services)).toBe(JSON.stringify(makePlan(shuffled).services))
  })

  test('changes nothing in what it is given', () => {
    const input = inputOf(situation)
    const copy = structuredClone(input)
    const plan: Plan = makePlan(input)
    plannedModel(input, plan)
    expect(input).toEqual(copy)
  })
})

/** The same value, with the keys of every object in reverse order. Lists keep theirs. */
function reversed<T>(value: T): T {
  if (Array.isArray(value)) return value.map(reversed) as T
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, entry]) => [key, reversed(entry)])
  return Object.fromEntries(entries.toReversed()) as T
}
