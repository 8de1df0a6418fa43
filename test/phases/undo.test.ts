import { describe, expect, test } from 'bun:test'
import { composeModel } from '../fakes/compose-model.ts'
import { ENGINE_AHEAD } from '../fakes/engine-state.ts'
import { story } from '../fakes/project.ts'
import { ids, now, runningApps } from '../scenes/running-app.ts'

const running = runningApps()

test('the stops that the engine was asked for meanwhile are looked up by the clock of the engine', async () => {
  const project = await running({ web: { image: 'web:one' } })
  project.engine.addImage('web:one', 'bad')
  const before = project.engine.state.now
  await project.deploy()
  const argv = project.engine.calls.find((words) => words[1] === 'events' && words.includes('--until')) ?? []
  const [since, until] = ['--since', '--until'].map(
    (flag) => Number(argv[argv.indexOf(flag) + 1]) * 1000 - ENGINE_AHEAD,
  )
  expect(since).toBeWithin(before, project.engine.state.now + 1)
  expect(until).toBeWithin(since ?? 0, project.engine.state.now + 1)
})

describe('an undo', () => {
  test('is tried once more: a request of a dead client to the engine can be in the way', async () => {
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

  test('carries anonymous volumes over, there and back', async () => {
    const project = await running({})
    now(project, { web: { image: 'web:one' } })
    await project.deploy()
    const volume = () => project.engine.containersOf('shop').map(({ anonymous }) => anonymous)
    const before = volume()
    now(project, { web: { image: 'web:bad' } })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(volume()).toEqual(before)
  })

  test('restores all replicas, in their previous number', async () => {
    const project = await running({})
    now(project, { web: { image: 'web:one', scale: 3 } })
    await project.deploy()
    const before = project.view()
    now(project, { web: { image: 'web:bad', scale: 2 } })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(project.view()).toEqual(before)
  })

  test('removes only the new containers when scaling up fails', async () => {
    const project = await running({})
    now(project, { web: { image: 'web:one' } })
    await project.deploy()
    const before = ids(project)
    project.engine.behave = () => ({ exit: 1 })
    now(project, { web: { image: 'web:one', scale: 3 } })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(ids(project)).toEqual(before)
  })

  test('goes in the order of the previous release, and checks what was healthy', async () => {
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

  test('gives restored services the time that their own release gave them', async () => {
    const project = await running({})
    const rollout = (seconds: number) =>
      project.write('stagecraft.yml', `environments: {local: {services: {web: {rollout: {min_ready: ${seconds}s}}}}}`)
    rollout(2)
    now(project, { web: { image: 'web:one' } })
    await project.deploy()
    rollout(3600)
    now(project, { web: { image: 'web:bad' } })
    const began = project.engine.clock.now()
    expect((await project.deploy()).error?.kind).toBe('failed')
    const took = project.engine.clock.now() - began
    expect([took >= 2_000, took < 60_000]).toEqual([true, true])
  })

  test('ends with exit 6 if a service that was healthy does not become healthy again', async () => {
    const project = await running({})
    now(project, { web: { image: 'web:one' } })
    await project.deploy()
    project.engine.behave = () => ({ exit: 1, logs: 'the disk is full' })
    now(project, { web: { image: 'web:two' } })
    const { error } = await project.deploy()
    expect(error?.kind).toBe('not-restored')
    expect(error?.detail).toContain('web      shop-web-1  exited')
  })

  test('gives a port back to its previous service', async () => {
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

  test('gives a port back that another restored service has', async () => {
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

  test('runs an image by its id if its name was removed and the registry now has another one', async () => {
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

  test('is not needed if a new service shares the network of a recreated one: it waits for it', async () => {
    const project = await running({})
    now(project, { web: { image: 'web:one' } })
    await project.deploy()
    now(project, { web: { image: 'web:two' }, db: { image: 'db:1', network_mode: 'service:web' } })
    const { events } = await project.deploy()
    expect(story(events).filter((line) => /create$/.test(line))).toEqual(['  web recreate', '  db create'])
    expect(project.view()).toContain('db of db running in web')
  })
})
