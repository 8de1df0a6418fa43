import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { openDocker } from '../../lib/docker/client.ts'
import { listServices } from '../../lib/docker/swarm/services.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject, story } from '../fakes/project.ts'
import type { TaskBehaviour } from '../fakes/swarm.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

// Migrations of a release on a Swarm. What a real one does with them: test/e2e/swarm-migrations.test.ts.

const temporary = temporaries()
const COMMAND = { engine: 'command', service: 'web', command: 'migrate up' }
const DB: Service = { deploy: { placement: { constraints: ['node.hostname == n1'] } } }

function shop(databases: object, services: Record<string, Service> = {}): FakeProject {
  const project = temporary(new FakeProject('swarm'))
  project.engine.addImage('busybox:1', 'busybox')
  settings(project, databases)
  change(project, 'one', services)
  return project
}

function settings(project: FakeProject, databases: object): void {
  const prod = { engine: 'swarm', compose_project: 'shop', databases }
  project.write('stagecraft.yml', JSON.stringify({ environments: { prod } }))
}

function change(project: FakeProject, greeting: string, more: Record<string, Service> = {}): void {
  const web: Service = {
    environment: { GREETING: greeting },
    depends_on: { db: { condition: 'service_started' } },
    ports: [{ target: 80, published: '8080' }],
    deploy: { replicas: 2, labels: { 'traefik.enable': 'true' } },
  }
  const all = Object.entries({ db: DB, web, ...more }).map(([name, one]) => [name, { image: 'busybox:1', ...one }])
  project.engine.model = composeModel('shop', { services: Object.fromEntries(all) })
}

/** What the task of a migration does. Others run. */
function migrates(project: FakeProject, how: TaskBehaviour): void {
  project.engine.swarm.behave = (service) => (service.startsWith('migrate-') ? how : 'up')
}

const oneOffs = (project: FakeProject) =>
  project.engine.swarm.services.map(({ name }) => name).filter((name) => name.includes('migrate-'))

const steps = (outcome: { events: Parameters<typeof story>[0] }) =>
  story(outcome.events).filter((line) => /^ {2}|^migrate|^rollout/.test(line) && !line.includes('|'))

