import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { openDocker } from '../../lib/docker/client.ts'
import type { Event } from '../../lib/output/events.ts'
import { looseObjects, pruneObjects } from '../../lib/phases/swarm/prune.ts'
import { openSettings } from '../../lib/project/open.ts'
import { power } from '../../lib/release/by-hand/power.ts'
import { refuseScale, scale } from '../../lib/release/by-hand/scale.ts'
import { withEnvironmentLocked } from '../../lib/release/locked.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject, story } from '../fakes/project.ts'
import { drift, look, printed } from '../scenes/status.ts'
import { failureOf } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

// What people change on a Swarm between two releases. With a real one: test/e2e/swarm-commands.test.ts.

const temporary = temporaries()

async function shop(
  services: Record<string, Service> = { web: { deploy: { replicas: 2 } }, worker: {} },
  nodes: { labels?: Record<string, Readonly<Record<string, string>>>; drained?: readonly string[] } = {},
) {
  const project = temporary(new FakeProject('by-hand'))
  project.write(
    'stagecraft.yml',
    JSON.stringify({ environments: { prod: { engine: 'swarm', compose_project: 'shop' } } }),
  )
  project.engine.addImage('busybox:1', 'busybox')
  write(project, services)
  const { swarm } = project.engine
  swarm.labels = nodes.labels ?? {}
  swarm.drained = new Set(nodes.drained)
  swarm.behave = (service) => (service === 'job' ? 'completes' : 'up')
  expect((await project.deploy()).error?.message).toBeUndefined()
  return project
}

function write(project: FakeProject, services: Record<string, Service>): void {
  const all = Object.entries(services).map(([name, service]) => [name, { image: 'busybox:1', ...service }])
  project.engine.model = composeModel('shop', { services: Object.fromEntries(all) })
}

const settingsOf = ({ folder, openSwarm }: FakeProject) =>
  openSettings({ directory: folder, environment: undefined, stateOverride: undefined, onSwarm: true, openSwarm })

async function scaled(project: FakeProject, counts: Readonly<Record<string, number>>) {
  const settings = await settingsOf(project)
  const wishes = Object.entries(counts).map(([service, replicas]) => ({ service, replicas }))
  const events: Event[] = []
  const world = { ...project.world((event) => void events.push(event)), user: 'ana' }
  refuseScale(settings, wishes)
  const turn = { command: 'scale', wait: 0 }
  const done = withEnvironmentLocked(settings, turn, world, (locked) => scale(settings, wishes, locked))
  return { done, events }
}

async function powered(project: FakeProject, verb: 'start' | 'stop' | 'restart', ...services: string[]) {
  const settings = await settingsOf(project)
  const wish = { verb, services, host: undefined }
  return withEnvironmentLocked(settings, { command: verb, wait: 0 }, project.world(), (locked) =>
    power(settings, wish, locked),
  )
}

