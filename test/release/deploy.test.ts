import { describe, expect, test } from 'bun:test'
import { readdirSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Service } from '../../lib/compose/model.ts'
import { formatPlan } from '../../lib/plan/format.ts'
import { PHASES } from '../../lib/plan/six-phases.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { story } from '../fakes/project.ts'
import { idsOf, phasesOf } from '../scenes/deploys.ts'
import { change, newShop, told } from '../scenes/shop.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const shop = (services?: Record<string, Service>, without?: readonly string[]) =>
  temporary(newShop('deploy', services, without))

describe('a deploy that succeeds', () => {
  test('of a first version builds, pulls and creates, in order, and records it', async () => {
    const project = shop({
      web: {
        build: { context: '/nowhere' },
        depends_on: {
          db: { condition: 'service_healthy' },
          job: { condition: 'service_completed_successfully' },
        },
      },
      db: { image: 'postgres:16', healthcheck: { test: ['CMD', 'pg_isready'] } },
      job: { image: 'postgres:16', command: ['exit', '0'], depends_on: { db: { condition: 'service_healthy' } } },
    })
    project.engine.behave = ({ service }) => (service === 'db' ? { after: 2_000 } : undefined)
    const outcome = await project.deploy()
    expect(told(outcome)).toBe('no error')
    expect(story(outcome.events)).toMatchInlineSnapshot(`
      [
        "  | #7 naming to shop-web:v1",
        "build completed: built web",
        "  | postgres:16: Pulling",
        "  | Status: Downloaded newer image for postgres:16",
        "  | redis:7: Pulling",
        "  | Status: Downloaded newer image for redis:7",
        "push completed: nothing to push: this engine built the images; pulled postgres:16, redis:7",
        "migrate_pre completed: no databases are configured",
        "  cache create",
        "  db create",
        "  db ready",
        "  job run",
        "  job ready",
        "  web create",
        "  cache ready",
        "  web ready",
        "rollout completed: 3 created, 1 run",
        "migrate_post completed: no databases are configured",
        "finalize completed: 3 services run as released",
      ]
    `)
    expect(project.view()).toMatchInlineSnapshot(`
      [
        "cache of redis running on shop_default",
        "db of postgres running on shop_default",
        "job of postgres exited on shop_default",
        "web of web one running on shop_default",
      ]
    `)
    expect(phasesOf(outcome)).toBe(PHASES.map((phase) => `${phase} completed`).join(', '))
    const { bundle, release } = outcome
    expect({ ...bundle, images: Object.keys(bundle?.images ?? {}), phases: Object.keys(bundle?.phases ?? {}) }).toEqual(
      {
        v: 1,
        id: release?.id ?? '',
        environment: 'local',
        version: 'v1',
        commit_sha: '',
        project: 'shop',
        engine: { id: expect.any(String), name: hostname(), endpoint: 'unix:///var/run/docker.sock' },
        topology: {
          order: ['cache', 'db', 'job', 'web'],
          jobs: ['job'],
          needs: {
            cache: [],
            db: [],
            job: [{ service: 'db', condition: 'service_healthy', follows: false, why: expect.any(String) }],
            web: [
              { service: 'db', condition: 'service_healthy', follows: false, why: expect.any(String) },
              { service: 'job', condition: 'service_completed_successfully', follows: false, why: expect.any(String) },
            ],
          },
        },
        content: [],
        config_hashes: Object.fromEntries(
          project.engine.containersOf('shop').map(({ service, hash }) => [service, hash]),
        ),
        switched_at: new Date(project.engine.clock.now()).toISOString(),
        actor: { user: expect.any(String), machine: expect.any(String), directory: project.folder },
        services: {},
        tags: [{ tag: 'shop-web:v1', id: project.engine.state.tags['shop-web:v1'] ?? '' }],
        plan: expect.objectContaining({ version: 'v1', serving: null }),
        images: ['cache', 'db', 'job', 'web'],
        phases: [...PHASES],
      },
    )
    expect(bundle?.images['web']).toEqual({
      name: 'shop-web:v1',
      reference: expect.stringMatching(/^shop-web:sc-[0-9a-f]{12}$/),
      id: project.engine.state.tags['shop-web:v1'] ?? '',
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      built: true,
      volumes: false,
    })
    expect(bundle?.images['db']?.reference).toMatch(/^postgres@sha256:[0-9a-f]{64}$/)
  })

  test('keeps the model of the release, and its files, to the owner', async () => {
    const project = shop()
    const { release } = await project.deploy()
    const folder = join(project.folder, '.stagecraft/releases', release?.id ?? '')
    const modes = readdirSync(folder)
      .toSorted()
      .map((name) => [name, statSync(join(folder, name)).mode & 0o777])
    expect(modes).toEqual([
      ['compose.json', 0o600],
      ['events.jsonl', 0o600],
      ['release.json', 0o600],
    ])
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(project.model(release).services['web']).toEqual({
      command: null,
      entrypoint: null,
      environment: { GREETING: 'hello' },
      image: expect.stringMatching(/^shop-web:sc-[0-9a-f]{12}$/),
      networks: { default: null },
    })
  })

  test('pushes what it built to the registry, and records the digests', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'project: {registry: registry.example.com/acme}\n')
    const outcome = await project.deploy()
    expect(told(outcome)).toBe('no error')
    expect(outcome.bundle?.phases.push?.note).toBe('pushed 1 to registry.example.com/acme; pulled postgres:16, redis:7')
    expect(outcome.bundle?.images['web']?.digest).toMatch(
      /^registry\.example\.com\/acme\/shop-web@sha256:[0-9a-f]{64}$/,
    )
    expect(project.engine.state.tags['registry.example.com/acme/shop-web:v1']).toBeDefined()
  })

  test('passes every $ through unchanged, in every model and file', async () => {
    const value = '$HOME $$ ${NOT:-a variable} $1'
    const environment = { PATTERN: value }
    const job = { image: 'redis:7', command: ['exit', '0'], environment }
    const web = {
      build: { context: '/x', args: environment },
      environment,
      depends_on: { job: { condition: 'service_completed_successfully' } },
    } as const
    const project = shop({ job, web })
    await project.deploy()
    const before = idsOf(project)
    expect(project.view().filter((line) => line.includes(`PATTERN=${value} `))).toHaveLength(2)
    expect(told(await project.deploy())).toBe('no error')
    expect(idsOf(project)).toEqual(before)
  })

  test('shows the plan while it works, without values', async () => {
    const project = shop()
    await project.deploy()
    change(project, { cache: { image: 'redis:7', environment: { PASSWORD: 'not for the eyes of logs' } } })
    const { events } = await project.deploy()
    expect(JSON.stringify(events)).toContain('environment changed (PASSWORD)')
    expect(JSON.stringify(events)).not.toContain('eyes')
  })

  test('keeps projects of the same Compose file in two environments apart', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'project: {name: shop}\nenvironments: {local: {}, staging: {}}\n')
    expect((await project.open('local')).model.name).toBe('shop')
    const staging = await project.open('staging')
    expect(staging.model.name).toBe('shop-staging')
    expect(staging.model.networks).toEqual({ default: { name: 'shop-staging_default', ipam: {} } })
  })
})

