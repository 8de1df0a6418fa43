import { describe, expect, test } from 'bun:test'
import type { Container } from '../../lib/docker/inspect.ts'
import { formatPlan, stageLines } from '../../lib/plan/format.ts'
import type { PlanInput } from '../../lib/plan/input.ts'
import { makePlan } from '../../lib/plan/make.ts'
import { plannedRoutes } from '../../lib/plan/routes/change.ts'
import { awaitLateJobs, isNothingToDo, neededBy } from '../../lib/plan/stages.ts'
import { after, inputOf, type Services, type Situation } from '../scenes/situation.ts'

const EXPOSE = { host: ['shop.example.com'], port: 3000 }
const running = { reference: 'caddy:2', state: 'running', outdated: undefined, lost: false, networks: {} }
const PROXY = running as unknown as NonNullable<PlanInput['proxy']> // a plan needs no more of it than this
/** What the live release has of the proxy. */
const bundleOf = (settings: Situation['settings'], services: Services = { web: { image: 'web' } }) => ({
  routes: plannedRoutes(inputOf({ now: services, ...(settings ? { settings } : {}) }), { web: 'a' }, []),
  slots: { web: 'a' as const },
})
const exposed = { web: { expose: EXPOSE } }

const lines = (situation: Situation) => stageLines(makePlan(inputOf(situation)))
const completed = (...names: string[]) => ({
  depends_on: Object.fromEntries(names.map((name) => [name, { condition: 'service_completed_successfully' as const }])),
})
const port = (published: string) => ({ ports: [{ target: 80, published, protocol: 'tcp' }] })
const network = (driver: string) => ({ networks: { back: { name: 'shop_back', driver } } })

describe('the stages of a plan', () => {
  test.each<[string, Situation, string[]]>([
    ['are empty if there is nothing to do', { before: { web: {} }, now: { web: {} } }, []],
    [
      'of a first deploy create everything in prepare, in the order of dependencies',
      {
        now: {
          web: { image: 'web', ...completed('migrate') },
          migrate: { image: 'web', ...after('db') },
          db: { image: 'db' },
        },
      },
      ['  prepare  create db', '           run migrate; wait for migrate', '           create web'],
    ],
    [
      'of a routed service start the new containers alongside, switch, and remove the old ones',
      {
        before: { web: { image: 'web', scale: 2 } },
        now: { web: { image: 'web', scale: 2 } },
        images: { web: 'new' },
        settings: exposed,
        proxy: PROXY,
        bundle: bundleOf(exposed),
      },
      [
        '  prepare  start web ×2 alongside in slot b',
        '  switch   requests for web → slot b',
        '  retire   drain and remove the old containers of web',
      ],
    ],
    [
      'of a service that rolls without a route have no slot',
      {
        before: { web: { image: 'web' } },
        now: { web: { image: 'web' } },
        images: { web: 'new' },
        settings: { web: { rollout: { strategy: 'rolling' } } },
      },
      ['  prepare  start web alongside', '  retire   drain and remove the old containers of web'],
    ],
    [
      'recreate what does not roll in the switch, after what it needs',
      {
        before: { web: { image: 'web', ...after('db') }, db: { image: 'db' } },
        now: { web: { image: 'web', ...after('db') }, db: { image: 'db' } },
        images: { web: 'new', db: 'new' },
      },
      ['  switch  recreate db', '          recreate web'],
    ],
    [
      'scale in the switch, and remove at the end',
      {
        before: { web: { image: 'web' }, old: { image: 'old' } },
        now: { web: { image: 'web', scale: 3 } },
      },
      ['  switch  scale web to 3', '  retire  remove old'],
    ],
    [
      'stop what gives up a port before another service takes it',
      {
        before: { old: { image: 'old', ...port('8080') } },
        now: { web: { image: 'web', ...port('8080') } },
      },
      ['  switch  stop old', '          create web', '  retire  remove old'],
    ],
    [
      'remove a network that is replaced, and create what is new on it after that',
      {
        before: { db: { image: 'db', networks: { back: null } } },
        beforeParts: network('bridge'),
        now: { db: { image: 'db', networks: { back: null } }, web: { image: 'web', networks: { back: null } } },
        nowParts: network('overlay'),
      },
      ['  switch  remove network shop_back', '          recreate db, create web'],
    ],
    [
      'mark what depends on an image that is not known yet',
      { before: { web: { image: 'web' } }, now: { web: { image: 'web' } }, images: { web: undefined } },
      ['  switch  recreate web?'],
    ],
    [
      'ask a service that stays through the proxy if its route is new',
      {
        before: { web: { image: 'web' } },
        now: { web: { image: 'web' } },
        settings: { web: { expose: EXPOSE } },
        proxy: PROXY,
      },
      [
        '  prepare  ask web through the proxy',
        '  switch   change the routes of web',
        '           requests for web → slot a',
      ],
    ],
    [
      'disconnect a service from the proxy that is not exposed any more',
      {
        before: { web: { image: 'web' } },
        now: { web: { image: 'web' } },
        proxy: PROXY,
        bundle: bundleOf(exposed),
      },
      ['  switch  change the routes of web', '  retire  disconnect web from the proxy'],
    ],
    [
      'recreate the proxy first, and load nothing if no route changes',
      {
        before: { web: { image: 'web' } },
        now: { web: { image: 'web' } },
        settings: exposed,
        proxy: { ...PROXY, outdated: 'from caddy:2.10 to caddy:2.11' },
        bundle: bundleOf(exposed),
      },
      ['  prepare  upgrade the proxy'],
    ],
    [
      'disconnect what is removed from a network that is replaced, remove that, and then stop what gives up a port',
      {
        before: {
          db: { image: 'db', networks: { back: null } },
          old: { image: 'old', networks: { back: null }, ...port('8080') },
        },
        beforeParts: network('bridge'),
        now: { db: { image: 'db', networks: { back: null }, ...port('8080') } },
        nowParts: network('overlay'),
      },
      [
        '  switch  disconnect old',
        '          remove network shop_back',
        '          stop old',
        '          recreate db',
        '  retire  remove old',
      ],
    ],
  ])('%s', (_, situation, expected) => {
    expect(lines(situation)).toEqual(expected)
  })

  test('add containers of an internal service alongside: callers must not reach them before they are ready', () => {
    const settings = { web: { expose: { internal: true, port: 3000 }, rollout: { strategy: 'recreate' as const } } }
    const before: Services = { web: { image: 'web' } }
    const now: Services = { web: { image: 'web', scale: 3 } }
    const live = { ...bundleOf(settings), services: settings }
    const { stages } = makePlan(inputOf({ before, now, settings, proxy: PROXY, bundle: live }))
    expect(stages.switch.waves).toEqual([{ members: [{ service: 'web', how: 'alongside', replicas: 2 }], awaited: [] }])
  })

  test('keep the old containers of an adopted service, stopped, until the release is live', () => {
    const made = (all: Container[]) => all.map((one) => ({ ...one, configHash: 'by hand' }))
    const situation: Situation = {
      now: { web: { image: 'web' } },
      before: { web: { image: 'web' } },
      containers: made,
    }
    const { serving, ...input } = inputOf(situation)
    const plan = makePlan({ ...input, serving: undefined, remembered: [] })
    expect([plan.services[0]?.action, stageLines(plan)]).toEqual([
      'recreate',
      ['  switch  stop web, and start it alongside', '  retire  drain and remove the old containers of web'],
    ])
  })
})

