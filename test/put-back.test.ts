import { afterEach, describe, expect, test } from 'bun:test'
import type { Service } from '../lib/compose.ts'
import { errorReport } from '../lib/error-report.ts'
import { StagecraftError } from '../lib/errors.ts'
import { createMask } from '../lib/mask.ts'
import { errorLines } from '../lib/report-lines.ts'
import { composeModel, ENGINE_AHEAD } from './support/fake-engine.ts'
import { FakeProject, story } from './support/fake-project.ts'
import { expectGolden } from './support/golden.ts'

const projects: FakeProject[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
})

/** An application that somebody started with `docker compose up`, before Stagecraft came. */
async function running(services: Record<string, Service>): Promise<FakeProject> {
  const project = new FakeProject('put-back')
  projects.push(project)
  const { engine } = project
  for (const content of ['one', 'two', 'bad']) engine.addImage(`web:${content}`, content)
  engine.addImage('db:1', 'db')
  engine.behave = ({ content }) => (content === 'bad' ? { exit: 1, logs: 'bad indeed' } : undefined)
  if (Object.keys(services).length > 0) await start(project, services)
  return project
}

/** `docker compose up`, but for what Stagecraft never does: the fake engine knows only its flags. */
async function start(project: FakeProject, services: Record<string, Service>): Promise<void> {
  const { engine } = project
  engine.model = composeModel('shop', { services })
  const up = [
    '-p',
    'shop',
    '-f',
    '-',
    'up',
    '-d',
    '--no-deps',
    '--no-build',
    '--pull',
    'never',
    '--force-recreate',
    '--',
  ]
  await engine.exec(['docker', 'compose', ...up, ...Object.keys(services)], { input: JSON.stringify(engine.model) })
  engine.calls = []
}

const ids = (project: FakeProject) => ['web', 'db'].map((service) => project.engine.ids('shop', service).join())
const now = (project: FakeProject, services: Record<string, Service>) => {
  project.engine.model = composeModel('shop', { services })
}

test('what the engine was asked to stop meanwhile is asked for in its own time', async () => {
  const project = await running({ web: { image: 'web:one' } })
  project.engine.addImage('web:one', 'bad')
  const before = project.engine.state.now
  await project.deploy()
  const argv = project.engine.calls.find(([, first]) => first === 'events') ?? []
  const [since, until] = ['--since', '--until'].map(
    (flag) => Number(argv[argv.indexOf(flag) + 1]) * 1000 - ENGINE_AHEAD,
  )
  expect(since).toBeWithin(before, project.engine.state.now + 1)
  expect(until).toBeWithin(since ?? 0, project.engine.state.now + 1)
})