describe('a migration on a Swarm', () => {
  test('runs when what it needs is ready, and before anything else, and nothing is left of it', async () => {
    const project = shop({ main: { migrations: COMMAND } })
    migrates(project, 'completes')
    const made: Record<string, unknown>[] = []
    const { behave } = project.engine.swarm
    project.engine.swarm.behave = (service, definition) => {
      if (service.startsWith('migrate-')) made.push(definition)
      return behave(service, definition)
    }
    const outcome = await project.deploy()
    expect(outcome.error?.message).toBeUndefined()
    expect(steps(outcome).map((line) => line.replace(/ \(.*/, ''))).toEqual([
      '  db create',
      '  db ready',
      '  main migrate: migrate up',
      '  main done: migrate up',
      'migrate_pre completed: main: migrate up',
      '  web create',
      '  web ready',
      'rollout completed: 2 created',
      'migrate_post completed: no database is migrated after the rollout',
    ])
    expect(outcome.bundle?.migrations).toMatchObject([{ database: 'main', engine: 'command', name: 'migrate up' }])
    expect([oneOffs(project), project.engine.swarm.view()]).toEqual([[], ['shop_db ×1', 'shop_web GREETING=one ×2']])
    const [definition] = made
    expect(definition).toMatchObject({
      image: 'busybox:1',
      command: 'migrate up',
      environment: { GREETING: 'one' },
      healthcheck: { disable: true },
      deploy: {
        mode: 'replicated',
        replicas: 1,
        restart_policy: { condition: 'none' },
        labels: { 'stagecraft.migration': 'main', 'stagecraft.one-off': 'web' },
      },
    })
    expect(definition).not.toHaveProperty('ports')
    expect(definition?.['deploy']).not.toHaveProperty('labels.traefik.enable')
  })

  test('that fails stops the release, leaves what is live, and is removed', async () => {
    const project = shop({})
    await project.deploy({ version: 'v1' })
    settings(project, { beta: { migrations: COMMAND } })
    change(project, 'two')
    migrates(project, { exit: 3 })
    const before = project.engine.swarm.ids('shop_web')
    const { error, release } = await project.deploy()
    expect(release?.phases).toMatchObject({ migrate_pre: 'failed', rollout: 'skipped' })
    expect([oneOffs(project), project.engine.swarm.ids('shop_web')]).toEqual([[], before])
    const said = formatError(error).join('\n')
    expectGolden('core/swarm.md', 'migration-failed', said.replaceAll(/(rel-)?\d{8}-\d{9}/g, '<id>'))
    migrates(project, 'completes')
    expect((await project.deploy()).error?.message).toBeUndefined()
  })

  test.each([
    ['with what it needs', COMMAND],
    ['that needs nothing', { ...COMMAND, service: 'db' }],
  ])('that fails on a first deploy leaves nothing, %s', async (_, migrations) => {
    const project = shop({ main: { migrations } })
    migrates(project, { exit: 1 })
    const { error } = await project.deploy()
    expect([error?.kind, error?.message]).toEqual(['failed', 'Cannot migrate main: migrate up exited with 1'])
    expect([project.engine.swarm.view(), [...project.engine.swarm.networks]]).toEqual([[], []])
  })

  test('that does not end in time is ended', async () => {
    const project = shop({ main: { migrations: { ...COMMAND, timeout: '20s' } } })
    const { error } = await project.deploy()
    expect(error?.message).toBe('Cannot migrate main: migrate up did not end within 20.0s, and was ended')
    expect(oneOffs(project)).toEqual([])
  })

  test('after the switch leaves the new release live: exit 10', async () => {
    const project = shop({ main: { migrations: { ...COMMAND, strategy: 'post_deploy' } } })
    migrates(project, { exit: 1 })
    const { error, release } = await project.deploy()
    expect([error?.kind, release?.phases]).toMatchObject([
      'after-commit',
      { rollout: 'completed', migrate_post: 'failed' },
    ])
    expect(project.engine.swarm.view()).toEqual(['shop_db ×1', 'shop_web GREETING=one ×2'])
  })

  test('by a job of the Compose file runs only in its phase, and a rollback runs none', async () => {
    const done = { condition: 'service_completed_successfully' } as const
    const more = { seed: {}, late: { depends_on: { seed: done } } }
    const project = shop({ main: { migrations: { engine: 'job', service: 'seed' } } }, more)
    migrates(project, 'completes')
    expect((await project.deploy()).error?.message).toBeUndefined()
    change(project, 'two', more)
    const second = await project.deploy()
    expect(steps(second).filter((line) => line.includes('seed')).length).toBe(3)
    expect(project.engine.swarm.view().map((line) => line.split(' ')[0])).not.toContain('shop_seed')
    const { error, events } = await project.rollback()
    expect([error?.message, steps({ events }).filter((line) => line.includes('seed'))]).toEqual([undefined, []])
  })

  test('of a run that died is waited for, and then removed', async () => {
    const project = shop({})
    await project.deploy()
    settings(project, { main: { migrations: COMMAND } })
    // It dies while the task runs.
    const isLook = (argv: readonly string[]) => argv.join(' ').startsWith('docker service ps')
    expect(await project.dieAt(isLook, 'all', () => project.deploy())).toBe(true)
    expect(oneOffs(project).length).toBe(1)
    const docker = openDocker(project.engine.exec, (text) => text)
    expect((await listServices(docker, 'shop')).map(({ service }) => service)).toEqual(['db', 'web'])
    migrates(project, 'completes')
    const { error, events } = await project.deploy()
    expect(error?.message).toBeUndefined()
    const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
    expect(warnings).toEqual([
      expect.stringMatching(/^shop_migrate-main-[\d-]+ is still migrating main, from an earlier run/),
    ])
    expect(oneOffs(project)).toEqual([])
  })
})
