import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import type { FakeProject } from '../fakes/project.ts'
import { story } from '../fakes/project.ts'
import { change, newShop, told } from '../scenes/shop.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const DB: Service = {
  image: 'postgres:16',
  healthcheck: { test: ['CMD', 'pg_isready'] },
  volumes: [{ type: 'volume', source: 'data', target: '/var/lib/postgresql/data' }],
}
const healthy = { condition: 'service_healthy' } as const
const services = (project?: FakeProject): Record<string, Service> => ({
  db: DB,
  web: { build: { context: project?.folder ?? '/nowhere' }, depends_on: { db: healthy } },
})
const COMMAND = 'migrations: {engine: command, service: web, command: migrate up}'

/** A shop with a database, and stagecraft.yml with these databases. */
function shop(databases: string): FakeProject {
  const project = temporary(newShop('migrations', services()))
  project.write('stagecraft.yml', `environments: {local: {databases: {${databases}}}}\n`)
  behaves(project, {})
  return project
}

/** What the migration's container does. Others run. */
function behaves(project: FakeProject, behaviour: object): void {
  project.engine.behave = ({ service, definition }) => {
    if (definition['command'] === 'migrate up' || service === 'migrate') return { exit: 0, ...behaviour }
    return service === 'db' ? { after: 1_000 } : undefined
  }
}

const oneOffs = (project: FakeProject) =>
  project.engine.state.containers
    .filter(({ labels }) => labels !== undefined)
    .map((one) => `${one.name.replace(/-\d{8}-\d{9}$/, '')} ${project.engine.statusOf(one).status}`)

test('what a migration needs is created and ready before it, and the rest after it', async () => {
  const project = shop(`main: {${COMMAND}}`)
  behaves(project, { logs: 'one\ntwo', after: 3_000 })
  const outcome = await project.deploy()
  expect(told(outcome)).toBe('no error')
  const told1 = story(outcome.events).filter(
    (line) => !/^(build|push|finalize)|\| (#|postgres|redis|Status)/.test(line),
  )
  expect(told1).toMatchInlineSnapshot(`
    [
      "  db create",
      "  db ready",
      "  main migrate: migrate up",
      "  main done: migrate up",
      "migrate_pre completed: main: migrate up (8.0s)",
      "  cache create",
      "  web create",
      "  cache ready",
      "  web ready",
      "rollout completed: 3 created",
      "migrate_post completed: no database is migrated after the rollout",
    ]
  `)
  expect(outcome.bundle?.migrations).toEqual([
    {
      database: 'main',
      engine: 'command',
      name: 'migrate up',
      at: expect.any(String),
      duration_ms: expect.any(Number),
    },
  ])
  expect(outcome.bundle?.migrating).toBeUndefined()
  expect(oneOffs(project)).toEqual([])
})

describe('a migration that fails', () => {
  test.each([
    ['an exit code', { exit: 3, logs: 'sorry' }, 'Cannot migrate main: migrate up exited with 3'],
    ['no memory', { exit: 137, oom: true }, 'Cannot migrate main: migrate up ran out of memory'],
    [
      'no end',
      { exit: 0, after: 3_600_000 },
      'Cannot migrate main: migrate up did not end within 10m00s, and was ended',
    ],
    [
      'no start',
      { refuses: 'exec: "migrate": executable file not found' },
      'Cannot migrate main: docker compose run exited with 1',
    ],
  ])('by %s stops the release, and leaves what is live', async (_, behaviour, message) => {
    const project = shop('')
    await project.deploy()
    const before = project.view()
    project.write('stagecraft.yml', `environments: {local: {databases: {main: {${COMMAND}}}}}\n`)
    project.engine.sources = { web: 'web two' }
    behaves(project, behaviour)
    const outcome = await project.deploy()
    expect(told(outcome).split('\n')[0]).toBe(`failed (exit 5): ${message}`)
    expect(outcome.release?.phases).toMatchObject({ migrate_pre: 'failed', rollout: 'skipped' })
    expect(project.view().filter((line) => !line.includes('of web two'))).toEqual(before)
    expect(outcome.bundle?.migrations).toBeUndefined()
    expect(oneOffs(project).length).toBe(1)
    behaves(project, {})
    expect(told(await project.deploy())).toBe('no error')
    expect(oneOffs(project)).toEqual([])
  })

  test('on a first deploy leaves nothing but volumes and its own container', async () => {
    const project = shop(`main: {${COMMAND}}`)
    behaves(project, { exit: 1 })
    expect(told(await project.deploy())).toContain('Nothing was deployed before, and nothing is running.')
    expect(project.engine.state.containers.filter(({ labels }) => !labels)).toEqual([])
    expect(project.engine.state.volumes).toEqual(['shop_data'])
  })

  test('a signal between it and the rollout undoes what it brought up', async () => {
    const project = shop(`main: {${COMMAND}}`)
    const controller = new AbortController()
    const outcome = await project.deploy({
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === 'phase' && event.phase === 'migrate_pre' && event.status === 'completed')
          controller.abort(15)
      },
    })
    expect(told(outcome)).toContain('ended by signal 15')
    expect(project.engine.state.containers).toEqual([])
    expect(outcome.bundle?.journal).toBeUndefined()
  })

  test('after the switch leaves the new release live: exit 10', async () => {
    const project = shop(`main: {${COMMAND.replace('command: m', 'strategy: post_deploy, command: m')}}`)
    behaves(project, { exit: 1 })
    const outcome = await project.deploy()
    expect(told(outcome)).toStartWith('after-commit (exit 10): Cannot migrate main: migrate up exited with 1')
    expect(outcome.release?.phases).toMatchObject({ rollout: 'completed', migrate_post: 'failed', finalize: 'skipped' })
  })
})