describe('what a tired operator must not overlook', () => {
  test('another name of the Compose project is refused: everything would be there twice, with empty volumes', async () => {
    const project = shop()
    await project.deploy()
    const before = project.engine.state.containers.map(({ id }) => id)
    project.engine.model = composeModel('shop2', {
      services: project.engine.model?.services ?? {},
      volumes: { data: {} },
    })
    const outcome = await project.deploy()
    expect(told(outcome)).toContain(
      'config (exit 3): Cannot deploy as Compose project shop2: the live release is shop\n',
    )
    expect(project.releases()).toHaveLength(1)
    expect(project.engine.state.containers.map(({ id }) => id)).toEqual(before)
  })

  test('a job runs again when what it prepared was removed with it', async () => {
    const needsDb = { db: { condition: 'service_started', required: true } } as const
    const needsJob = { job: { condition: 'service_completed_successfully', required: true } } as const
    const project = shop({
      job: { image: 'redis:7', depends_on: needsDb },
      cache: { image: 'redis:7', depends_on: needsJob },
    })
    project.engine.behave = ({ service }) => (service === 'job' ? { exit: 0 } : undefined)
    expect(told(await project.deploy())).toBe('no error')
    expect(formatPlan(await project.plan())).toContain('  job    unchanged  has run, and nothing changed')
    project.engine.state.containers.splice(0)
    expect(formatPlan(await project.plan())).toContain('  job    job     runs again: db is created again')
  })

  test('a held service that is down is reported, and is no reason to fail', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {services: {db: {rollout: {strategy: hold}}}}}\n')
    await project.deploy()
    for (const container of project.engine.containersOf('shop'))
      if (container.service === 'db') container.state = 'stopped'
    const plan = formatPlan(await project.plan())
    expect(plan.find((line) => line.startsWith('  db'))).toMatch(
      /^ {2}db +hold +held, but exited: a deploy does not start it; run docker start shop-db-1$/,
    )
    expect(told(await project.deploy())).toBe('no error')
  })
})
