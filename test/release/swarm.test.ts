import { afterEach, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import type { Service } from '../../lib/compose/model.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject, story } from '../fakes/project.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

// Releases on a Swarm, from the plan to the record. What a real one does with them: test/e2e/swarm.test.ts.

const projects: FakeProject[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
})

type Parts = Parameters<typeof composeModel>[1]

function shop(services: Record<string, Service>, settings: object = {}): FakeProject {
  const project = new FakeProject('swarm')
  projects.push(project)
  project.write('stagecraft.yml', stagecraftYml(settings))
  project.engine.addImage('busybox:1', 'busybox')
  return change(project, services)
}

function stagecraftYml(services: object = {}, engine = 'swarm'): string {
  return JSON.stringify({ environments: { prod: { engine, compose_project: 'shop', services } } })
}

function change(
  project: FakeProject,
  services: Record<string, Service>,
  more: Omit<Parts, 'services'> = {},
): FakeProject {
  const all = Object.entries(services).map(([name, service]) => [name, { image: 'busybox:1', ...service }])
  project.engine.model = composeModel('shop', { services: Object.fromEntries(all), ...more })
  return project
}

const web = (greeting: string, more: Service = {}): Service => ({ environment: { GREETING: greeting }, ...more })

/** Tasks of web whose greeting is `bad` end. */
function refusing(project: FakeProject): FakeProject {
  const { swarm } = project.engine
  swarm.behave = (service, { environment }) => {
    if (service === 'job') return 'completes'
    return environment?.['GREETING'] === 'bad' ? { exit: 3 } : 'up'
  }
  return project
}