describe('awaitLateJobs()', () => {
  const part = (situation: Situation, awaits: Record<string, string[]> = {}) => {
    const input = { ...inputOf(situation), awaits }
    return { plan: makePlan(input), input }
  }

  test('moves a service that waits for a job of another host to the switch if the job runs there', () => {
    const job = part({
      before: { old: { image: 'old', ...port('8080') } },
      now: { migrate: { image: 'web', ...port('8080') } },
      jobs: ['migrate'],
    })
    const waits = part({ now: { web: { image: 'web' }, cache: { image: 'cache' } } }, { web: ['migrate'] })
    const [, moved] = awaitLateJobs([job, waits])
    expect(moved && stageLines(moved.plan)).toEqual(['  prepare  create cache', '  switch   create web'])
  })

  test('leaves it in prepare otherwise', () => {
    const job = part({ now: { migrate: { image: 'web' } }, jobs: ['migrate'] })
    const waits = part({ now: { web: { image: 'web' } } }, { web: ['migrate'] })
    expect(awaitLateJobs([job, waits]).map(({ plan }) => plan)).toEqual([job.plan, waits.plan])
  })
})

describe('with migrations', () => {
  const now = {
    web: { image: 'web', ...after('db', 'cache') },
    worker: { image: 'web', ...after('db') },
    migrate: { image: 'web', ...after('db') },
    db: { image: 'db' },
    cache: { image: 'cache' },
  }
  /** A plan with the job `migrate` as the migrations of `main`. */
  const planned = (situation: Situation, strategy: 'pre_deploy' | 'post_deploy') => {
    const input = inputOf(situation)
    const databases = { main: { migrations: { engine: 'job', service: 'migrate', strategy, timeout: 1 } } } as const
    const migrations = [{ database: 'main', engine: 'job', strategy, work: 'run migrate', pending: null }] as const
    const needed = strategy === 'pre_deploy' ? neededBy(databases.main, input.topology) : []
    return makePlan({ ...input, environment: { ...input.environment, databases }, migrations, needed })
  }
  const waves = ({ stages }: ReturnType<typeof makePlan>) =>
    stages.migrate?.waves.map(({ members }) => members.map(({ service }) => service))

  test('what they need and what has no container is created before them, and nothing else', () => {
    const plan = planned({ now }, 'pre_deploy')
    expect(waves(plan)).toEqual([['db']])
    expect(stageLines(plan)).toEqual(['  prepare  create cache, create worker', '           create web'])
    expect(formatPlan(plan).slice(5, 7)).toEqual(['  create db; wait for db', '  main  run migrate'])
    expect(plan.services.find(({ service }) => service === 'migrate')).toMatchObject({
      action: 'migrate',
      why: 'runs in migrate_pre: the migrations of main',
    })
  })

  test('after the rollout, or where it runs, nothing is created for them', () => {
    expect(waves(planned({ now }, 'post_deploy'))).toBeUndefined()
    expect(waves(planned({ before: { db: { image: 'db' } }, now }, 'pre_deploy'))).toBeUndefined()
  })

  test('alone they are no change: nothing of the rollout is to be done', () => {
    const plan = planned({ before: now, now }, 'pre_deploy')
    expect([isNothingToDo(plan), stageLines(plan)]).toEqual([true, []])
    expect(formatPlan(plan).at(-1)).toBe('No service is to change; databases are migrated.')
  })
})