test('a job of the Compose file runs only in its phase, and a rollback runs none', async () => {
  const project = shop('main: {migrations: {engine: job, service: migrate}}')
  const done = { condition: 'service_completed_successfully' } as const
  const job = { image: 'postgres:16', command: ['exit', '0'], depends_on: { db: healthy } }
  change(project, { ...services(project), migrate: job, cache: { image: 'redis:7', depends_on: { migrate: done } } })
  const first = await project.deploy()
  expect(told(first)).toBe('no error')
  const ofMigrations = story(first.events).filter((line) => line.includes('migrate'))
  expect(ofMigrations.map((line) => line.replace(/ \(\d.*/, ''))).toEqual([
    '  main migrate: migrate',
    '  main done: migrate',
    'migrate_pre completed: main: migrate',
    'migrate_post completed: no database is migrated after the rollout',
  ])
  project.engine.sources = { web: 'web two' }
  expect(told(await project.deploy())).toBe('no error')
  const calls = () => project.engine.calls.filter((argv) => argv.includes('run')).length
  const before = calls()
  const { migrations } = await project.prepareRollback()
  expect(migrations.map(({ database, name }) => `${database} ${name}`)).toEqual(['main migrate'])
  const back = await project.rollback()
  expect([told(back), calls() - before]).toEqual(['no error', 0])
})

test('a run that dies at any docker command: the next one migrates, and there are never two at once', async () => {
  const scene = (): FakeProject => {
    const project = shop(`main: {${COMMAND}}`)
    behaves(project, { after: 60_000 })
    project.write('.stagecraft/.keep', '')
    return project
  }
  const whole = scene()
  await whole.deploy()
  const commands = whole.engine.calls.length
  expect(commands).toBeGreaterThan(20)
  for (let at = 1; at <= commands; at += 3) {
    const project = scene()
    await project.dieAt(at, 'half', () => project.deploy())
    const running = () => oneOffs(project).filter((line) => line.endsWith('running')).length
    let most = 0
    project.engine.watch = () => {
      most = Math.max(most, running())
    }
    const next = await project.deploy()
    expect([at, told(next)]).toEqual([at, 'no error'])
    expect([at, most <= 1, oneOffs(project)]).toEqual([at, true, []])
    expect(next.bundle?.migrations?.length).toBe(1)
  }
})
