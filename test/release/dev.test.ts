import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import type { Event } from '../../lib/output/events.ts'
import { openProject } from '../../lib/project/open.ts'
import { type Dev, endDev, openDev, startDev } from '../../lib/release/dev/run.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { type FakeProject, story } from '../fakes/project.ts'
import { newShop, told } from '../scenes/shop.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

/** A shop with a local environment, and one on a host, both with these settings. */
function shop(services: Record<string, Service> = {}, settings = ''): FakeProject {
  const project = temporary(newShop('dev', services))
  project.engine.registry['caddy:2'] = 'caddy'
  const route = 'services: {web: {expose: {host: shop.example.com, port: 80}, rollout: {min_ready: 200ms}}}'
  const all = [`local: {${route}${settings}}`, `prod: {hosts: deploy@nowhere, root: /srv/x, ${route}${settings}}`]
  project.write('stagecraft.yml', `project: {name: shop}\nenvironments: {${all.join(', ')}}\n`)
  project.openHost = () => {
    throw new Error('dev connects to no host')
  }
  return project
}

/** Runs `work` in a dev that was opened, as the command does. */
async function dev(
  project: FakeProject,
  { environment = 'local', work = startDev }: { environment?: string; work?: (dev: Dev) => Promise<unknown> } = {},
) {
  const events: Event[] = []
  const session = project.world((event) => void events.push(event))
  const how = { directory: project.folder, environment, stateOverride: undefined, warn: () => {}, dev: true }
  const opened = await openProject(project.engine.exec, how)
  const request = { environment: `dev of ${environment}`, command: 'dev', wait: 0 }
  const run = opened.host.withLock(request, session, async (held) => work(await openDev(opened, { ...session, held })))
  const error = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error !== undefined && !(error instanceof StagecraftError)) throw error
  return { error, story: story(events).filter((line) => !/\| (#| Container)/.test(line)) }
}

const DEV = 'shop--dev'
const ids = (project: FakeProject, name = 'shop') => project.engine.containersOf(name).map(({ id }) => id)
const routes = (project: FakeProject) => project.engine.proxy.view()

test('it brings up a project of its own, alongside a release that is not affected', async () => {
  const project = shop()
  expect(told(await project.deploy({ environment: 'local' }))).toBe('no error')
  const look = () => ({ ids: ids(project), view: project.view(), releases: project.releases() })
  const [before, tags, routed] = [look(), { ...project.engine.state.tags }, routes(project)]
  const first = await dev(project)
  expect(told(first)).toBe('no error')
  expect(first.story).toMatchInlineSnapshot(`
    [
      "build completed: web",
      "rollout completed: web, cache, db run",
    ]
  `)
  expect(project.engine.view(DEV)).toMatchInlineSnapshot(`
    [
      "cache of redis running on shop--dev_default",
      "db of postgres running on shop--dev_default",
      "web of web one GREETING=hello running on shop--dev_default+stagecraft-shop--dev",
    ]
  `)
  expect(project.engine.proxy.answer('shop.localhost')).toEqual(['web one'])
  expect(project.engine.proxy.answer('shop.example.com')).toEqual(['web one'])
  expect(look()).toEqual(before)
  expect(project.engine.state.tags).toEqual({ ...tags, 'shop--dev-web:dev': expect.any(String) })
  expect(told(await dev(project, { work: endDev }))).toBe('no error')
  expect(routes(project)).toEqual(routed)
  expect(look()).toEqual(before)
})

test('the end stops the containers and removes the routes; data is kept for the next start', async () => {
  const project = shop()
  const { engine } = project
  expect(told(await dev(project, { environment: 'prod' }))).toBe('no error')
  const name = 'shop-prod--dev'
  const began = ids(project, name)
  expect(routes(project).length).toBeGreaterThan(1)
  expect(told(await dev(project, { environment: 'prod', work: endDev }))).toBe('no error')
  expect(engine.state.proxy.boxes).toEqual([])
  expect(new Set(engine.containersOf(name).map((one) => engine.statusOf(one).status))).toEqual(new Set(['exited']))
  expect(engine.state.volumes).toEqual([`${name}_data`])
  expect(told(await dev(project, { environment: 'prod' }))).toBe('no error')
  expect(ids(project, name)).toEqual(began)
  expect(engine.proxy.answer('shop.localhost')).toEqual(['web one'])
  expect(project.releases()).toEqual([])
})

describe('migrations', () => {
  const services: Record<string, Service> = {
    db: { image: 'postgres:16', healthcheck: { test: ['CMD', 'pg_isready'] } },
    migrate: { image: 'redis:7', command: ['exit', '0'], depends_on: { db: { condition: 'service_healthy' } } },
    web: {
      build: { context: '/x' },
      depends_on: { migrate: { condition: 'service_completed_successfully' } },
    },
  }
  const job = 'main: {migrations: {engine: job, service: migrate}}'
  const command = (strategy: string) =>
    `more: {migrations: {engine: command, service: web, command: seed, strategy: ${strategy}}}`

  const migrated = (databases: string, exit = 0) => {
    const project = shop(services, `, databases: {${databases}}`)
    project.engine.behave = ({ service, definition }) => {
      if (definition['command'] === 'seed') return { exit, logs: 'sorry' }
      return service === 'db' ? { after: 1_000 } : undefined
    }
    return project
  }

  test('run before the services start, and after; what they need is ready before, and a job is no service', async () => {
    const project = migrated(`${job}, ${command('post_deploy')}`)
    project.engine.addImage('redis:7', 'redis') // as Compose pulls it
    const run = await dev(project)
    expect(told(run)).toBe('no error')
    expect(run.story).toMatchInlineSnapshot(`
      [
        "build completed: web",
        "  db ready",
        "  main migrate: migrate",
        "  main done: migrate",
        "migrate_pre completed: main",
        "rollout completed: web, cache, db run",
        "  more migrate: seed",
        "  more done: seed",
        "migrate_post completed: more",
      ]
    `)
    expect(project.engine.containersOf(DEV).map(({ service }) => service)).toEqual(['db', 'cache', 'web'])
  })

  test('that are manual are left alone', async () => {
    const run = await dev(migrated(command('manual'), 1))
    expect(told(run)).toBe('no error')
    expect(run.story.join()).not.toContain('seed')
  })

  test('that fail end it before the services start', async () => {
    const project = migrated(command('pre_deploy'), 3)
    const run = await dev(project)
    expect(told(run).split('\n')[0]).toBe('failed (exit 5): Cannot migrate more: seed exited with 3')
    expect(project.engine.containersOf(DEV).map(({ name }) => name)).not.toContain(`${DEV}-web-1`)
  })
})

describe('it is refused, before anything is changed,', () => {
  const refusedBy = async (project: FakeProject, how: Parameters<typeof dev>[1] = {}) => {
    const before = structuredClone(project.engine.state)
    const outcome = await dev(project, how)
    expect({ ...project.engine.state, now: before.now, count: before.count }).toEqual(before)
    return told(outcome)
  }

  test('where a release publishes its port', async () => {
    const project = shop({ cache: { image: 'redis:7', ports: [{ target: 6379, published: '6379' }] } })
    await project.deploy({ environment: 'local' })
    expect(await refusedBy(project)).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot give port 6379 to cache: the container shop-cache-1 (cache of the Compose project shop) has it
      hint: Stop it (docker stop shop-cache-1), or publish another port. Nothing has been changed."
    `)
  })

  test('where a running container of another project writes to a folder that it would write to', async () => {
    const data = { type: 'bind', source: '/srv/data', target: '/data', bind: { create_host_path: true } }
    const project = shop({ cache: { image: 'redis:7', volumes: [data] } })
    project.engine.intercept = (argv) => {
      const words = argv.join(' ')
      if (words === 'docker ps -q --no-trunc') return { damage: 'none', result: { code: 0, stdout: 'abc\n' } }
      if (words !== 'docker container inspect abc') return undefined
      const mount = { Type: 'bind', Source: '/srv/data', RW: true }
      const labels = { 'com.docker.compose.project': 'shop' }
      const found = [{ Name: '/shop-cache-1', Config: { Labels: labels }, Mounts: [mount] }]
      return { damage: 'none', result: { code: 0, stdout: JSON.stringify(found), stderr: '' } }
    }
    expect(await refusedBy(project)).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot mount /srv/data into cache: the container shop-cache-1 writes to it
      hint: Stop that first (docker stop shop-cache-1), or mount it read-only (:ro) in the Compose file. Nothing has been changed."
    `)
  })

  test('where its name is that of a released environment', async () => {
    const project = shop()
    const labels = { 'stagecraft.host': 'web-1', 'stagecraft.root': '/srv/shop', 'stagecraft.environment': 'odd' }
    project.engine.state.owners[`stagecraft-${DEV}`] = labels
    expect(await refusedBy(project)).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot start dev of local: shop--dev is a released environment
      hint: Its releases are kept in /srv/shop on web-1. Give it another compose_project in stagecraft.yml."
    `)
  })

  test('where another checkout runs it', async () => {
    const project = shop()
    expect(told(await dev(project))).toBe('no error')
    const { state } = project.engine
    state.containers = state.containers.map((one) => ({ ...one, folder: '/home/bob/shop' }))
    expect(await refusedBy(project)).toMatchInlineSnapshot(`
      "locked (exit 7): Cannot start dev of local: it runs from another folder, /home/bob/shop
      hint: End it there with Ctrl-C. If it was killed: docker compose -p shop--dev stop"
    `)
  })

  test('while it runs already: it names who runs it', async () => {
    const project = shop()
    let second = ''
    await dev(project, {
      work: async () => {
        second = told(await dev(project))
      },
    })
    const said = second.replace(/^locked \(exit 7\): /, '').replace('\nhint', '\n  hint')
    const at = said.replace(
      /by tester on \S+, pid \d+, since .*\)/,
      'by ana on web-1, pid 4242, since 2026-11-22 08:02:25 (4m05s)',
    )
    expectGolden('commands/dev.md', 'twice', `${at.replace(/-INT \d+/, '-INT 4242')}\n`)
  })
})