describe('an application that ran before Stagecraft', () => {
  test('is adopted as it runs: nothing is touched', async () => {
    const services = { web: { image: 'web:one' }, db: { image: 'db:1' } }
    const project = await running(services)
    const before = ids(project)
    const { error, bundle } = await project.deploy()
    expect(error).toBeUndefined()
    expect(ids(project)).toEqual(before)
    expect(bundle?.phases.rollout?.note).toBe('nothing to do: everything runs as it should')
    expect((await project.deploy()).bundle?.phases.rollout?.note).toBe('nothing to do: everything runs as it should')
    expect(ids(project)).toEqual(before)
  })

  test('is put back as it ran when its first release fails', async () => {
    const project = await running({ web: { image: 'web:one' }, db: { image: 'db:1' } })
    const before = project.view()
    project.engine.addImage('web:one', 'bad') // somebody moved the tag
    const { error, events } = await project.deploy()
    expect([error?.kind, error?.hint]).toEqual(['failed', 'What ran before still runs.'])
    expect(story(events)).toContain('  web restore')
    expect(project.view()).toEqual(before)
  })

  test('comes back as the containers that it was, where nobody knows what they were made from', async () => {
    const project = await running({
      web: { image: 'web:one', environment: { A: '1' }, scale: 2 },
      db: { image: 'db:1' },
    })
    const before = [ids(project), project.view()]
    now(project, { web: { image: 'web:bad', environment: { A: '2' } }, db: { image: 'db:1', environment: { B: '1' } } })
    expect((await project.plan()).services[0]).toMatchObject({
      action: 'recreate',
      why: 'it runs, but not as the Compose file says now; its old container is kept until the new release is live',
      aside: true,
    })
    const { error, events } = await project.deploy()
    expect([error?.kind, error?.hint]).toEqual(['failed', 'What ran before still runs.'])
    expect(story(events)).toContain('  web restore')
    expect([ids(project), project.view()]).toEqual(before)
  })

  test('is replaced by what the file says: the old containers go once the release is live', async () => {
    const project = await running({ web: { image: 'web:one', ports: [{ target: 80, published: '8080' }] } })
    const before = project.engine.ids('shop', 'web')
    now(project, { web: { image: 'web:two', ports: [{ target: 80, published: '8080' }] } })
    const { error } = await project.deploy()
    expect(error?.message).toBeUndefined()
    expect(project.view()).toEqual(['web of two running on shop_default'])
    expect(project.engine.ids('shop', 'web')).not.toEqual(before)
    expect((await project.deploy()).bundle?.phases.rollout?.note).toBe('nothing to do: everything runs as it should')
  })

  test('is refused where something shares its namespace: Compose would give it that of either', async () => {
    const side = { image: 'web:one', network_mode: 'service:db' }
    const project = await running({ db: { image: 'db:1' }, web: side })
    const before = [ids(project), project.view()]
    now(project, { db: { image: 'db:1', environment: { A: '1' } }, web: side })
    const { error } = await project.deploy()
    expect([error?.kind, error?.message, error?.hint?.split('\n')[0]]).toEqual([
      'config',
      'Cannot take over db: it runs, but not as the Compose file says now, and it could not be put back if the deploy failed, since web uses something of it, and Compose would give it that of either',
      'Let Compose bring it to what the file says now, then deploy: docker compose -p shop up -d --no-deps db web',
    ])
    expect([ids(project), project.view()]).toEqual(before)
  })

  test('is refused in one message with all causes', async () => {
    const project = await running({
      web: { image: 'web:one', container_name: 'w' },
      db: { image: 'db:1', container_name: 'd' },
    })
    now(project, { web: { image: 'web:two', container_name: 'w' }, db: { image: 'web:two', container_name: 'd' } })
    const { error } = await project.deploy()
    expect([error?.message, error?.detail, error?.hint?.split('\n')[0]]).toEqual([
      'Cannot take over db, web: they run, but not as the Compose file says now, and could not be put back if the deploy failed',
      'db: it has a container_name (d)\nweb: it has a container_name (w)',
      'Let Compose bring it to what the file says now, then deploy: docker compose -p shop up -d --no-deps db web',
    ])
  })

  test('is refused where it uses the namespace of what is recreated, and would come back to one that is gone', async () => {
    const side = (value: string) => ({ image: 'web:one', network_mode: 'service:db', environment: { S: value } })
    const project = await running({ db: { image: 'db:1' }, web: side('1') })
    now(project, { db: { image: 'db:1' }, web: side('2') })
    expect((await project.plan()).services.map(({ action, aside }) => [action, aside])).toEqual([
      ['unchanged', undefined],
      ['recreate', true],
    ])
    project.engine.addImage('db:1', 'bad') // somebody moved the tag
    const { error } = await project.deploy()
    expect(error?.message).toEndWith('since it uses something of db, which is made anew')
  })

  test('is remembered after a first deploy that failed: the next one takes it over', async () => {
    const side = { image: 'web:one', network_mode: 'service:db' }
    const project = await running({ db: { image: 'db:1' }, web: side })
    const view = project.view()
    project.engine.addImage('db:1', 'bad')
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(project.view()).toEqual(view)
    now(project, { db: { image: 'web:bad', environment: { A: '2' } }, web: side })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(project.view()).toEqual(view)
    now(project, { db: { image: 'web:two', environment: { A: '2' } }, web: side })
    expect((await project.deploy()).error).toBeUndefined()
  })

  test('comes back after a run that died at any command', async () => {
    const project = await running({ web: { image: 'web:one', environment: { A: '1' } } })
    project.write('.stagecraft/empty', '')
    project.keep()
    const before = [ids(project), project.view()]
    now(project, { web: { image: 'web:bad', environment: { A: '2' } } })
    let died = 0
    for (let count = 1; await project.dieAt(count, 'all', () => project.deploy()); count++) {
      died++
      expect((await project.recover()).error).toBeUndefined()
      expect([count, ids(project), project.view()]).toEqual([count, ...before])
      project.comeBack()
    }
    expect(died).toBeGreaterThan(20)
  })

  test('comes back too where releases were made, but not of this service', async () => {
    const project = await running({})
    now(project, { db: { image: 'db:1' } })
    await project.deploy()
    await start(project, { web: { image: 'web:one' } })
    const before = [ids(project), project.view()]
    now(project, { db: { image: 'db:1' }, web: { image: 'web:bad' } })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect([ids(project), project.view()]).toEqual(before)
  })

  test('is refused with another way out where releases were made, but not of this service', async () => {
    const project = await running({})
    now(project, { db: { image: 'db:1' } })
    await project.deploy()
    await start(project, { web: { image: 'web:one', container_name: 'web' } })
    now(project, { db: { image: 'db:1' }, web: { image: 'web:two', container_name: 'web' } })
    const { error } = await project.deploy()
    expect([error?.kind, error?.hint?.split('\n')[0]]).toEqual([
      'config',
      'Remove it first, if what it holds may go: docker rm -f web',
    ])
    await project.engine.exec(['docker', 'rm', '-f', ...project.engine.ids('shop', 'web')])
    expect((await project.deploy()).error).toBeUndefined()
  })

  test.each<[string, Service, Service]>([
    ['it has a container_name (web)', { container_name: 'web' }, {}],
    [
      'its data in /data is in a volume without a name, which only Compose hands on',
      { volumes: [{ type: 'volume', target: '/data' }] },
      {},
    ],
    ['its data in /data is in a volume without a name, which only Compose hands on', {}, { image: 'web:volume' }],
  ])('is refused before anything is touched where the two cannot be there at once: %s', async (why, more, image) => {
    const project = await running({})
    project.engine.withVolume.add('volume')
    project.engine.addImage('web:volume', 'volume')
    const web = { image: 'web:one', ...more, ...image }
    await start(project, { web })
    const before = [ids(project), project.view()]
    const wanted = { web: { ...web, environment: { A: '2' } } }
    now(project, wanted)
    const { error } = await project.deploy()
    expect([error?.kind, error?.message, error?.hint?.split('\n')[0]]).toEqual([
      'config',
      `Cannot take over web: it runs, but not as the Compose file says now, and it could not be put back if the deploy failed, since ${why}`,
      'Let Compose bring it to what the file says now, then deploy: docker compose -p shop up -d --no-deps web',
    ])
    if (error && why.includes('container_name')) {
      const hint = error.hint?.split('\n')[0]
      const alone = new StagecraftError(error.kind, error.message, { hint })
      expectGolden(
        'core/plan.md',
        'take-over',
        errorLines(errorReport(alone, { verbose: false }), { mask: createMask([]) }).join('\n'),
      )
    }
    expect([ids(project), project.view()]).toEqual(before)
    await start(project, wanted) // as the hint says
    expect((await project.deploy()).error).toBeUndefined()
  })

  test('keeps its own image, whatever is built beside it', async () => {
    const project = await running({ db: { image: 'db:1' } })
    project.engine.sources = { web: 'built' }
    project.write('.dockerignore', '.stagecraft')
    now(project, { db: { image: 'db:1' }, web: { build: { context: project.folder } } })
    expect((await project.deploy()).error).toBeUndefined()
    expect(project.view()).toEqual(['db of db running on shop_default', 'web of built running on shop_default'])
  })
})

