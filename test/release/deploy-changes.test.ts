import { describe, expect, test } from 'bun:test'
import { statSync } from 'node:fs'
import type { Service } from '../../lib/compose/model.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { type FakeProject, story } from '../fakes/project.ts'
import { idsOf, SERVICES } from '../scenes/deploys.ts'
import { change, newShop, told } from '../scenes/shop.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const shop = (services?: Record<string, Service>, without?: readonly string[]) =>
  temporary(newShop('deploy', services, without))

describe('a deploy that succeeds', () => {
  test('of the same content touches nothing, even with another version', async () => {
    const project = shop()
    await project.deploy({ version: 'one' })
    const [ids, started] = [idsOf(project), project.engine.state.containers.map(({ startedAt }) => startedAt)]
    project.engine.calls = []
    const outcome = await project.deploy({ version: 'two' })
    expect(told(outcome)).toBe('no error')
    expect(idsOf(project)).toEqual(ids)
    expect(project.engine.state.containers.map(({ startedAt }) => startedAt)).toEqual(started)
    expect(project.engine.changes().map((line) => line.replaceAll(project.folder, '.'))).toEqual([
      'docker compose --progress plain -p shop --project-directory . -f - build -- web',
    ])
    expect(outcome.bundle?.phases.rollout?.note).toBe('nothing to do: everything runs as it should')
  })

  test('of the same content in an image with another id touches nothing', async () => {
    const project = shop()
    await project.deploy()
    const ids = idsOf(project)
    project.engine.buildLabels = { 'com.docker.compose.version': '2.40' }
    const outcome = await project.deploy()
    expect(idsOf(project)).toEqual(ids)
    expect(outcome.bundle?.images['web']?.id).toBe(
      project.engine.containersOf('shop').find((c) => c.service === 'web')?.image ?? '',
    )
  })

  test.each<[string, (project: FakeProject) => void, string[]]>([
    [
      'one image of three',
      (project) => {
        project.engine.sources = { web: 'web two' }
      },
      ['web'],
    ],
    [
      'an env value',
      (project) => change(project, { cache: { image: 'redis:7', environment: { SIZE: '12' } } }),
      ['cache'],
    ],
    [
      'the image of another service',
      (project) => {
        project.engine.registry['redis:8'] = 'redis eight'
        change(project, { cache: { image: 'redis:8' } })
      },
      ['cache'],
    ],
  ])('of a change of %s recreates only its container', async (_, makeChange, changed) => {
    const project = shop()
    await project.deploy()
    const before = idsOf(project)
    makeChange(project)
    const outcome = await project.deploy()
    expect(told(outcome)).toBe('no error')
    const after = idsOf(project)
    expect(SERVICES.filter((service) => before[service]?.join() !== after[service]?.join())).toEqual(changed)
  })

  test('adds a service and removes another, and leaves the third alone', async () => {
    const project = shop()
    await project.deploy()
    const before = idsOf(project)
    change(project, { api: { image: 'redis:7' } }, ['cache'])
    const outcome = await project.deploy()
    expect(told(outcome)).toBe('no error')
    expect(story(outcome.events).filter((line) => line.startsWith('  ') && !line.includes('|'))).toEqual([
      '  api create',
      '  api ready',
      '  cache remove',
    ])
    expect(project.view()).toEqual([
      'api of redis running on shop_default',
      'db of postgres running on shop_default',
      'web of web one GREETING=hello running on shop_default',
    ])
    expect(idsOf(project)['db']).toEqual(before['db'] ?? [])
  })

  test('mounts the content of a read-only file by its hash, and recreates its service when it changes', async () => {
    const project = shop()
    const file = project.write('nginx.conf', 'listen 80\n', 0o640)
    const mount = { type: 'bind', source: file, target: '/etc/nginx.conf', read_only: true }
    change(project, { cache: { image: 'redis:7', volumes: [mount] } })
    const first = await project.deploy()
    project.write('nginx.conf', 'listen 81\n')
    const second = await project.deploy()
    const sources = [first, second].map(({ release }) => project.model(release).services['cache']?.volumes?.[0]?.source)
    expect(sources[0]).not.toBe(sources[1])
    expect(await Promise.all(sources.map((path) => Bun.file(path ?? '').text()))).toEqual([
      'listen 80\n',
      'listen 81\n',
    ])
    expect(statSync(sources[0] ?? '').mode & 0o777).toBe(0o640)
    expect(story(second.events).filter((line) => line.endsWith(' recreate'))).toEqual(['  cache recreate'])
  })

  test('keeps the content that a held service mounts, however old it is', async () => {
    const project = shop()
    project.write(
      'stagecraft.yml',
      'environments: {local: {keep: 0, services: {cache: {rollout: {strategy: hold}}}}}\n',
    )
    const file = project.write('cache.conf', 'one\n')
    const mount = { type: 'bind', source: file, target: '/etc/cache.conf', read_only: true }
    change(project, { cache: { image: 'redis:7', volumes: [mount] } })
    const first = await project.deploy()
    const source = project.model(first.release).services['cache']?.volumes?.[0]?.source ?? ''
    for (const text of ['two\n', 'three\n']) {
      project.write('cache.conf', text)
      expect(told(await project.deploy())).toBe('no error')
    }
    expect(await Bun.file(source).text()).toBe('one\n')
  })

  test('recreates a sidecar after the service whose network it uses', async () => {
    const project = shop({ side: { image: 'redis:7', network_mode: 'service:web' } })
    await project.deploy()
    project.engine.sources = { web: 'web two' }
    expect(told(await project.deploy())).toBe('no error')
    expect(project.view()).toContain('side of redis running in web')
  })

  test('recreates a network, and the services on it', async () => {
    const project = shop()
    const model = (label: string) => {
      change(project, { api: { image: 'redis:7', networks: { back: null } } })
      const networks = { ...project.engine.model?.networks, back: { name: 'shop_back', labels: { label } } }
      project.engine.model = composeModel('shop', {
        ...project.engine.model,
        services: project.engine.model?.services ?? {},
        networks,
      })
    }
    model('one')
    await project.deploy()
    const before = idsOf(project)
    model('two')
    expect(told(await project.deploy())).toBe('no error')
    expect(project.engine.state.networks['shop_back']?.definition).toContain('two')
    expect(project.view()).toContain('api of redis running on shop_back')
    expect(idsOf(project)).toEqual({ ...before, api: [expect.any(String)] })
    expect(idsOf(project)['api']).not.toEqual(before['api'] ?? [])
  })

  test('does not recreate a network with a held service on it', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {services: {db: {rollout: {strategy: hold}}}}}\n')
    const model = (label: string) => {
      const { name, services } = composeModel('shop', {
        services: { db: { image: 'postgres:16' }, api: { image: 'redis:7' } },
      })
      project.engine.model = composeModel(name, { services, networks: { default: { labels: { label } } } })
    }
    model('one')
    await project.deploy()
    const [before, networks] = [idsOf(project), structuredClone(project.engine.state.networks)]
    model('two')
    expect(told(await project.deploy()).replaceAll(/rel-\d+-\d+/g, '<id>')).toMatchInlineSnapshot(`
      "config (exit 3): Cannot change network shop_default: db is on it, and is held
      hint: Remove \`strategy: hold\` from db for one deploy, or leave the network as it is."
    `)
    expect(project.releases()).toHaveLength(1) // refused before there is one
    expect(idsOf(project)).toEqual(before)
    expect(project.view()).toContain('db of postgres running on shop_default')
    expect(project.engine.state.networks).toEqual(networks)
    project.write('stagecraft.yml', 'environments: {local: {}}\n')
    expect(told(await project.deploy())).toBe('no error')
    expect(project.view()).toEqual(['api of redis running on shop_default', 'db of postgres running on shop_default'])
    expect(project.engine.state.networks['shop_default']?.definition).toContain('two')
  })

  test('scales a service, and keeps its existing containers', async () => {
    const project = shop()
    await project.deploy()
    const [first] = idsOf(project)['cache'] ?? []
    change(project, { cache: { image: 'redis:7', scale: 3 } })
    expect(told(await project.deploy())).toBe('no error')
    expect(idsOf(project)['cache']).toEqual([first ?? '', expect.any(String), expect.any(String)])
    change(project, { cache: { image: 'redis:7', scale: 1 } })
    expect(told(await project.deploy())).toBe('no error')
    expect(idsOf(project)['cache']).toEqual([first ?? ''])
  })

  test('runs a job again only when it changed', async () => {
    const job = (environment: Record<string, string>) => ({
      job: { image: 'redis:7', command: ['exit', '0'], environment },
    })
    const needs = {
      web: { image: 'redis:7', depends_on: { job: { condition: 'service_completed_successfully' } } },
    } as const
    const project = shop({ ...needs, ...job({ STEP: '1' }) })
    await project.deploy()
    const before = idsOf(project)
    await project.deploy()
    expect(idsOf(project)).toEqual(before)
    change(project, { ...needs, ...job({ STEP: '2' }) })
    const outcome = await project.deploy()
    expect(outcome.bundle?.phases.rollout?.note).toBe('1 run, 3 unchanged')
    expect(idsOf(project)).toEqual({ ...before, job: [expect.any(String)] })
  })

  test('leaves a held service alone, and remembers the definition it runs with', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {services: {db: {rollout: {strategy: hold}}}}}\n')
    await project.deploy()
    const before = idsOf(project)
    change(project, { db: { image: 'postgres:16', environment: { TUNED: 'yes' } } })
    const outcome = await project.deploy()
    expect(told(outcome)).toBe('no error')
    expect(idsOf(project)).toEqual(before)
    expect(project.model(outcome.release).services['db']?.environment).toBeUndefined()
    project.write('stagecraft.yml', 'environments: {local: {}}\n')
    expect(told(await project.deploy())).toBe('no error')
    expect(project.view()).toContain('db of postgres TUNED=yes running on shop_default')
  })
})