describe('scale', () => {
  test('sets numbers, says so in status, and the next releases keep them until the Compose file changes', async () => {
    const project = await shop()
    const { swarm } = project.engine
    const { done, events } = await scaled(project, { web: 4, worker: 2 })
    expect(await done).toEqual([
      { service: 'web', from: 2, to: 4 },
      { service: 'worker', from: 1, to: 2 },
    ])
    expect(swarm.view()).toEqual(['shop_web ×4', 'shop_worker ×2'])
    expect(story(events)).toEqual(['  web scale', '  worker scale', '  web ready', '  worker ready'])
    expect(drift(await look(project))).toEqual([
      'service web: scaled from 2 to 4 by ana: the next release keeps it',
      'service worker: scaled from 1 to 2 by ana: the next release keeps it',
    ])
    const [said = ''] = /Not as released:\n(?: .*\n)*/.exec(printed(project, await look(project))) ?? []
    expectGolden('commands/scale.md', 'status', said.trimEnd())
    write(project, { web: { deploy: { replicas: 2 }, environment: { A: '1' } }, worker: { deploy: { replicas: 3 } } })
    const plan = await project.plan()
    expect(plan.notes.filter((note) => note.includes('keeps'))).toEqual([
      'web keeps 4 replicas, scaled by ana; the Compose file says 2',
    ])
    for (let count = 0; count < 2; count++) {
      const { error, bundle } = await project.deploy()
      expect([error?.message, swarm.view()]).toEqual([undefined, ['shop_web A=1 ×4', 'shop_worker ×3']])
      expect(Object.keys(bundle?.scaled ?? {})).toEqual(['web'])
      expect(drift(await look(project))).toEqual([])
    }
  })

  test('that does not converge says why, and all numbers are restored', async () => {
    const project = await shop()
    const { swarm } = project.engine
    swarm.behave = () => ({ exit: 3 })
    const { done, events } = await scaled(project, { web: 3, worker: 1 })
    const error = await failureOf(done)
    expect([error.kind, error.message]).toEqual(['failed', 'Cannot start web: it ended with exit code 3'])
    expect(story(events)).toEqual(['  web scale', '  web failed', '  web restore', '  web ready'])
    expect(swarm.view()).toEqual(['shop_web ×2', 'shop_worker ×1'])
    expect(drift(await look(project))).toEqual([])
  })

  test.each([
    ['what does not exist', { wbe: 2 }, 'not-found', 'Cannot find service "wbe" in v1'],
    ['a job', { job: 2 }, 'usage', 'Cannot scale job: it is a job, which ends by itself'],
    ['a global service', { agent: 2 }, 'usage', 'Cannot scale agent: it is global, with one task on each node'],
    ['to 0', { web: 0 }, 'usage', 'Cannot scale web to 0: a release would start it again'],
  ] as const)('refuses %s', async (_, counts, kind, message) => {
    const after = { depends_on: { job: { condition: 'service_completed_successfully' as const } } }
    const project = await shop({ web: after, job: {}, agent: { deploy: { mode: 'global' } } })
    const error = await failureOf(scaled(project, counts))
    expect([error.kind, error.message]).toEqual([kind, message])
  })

  test('refuses a Compose project, and says what to type', async () => {
    const project = await shop()
    project.write('stagecraft.yml', JSON.stringify({ environments: { prod: { compose_project: 'shop' } } }))
    const error = await failureOf(scaled(project, { web: 3 }))
    expect([error.kind, error.hint]).toEqual([
      'usage',
      'Set the number in the Compose file (`scale: 3` of web), then: stagecraft deploy',
    ])
  })
})

describe('stop, start and restart', () => {
  test('a stopped service has no tasks, and is remembered with its number', async () => {
    const project = await shop()
    const { swarm } = project.engine
    await (await scaled(project, { web: 3 })).done
    expect(await powered(project, 'stop', 'web')).toEqual([{ host: '', service: 'web', containers: 3 }])
    expect(swarm.view()).toEqual(['shop_web ×0', 'shop_worker ×1'])
    expect(drift(await look(project))).toEqual(['service web: it was stopped by tester'])
    expect((await project.plan()).services).toMatchObject([
      { service: 'web', action: 'create', why: 'it was stopped by tester', replicas: 3 },
      { service: 'worker', action: 'unchanged' },
    ])
    expect((await failureOf(scaled(project, { web: 3 }).then(({ done }) => done))).message).toBe(
      'Cannot scale web: it was stopped by tester',
    )
    expect(await powered(project, 'start')).toEqual([
      { host: '', service: 'web', containers: 3 },
      { host: '', service: 'worker', containers: 0 },
    ])
    expect(swarm.view()).toEqual(['shop_web ×3', 'shop_worker ×1'])
  })

  test('a deploy starts what was stopped', async () => {
    const project = await shop()
    await powered(project, 'stop')
    expect((await project.deploy()).error?.message).toBeUndefined()
    expect(project.engine.swarm.view()).toEqual(['shop_web ×2', 'shop_worker ×1'])
    expect(drift(await look(project))).toEqual([])
  })

  test('a restart replaces the tasks, and is not a change of the service', async () => {
    const project = await shop()
    const { swarm } = project.engine
    const before = [swarm.ids('shop_web'), swarm.ids('shop_worker')]
    expect(await powered(project, 'restart', 'web')).toEqual([{ host: '', service: 'web', containers: 2 }])
    expect(swarm.ids('shop_web').some((id) => before[0]?.includes(id))).toBe(false)
    expect(swarm.ids('shop_worker')).toEqual(before[1] ?? [])
    expect(drift(await look(project))).toEqual([])
  })

  test('a global service cannot be stopped', async () => {
    const project = await shop({ web: {}, agent: { deploy: { mode: 'global' } } })
    const error = await failureOf(powered(project, 'stop'))
    expect([error.kind, error.hint]).toEqual(['usage', 'Name the others: stagecraft stop web'])
  })
})