describe('putting back', () => {
  test('is tried once more: what a client that died had asked of the engine can be in the way', async () => {
    const project = await running({})
    now(project, { web: { image: 'web:one' } })
    await project.deploy()
    const before = project.view()
    now(project, { web: { image: 'web:bad' } })
    const id = project.releases()[0]?.id ?? ''
    let failed = 0
    project.engine.intercept = (argv) => {
      const restores = argv.includes('up') && argv.some((word) => word.includes(id))
      return restores && failed++ === 0 ? { damage: 'half' } : undefined
    }
    const { error } = await project.deploy()
    expect([error?.kind, failed, project.view()]).toEqual(['failed', 2, before])
  })

  test('hands anonymous volumes on, there and back', async () => {
    const project = await running({})
    now(project, { web: { image: 'web:one' } })
    await project.deploy()
    const volume = () => project.engine.containersOf('shop').map(({ anonymous }) => anonymous)
    const before = volume()
    now(project, { web: { image: 'web:bad' } })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(volume()).toEqual(before)
  })

  test('brings all replicas back, in the number that there was', async () => {
    const project = await running({})
    now(project, { web: { image: 'web:one', scale: 3 } })
    await project.deploy()
    const before = project.view()
    now(project, { web: { image: 'web:bad', scale: 2 } })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(project.view()).toEqual(before)
  })

  test('removes just the new containers when scaling up fails', async () => {
    const project = await running({})
    now(project, { web: { image: 'web:one' } })
    await project.deploy()
    const before = ids(project)
    project.engine.behave = () => ({ exit: 1 })
    now(project, { web: { image: 'web:one', scale: 3 } })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(ids(project)).toEqual(before)
  })

  test('goes in the order of the release that served, and proves what was well', async () => {
    const project = await running({})
    const needs = { depends_on: { db: { condition: 'service_healthy' } } } as const
    const db = (image: string) => ({ image, healthcheck: { test: ['CMD', 'x'] } })
    now(project, { web: { image: 'web:one', ...needs }, db: db('db:1') })
    await project.deploy()
    project.engine.calls = []
    now(project, { web: { image: 'web:bad', ...needs }, db: db('web:two') })
    const { error, events } = await project.deploy()
    expect(error?.kind).toBe('failed')
    expect(story(events).filter((line) => line.endsWith('restore'))).toEqual(['  db restore', '  web restore'])
    expect(project.view()).toEqual(['db of db running on shop_default', 'web of one running on shop_default'])
  })

  test('is exit 6 when what was well does not get well again', async () => {
    const project = await running({})
    now(project, { web: { image: 'web:one' } })
    await project.deploy()
    project.engine.behave = () => ({ exit: 1, logs: 'the disk is full' })
    now(project, { web: { image: 'web:two' } })
    const { error } = await project.deploy()
    expect(error?.kind).toBe('not-restored')
    expect(error?.detail).toContain('web      shop-web-1  exited')
  })

  test('hands a port back', async () => {
    const project = await running({})
    const ports = { ports: [{ target: 80, published: '8080' }] }
    now(project, { db: { image: 'db:1', ...ports } })
    await project.deploy()
    const before = project.view()
    now(project, { web: { image: 'web:bad', ...ports } })
    const { error } = await project.deploy()
    expect(error?.kind).toBe('failed')
    expect(project.view()).toEqual(before)
  })

  test('hands a port back that something has that is put back as well', async () => {
    const project = await running({})
    const ports = { ports: [{ target: 80, published: '8080' }] }
    now(project, { web: { image: 'web:one' }, db: { image: 'db:1', ...ports } })
    await project.deploy()
    const before = project.view()
    now(project, { web: { image: 'web:one', ...ports }, side: { image: 'web:bad', network_mode: 'service:web' } })
    const { error } = await project.deploy()
    expect(error?.kind).toBe('failed')
    expect(project.view()).toEqual(before)
  })

  test('runs an image by its content where its name was removed and the registry has another one by now', async () => {
    const project = await running({})
    const { engine } = project
    engine.registry = { 'postgres:16': 'postgres' }
    now(project, { db: { image: 'postgres:16' } })
    await project.deploy()
    const before = project.view()
    await engine.exec(['docker', 'rmi', 'postgres:16'])
    engine.registry = { 'postgres:16': 'bad' }
    const { error } = await project.deploy()
    expect(error?.kind).toBe('failed')
    expect(project.view()).toEqual(before)
  })

  test('gives a network back to a service that was to be removed', async () => {
    const project = await running({})
    const onBack = { networks: { back: null } }
    project.engine.model = composeModel('shop', {
      services: { web: { image: 'web:one', ...onBack }, db: { image: 'db:1', ...onBack } },
      networks: { back: { labels: { kind: 'one' } } },
    })
    await project.deploy()
    const before = project.view()
    project.engine.model = composeModel('shop', {
      services: { web: { image: 'web:bad', ...onBack } },
      networks: { back: { labels: { kind: 'two' } } },
    })
    const { error } = await project.deploy()
    expect(error?.kind).toBe('failed')
    expect(project.view()).toEqual(before)
  })

  test('is not needed where a new service is made in the network of one that is recreated: it waits for it', async () => {
    const project = await running({})
    now(project, { web: { image: 'web:one' } })
    await project.deploy()
    now(project, { web: { image: 'web:two' }, db: { image: 'db:1', network_mode: 'service:web' } })
    const { events } = await project.deploy()
    expect(story(events).filter((line) => /create$/.test(line))).toEqual(['  web recreate', '  db create'])
    expect(project.view()).toContain('db of db running in web')
  })
})