describe('a release on a Swarm', () => {
  test('creates services, keeps what is the same, and changes what has changed', async () => {
    const project = shop({ web: web('one', { deploy: { replicas: 2 } }), worker: {} })
    const { swarm } = project.engine
    const first = await project.deploy()
    expect(first.error?.message).toBeUndefined()
    expect(swarm.view()).toEqual(['shop_web GREETING=one ×2', 'shop_worker ×1'])
    const before = [...swarm.ids('shop_web'), ...swarm.ids('shop_worker')]
    const same = await project.deploy()
    expect(story(same.events).find((line) => line.startsWith('rollout'))).toContain('nothing to do')
    expect([...swarm.ids('shop_web'), ...swarm.ids('shop_worker')]).toEqual(before)
    change(project, { web: web('two', { deploy: { replicas: 2 } }), worker: {} })
    expect((await project.deploy()).error?.message).toBeUndefined()
    expect(swarm.view()).toEqual(['shop_web GREETING=two ×2', 'shop_worker ×1'])
    expect(swarm.ids('shop_worker')).toEqual(before.slice(2))
  })

  test('that fails restores the whole stack, and touches no service that has downtime', async () => {
    const project = refusing(shop({ web: web('one', { deploy: { replicas: 2 } }), worker: {} }, { web: ROLLS }))
    await project.deploy()
    const { swarm } = project.engine
    const worker = swarm.ids('shop_worker')
    change(project, { web: web('bad', { deploy: { replicas: 2 } }), worker: web('x'), extra: {} })
    const { error, events, release } = await project.deploy()
    expect([error?.kind, error?.message]).toEqual(['failed', 'Cannot start web: it ended with exit code 3'])
    expect(swarm.view()).toEqual(['shop_web GREETING=one ×2', 'shop_worker ×1'])
    expect(swarm.ids('shop_worker')).toEqual(worker)
    expect(story(events).filter((line) => line.startsWith('  '))).toEqual([
      '  extra create',
      '  web rolling',
      '  web failed',
      '  web restore',
      '  web ready',
    ])
    expect(release?.phases['rollout']).toBe('failed')
    const said = formatError(error)
      .join('\n')
      .replaceAll(/rel-\d{8}-\d{9}/g, '<id>')
    expectGolden('core/swarm.md', 'failure', said)
  })

  test('that fails as the first one leaves nothing', async () => {
    const project = refusing(shop({ web: web('bad') }))
    const { error } = await project.deploy()
    expect(error?.message).toBe('Cannot start web: it ended with exit code 3, again and again')
    expect([project.engine.swarm.view(), [...project.engine.swarm.networks]]).toEqual([[], []])
  })

  test('that cannot be undone says what runs', async () => {
    const project = refusing(shop({ web: web('one') }))
    await project.deploy()
    change(project, { web: web('bad') })
    const { swarm } = project.engine
    // Its old task has ended when the new one begins, and cannot be started again.
    swarm.behave = () => {
      for (const task of swarm.tasks) task.desired = 'shutdown'
      return { exit: 3 }
    }
    const { error } = await project.deploy()
    expect([error?.kind, error?.detail?.split('\n').at(-1)?.trim().split(/ +/)[0]]).toEqual(['not-restored', 'web.*'])
  })

  test('runs a job before what waits for it, and again only if it has changed', async () => {
    const after = { depends_on: { job: { condition: 'service_completed_successfully' as const } } }
    const project = refusing(shop({ web: web('one', after), job: {} }))
    const { error, events } = await project.deploy()
    expect(error?.message).toBeUndefined()
    expect(story(events).filter((line) => line.startsWith('  '))).toEqual([
      '  job run',
      '  job ready',
      '  web create',
      '  web ready',
    ])
    const next = await project.deploy()
    expect(story(next.events).filter((line) => line.startsWith('  '))).toEqual([])
  })

  test('runs a job that failed again with the next release, though its definition is the same', async () => {
    const after = { depends_on: { job: { condition: 'service_completed_successfully' as const } } }
    const project = shop({ web: web('one', after), job: web('one') })
    const { swarm } = project.engine
    let fails = false
    swarm.behave = (service) => (service !== 'job' ? 'up' : fails ? { exit: 4 } : 'completes')
    expect((await project.deploy()).error?.message).toBeUndefined()
    fails = true
    change(project, { web: web('one', after), job: web('two') })
    expect((await project.deploy()).error?.message).toBe('Cannot start job: the job failed: it ended with exit code 4')
    fails = false
    const { error, events } = await project.deploy()
    expect([error?.message, story(events).includes('  job ready')]).toEqual([undefined, true])
  })

  test('removes what is no longer in the file once it is live, and prunes configs that no kept release needs', async () => {
    const project = shop({ web: web('one'), old: {} })
    await project.deploy()
    const configs = { motd: { content: 'hello' } }
    change(project, { web: web('one', { configs: [{ source: 'motd', target: '/etc/motd' }] }) }, { configs })
    expect((await project.deploy()).error?.message).toBeUndefined()
    const { swarm } = project.engine
    expect(swarm.view()).toEqual(['shop_web GREETING=one ×1'])
    expect([...swarm.objects.config.keys()].toSorted()).toEqual(
      ['shop_motd-', 'stagecraft-shop'].map(expect.stringContaining),
    )
    swarm.objects.config.set('shop_motd-0123456789ab', 'shop')
    await project.deploy()
    expect([...swarm.objects.config.keys()]).not.toContain('shop_motd-0123456789ab')
  })

  test('is rolled back, and taken down', async () => {
    const project = shop({ web: web('one') })
    await project.deploy()
    change(project, { web: web('two') })
    await project.deploy()
    expect((await project.rollback()).error?.message).toBeUndefined()
    const { swarm } = project.engine
    expect(swarm.view()).toEqual(['shop_web GREETING=one ×1'])
    expect((await project.down({ volumes: true })).error?.message).toBe(
      'Cannot remove the volumes of a Swarm: each node has its own',
    )
    swarm.objects.config.set('shop_motd-0123456789ab', 'shop')
    expect((await project.down()).error?.message).toBeUndefined()
    const configs = () => [...swarm.objects.config.keys()].filter((name) => name.startsWith('shop_'))
    expect([swarm.view(), configs().length]).toEqual([[], 1]) // a release may be restored
    expect((await project.down({ history: true })).error?.message).toBeUndefined()
    expect(configs()).toEqual([])
  })

  test('keeps a number of replicas that was set by hand, and repairs what else was changed', async () => {
    const project = shop({ web: web('one', { deploy: { replicas: 2 } }) })
    await project.deploy()
    const { swarm } = project.engine
    swarm.scale('shop_web', 3)
    expect((await project.plan()).services).toMatchObject([{ action: 'unchanged', replicas: 3 }])
    const [service] = swarm.services
    if (service) service.spec = { ...service.spec, environment: { GREETING: 'changed' } }
    expect((await project.plan()).services.map(({ why }) => why)).toEqual(['it was changed by hand'])
  })
})