describe('a global service', () => {
  const agent = (word: string): Service => ({
    environment: { WORD: word },
    deploy: { mode: 'global', placement: { constraints: ['node.labels.disk==ssd'] } },
  })

  test('is as released with a task on each node that fits, however many there are', async () => {
    const disk = { disk: 'ssd' }
    const project = await shop({ agent: agent('one') }, { labels: { n1: disk, n2: disk, n3: disk }, drained: ['n3'] })
    const { swarm } = project.engine
    const see = async () => (await look(project)).services?.map(({ wanted, running }) => `${running}/${wanted}`)
    expect([swarm.view(), await see(), drift(await look(project))]).toEqual([['shop_agent WORD=one ×2'], ['2/2'], []])
    swarm.drained.clear()
    expect(drift(await look(project))).toEqual(['service agent: agent.*@n3: it is not running (created, exit code 0)'])
    swarm.settle()
    expect([await see(), drift(await look(project))]).toEqual([['3/3'], []])
    expect((await project.plan()).services).toMatchObject([{ action: 'unchanged' }])
    write(project, { agent: agent('two') })
    expect((await project.deploy()).error?.message).toBeUndefined()
    expect([swarm.view(), drift(await look(project))]).toEqual([['shop_agent WORD=two ×3'], []])
    expect((await project.rollback()).error?.message).toBeUndefined()
    expect([swarm.view(), drift(await look(project))]).toEqual([['shop_agent WORD=one ×3'], []])
  })

  test('that no node fits is a failure', async () => {
    const project = await shop({ worker: {} })
    write(project, { worker: {}, agent: agent('one') })
    const { error } = await project.deploy()
    expect(error?.message).toBe('Cannot start agent: no node fits it after 60 s: all are down, drained or excluded')
    expect(project.engine.swarm.view()).toEqual(['shop_worker ×1'])
  })
})

describe('prune', () => {
  test('finds configs and secrets that no kept release needs, also those of releases that go with it', async () => {
    const project = await shop({ web: {} })
    const [before] = project.releases()
    const { swarm, exec } = project.engine
    project.engine.model = composeModel('shop', {
      services: { web: { image: 'busybox:1', configs: [{ source: 'motd', target: '/etc/motd' }] } },
      configs: { motd: { content: 'hello' } },
    })
    const { release } = await project.deploy()
    swarm.objects.secret.set('shop_token-0123456789ab', 'shop')
    const docker = openDocker(exec, (text) => text)
    const [state, own] = [{ file: project.stateFile }, { environment: 'prod', project: 'shop' }]
    const loose = { configs: [], secrets: ['shop_token-0123456789ab'] }
    expect(await looseObjects(docker, state, own, [before?.id ?? ''])).toEqual(loose)
    const { configs } = await looseObjects(docker, state, own, [release?.id ?? ''])
    expect(configs).toEqual([expect.stringMatching(/^shop_motd-[0-9a-f]{12}$/)])
    expect(await pruneObjects(docker, state, own)).toEqual(loose)
    expect([swarm.objects.config.has(configs[0] ?? ''), swarm.objects.secret.size]).toEqual([true, 0])
  })
})