describe('a run on a Swarm that died', () => {
  test('is undone by the next one', async () => {
    const project = shop({ web: web('one'), worker: {} })
    await project.deploy()
    change(project, { web: web('two'), worker: {}, extra: {} })
    const died = await project.dieAt(
      (argv) => argv.join(' ').startsWith('docker stack deploy'),
      'all',
      () => project.deploy(),
    )
    expect(died).toBe(true)
    const { events } = await project.recover()
    expect(project.engine.swarm.view()).toEqual(['shop_web GREETING=one ×1', 'shop_worker ×1'])
    expect(events.find(({ type }) => type === 'recovery')).toMatchObject({ outcome: 'undone' })
  })
})

describe('an environment whose engine is changed', () => {
  const move = (project: FakeProject, engine: string) => project.write('stagecraft.yml', stagecraftYml({}, engine))

  test('is refused while something runs under the other one, and starts over once that is down', async () => {
    const project = shop({ web: web('one') })
    await project.deploy({ version: 'v1' })
    move(project, 'compose')
    const { error } = await project.deploy()
    expect([error?.kind, error?.message.replace(/rel-[\d-]+/, '<id>')]).toEqual([
      'config',
      'Cannot continue with prod as a Compose project: v1 (<id>) runs as a stack of a Swarm',
    ])
    expect((await project.down()).error?.kind).toBe('config')
    move(project, 'swarm')
    expect((await project.down()).error?.message).toBeUndefined()
    move(project, 'compose')
    expect((await project.rollback()).error?.message).toMatch(
      /^Cannot roll back to v1 \(rel-[\d-]+\): it ran as a stack/,
    )
    expect((await project.deploy()).error?.message).toBeUndefined()
    expect(project.view()).toEqual(['web of busybox GREETING=one running on shop_default'])
  })
})

describe('what a Swarm cannot do', () => {
  test('an engine that is no manager is refused before anything is changed', async () => {
    const project = shop({ web: web('one') })
    project.engine.swarm.isManager = false
    const { error, release } = await project.deploy()
    expect([error?.kind, error?.message, release]).toEqual([
      'unreachable',
      'Cannot use the Swarm of prod: the engine is not a manager of one',
      undefined,
    ])
  })

  test('a stack that no release made is not taken over', async () => {
    const project = shop({ web: web('one') })
    await project.deploy()
    const other = new FakeProject('swarm', undefined, project.engine)
    projects.push(other)
    other.write('stagecraft.yml', stagecraftYml())
    expect((await other.deploy()).error?.message).toBe(
      'Cannot deploy as stack shop: it runs already, and no release made it',
    )
  })

  test('an image that only one node would have is refused', async () => {
    const project = shop({})
    project.write('web/Dockerfile', 'FROM busybox:1\n')
    project.engine.sources['web'] = 'built'
    change(project, { web: { build: { context: join(project.folder, 'web') } } })
    expect((await project.deploy()).error?.message).toBe(
      'Cannot run web on n2, n3: its image is built here, and only this engine has it',
    )
  })

  test('an image that is built on its only node is named by its id, and kept by a tag', async () => {
    const project = shop({})
    project.engine.swarm.nodes = ['n1']
    project.write('web/Dockerfile', 'FROM busybox:1\n')
    project.engine.sources['web'] = 'built'
    change(project, { web: { build: { context: join(project.folder, 'web') } } })
    const { error, bundle } = await project.deploy()
    expect(error?.message).toBeUndefined()
    const { reference = '' } = bundle?.images['web'] ?? {}
    const tag = `shop-web:sc-${reference.slice('sha256:'.length, 'sha256:'.length + 12)}`
    expect(project.engine.state.tags).toMatchObject({ [tag]: reference })
    expect(project.engine.swarm.services.map(({ spec }) => spec.image)).toEqual([reference])
  })

  test('a changed network and a port that moves are refused', async () => {
    const project = shop({ web: web('one', { ports: [{ target: 80, published: '8080' }] }) })
    await project.deploy()
    change(project, { web: web('one'), api: { ports: [{ target: 80, published: '8080' }] } })
    expect((await project.deploy()).error?.message).toBe(
      'Cannot move port 8080/tcp from web to api in one release on a Swarm',
    )
    change(project, { web: web('one') }, { networks: { default: { internal: true } } })
    expect((await project.deploy()).error?.message).toBe(
      'Cannot change network shop_default on a Swarm: services use it',
    )
  })
})

const ROLLS = { rollout: { strategy: 'rolling' } }
