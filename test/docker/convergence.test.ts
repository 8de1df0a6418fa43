import { describe, expect, test } from 'bun:test'
import { Json } from '../../lib/docker/inspect.ts'
import { judgeService, newSeen, type Patience, type Verdict } from '../../lib/docker/swarm/convergence.ts'
import { parseNode, type SwarmNode } from '../../lib/docker/swarm/nodes.ts'
import type { SwarmService } from '../../lib/docker/swarm/services.ts'
import type { Task } from '../../lib/docker/swarm/tasks.ts'
import { GENEROUS } from '../scenes/big-swarm.ts'

const PATIENCE: Patience = { health: 60_000, minReady: 5_000, restarts: 30_000 }

function service(more: Partial<SwarmService> = {}): SwarmService {
  const own = { id: 's1', service: 'web', mode: 'replicated', wanted: 2, template: 'new', hash: '' } as const
  return { ...own, image: 'a', hasHealthcheck: true, iteration: 0, constraints: [], ...more }
}

let count = 0
function task(more: Partial<Task> = {}): Task {
  count++
  const own = { id: `t${count}`, service: 's1', slot: count, node: 'n1', desired: 'running', state: 'running' }
  return { ...own, error: '', template: 'new', iteration: 0, at: String(count).padStart(9, '0'), ...more }
}

const ended = (code: number): Partial<Task> => ({
  ...{ desired: 'shutdown', state: 'failed', error: `task: non-zero exit (${code})` },
})

/** Looks once, at a service that is watched for `waited` milliseconds. */
function judge(
  one: SwarmService,
  tasks: readonly Task[],
  waited = 0,
  before: readonly Task[] = [],
  nodes: readonly SwarmNode[] = [],
): string {
  const seen = newSeen(0)
  const observation = { seen, before: new Set(before.map(({ id }) => id)), patience: PATIENCE, nodes }
  judgeService(one, tasks, { ...observation, now: 0 })
  return said(judgeService(one, tasks, { ...observation, now: waited }))
}

function said(verdict: Verdict): string {
  return verdict.is === 'done' ? 'done' : verdict.is === 'failed' ? `failed: ${verdict.why}` : verdict.at
}

describe('judgeService()', () => {
  test('all tasks are new and healthy: done', () => {
    expect(judge(service(), [task(), task()])).toBe('done')
    expect(judge(service({ update: { state: 'completed', message: '' } }), [task(), task()])).toBe('done')
  })

  test.each([
    ['one is missing', {}, [{}], '1 of 2 ready'],
    ['one is still starting', {}, [{}, { state: 'starting' }], '1 of 2 ready'],
    ['one is old', {}, [{}, { template: 'old' }], '1 of 2 ready, 1 old ones left'],
    ['an old one is left alongside them', {}, [{}, {}, { template: 'old' }], '2 of 2 ready, 1 old ones left'],
    ['the update has not ended', { update: { state: 'updating', message: '' } }, [{}, {}], '2 of 2 ready'],
    ['there are more than wanted', { wanted: 1 }, [{}, {}], '2 of 1 ready'],
    ['there is none of a global service', { wanted: undefined, mode: 'global' }, [], '0 of 1 ready'],
  ] as const)('%s: not yet', (_, settings, tasks, expected) => {
    expect(
      judge(
        service(settings),
        tasks.map((one) => task(one)),
      ),
    ).toBe(expected)
  })

  test('without a healthcheck a task has to run for a while, by our own clock', () => {
    const one = service({ hasHealthcheck: false, wanted: 1 })
    expect([judge(one, [task()], 4_999), judge(one, [task()], 5_000)]).toEqual(['0 of 1 ready', 'done'])
  })

  test('no replicas are wanted, and there are none: done', () => {
    expect(judge(service({ wanted: 0 }), [task({ desired: 'shutdown', state: 'shutdown' })])).toBe('done')
  })

  describe('a global service', () => {
    const global = service({ mode: 'global', wanted: undefined, constraints: ['node.labels.disk==ssd'] })
    const node = (name: string, more: { state?: string; availability?: string; disk?: string } = {}) =>
      parseNode(
        new Json({
          ...{ ID: name, Description: { Hostname: name }, Status: { State: more.state ?? 'ready' } },
          Spec: { Role: 'worker', Availability: more.availability ?? 'active', Labels: { disk: more.disk ?? 'ssd' } },
        }),
      )
    const on = (name: string) => task({ slot: 0, node: name })
    const see = (tasks: readonly Task[], nodes: readonly SwarmNode[], waited = 0) =>
      judge(global, tasks, waited, [], nodes)

    test('waits for a task on each node that fits', () => {
      expect(see([on('n1')], [node('n1'), node('n2')])).toBe('1 of 2 ready')
      expect(see([on('n1'), on('n2')], [node('n1'), node('n2')])).toBe('done')
    })

    test('does not wait for nodes that are down, drained, paused or excluded', () => {
      const others = [
        ...[node('n2', { state: 'down' }), node('n3', { availability: 'drain' })],
        ...[node('n4', { availability: 'pause' }), node('n5', { disk: 'hdd' })],
      ]
      expect(see([on('n1')], [node('n1'), ...others])).toBe('done')
      expect(see([on('n1'), on('n4')], [node('n1'), ...others])).toBe('done')
    })

    test('fails when no node fits it', () => {
      const nodes = [node('n1', { disk: 'hdd' })]
      expect(see([], nodes, 59_999)).toBe('0 of 1 ready')
      expect(see([], nodes, 60_000)).toBe('failed: no node fits it after 60 s: all are down, drained or excluded')
    })
  })

  test('a paused update has failed, for the reason of its newest task', () => {
    const paused = { update: { state: 'paused', message: 'update paused due to failure of task t9' } }
    const old = task(ended(1))
    const tasks = [old, task(ended(2)), task(ended(3)), task({ template: 'old' })]
    expect(judge(service(paused), tasks, 0, [old])).toBe('failed: it ended with exit code 3')
    expect(judge(service(paused), [old], 0, [old])).toBe('Swarm has stopped the update')
    expect(judge(service(paused), [old], 5_000, [old])).toBe(
      'failed: Swarm has paused the update: update paused due to failure of task t9',
    )
  })

  test.each(['rollback_started', 'rollback_paused', 'rollback_completed'])('%s has failed, whatever runs', (state) => {
    expect(judge(service({ update: { state, message: 'done' } }), [task(), task()], 5_000)).toBe(
      'failed: Swarm has rolled it back: done',
    )
  })

  test('tasks that end again and again fail after a while; what ended before is no failure', () => {
    const one = service({ wanted: 1 })
    const crash = [task(ended(3)), task({ state: 'pending' })]
    expect([judge(one, crash, 29_999), judge(one, crash, 30_000)]).toEqual([
      '0 of 1 ready',
      'failed: it ended with exit code 3, again and again',
    ])
    expect(judge(one, crash, 30_000, crash)).toBe('0 of 1 ready')
  })

  test('a task that comes up after others have ended is a success', () => {
    expect(judge(service({ wanted: 1 }), [task(ended(3)), task()], 31_000)).toBe('done')
  })

  test('nothing gets ready in time: it says what it waited for', () => {
    const one = service({ wanted: 1 })
    const error = 'no suitable node (scheduling constraints not satisfied on 3 nodes)'
    const old = task({ template: 'old' })
    expect(judge(one, [task({ state: 'pending', error })], 60_000)).toBe(`failed: no node runs it after 60 s: ${error}`)
    expect(judge(one, [task({ state: 'preparing' })], 60_000)).toBe('failed: it is still preparing after 60 s')
    expect(judge(one, [old], 60_000)).toBe('failed: Swarm has not replaced all of its tasks after 60 s')
  })

  test('each task that gets ready gives the next one its time', () => {
    const seen = newSeen(0)
    const look = (now: number, tasks: Task[]) =>
      said(judgeService(service(), tasks, { seen, before: new Set(), patience: PATIENCE, nodes: [], now }))
    const first = task()
    expect(look(59_000, [first])).toBe('1 of 2 ready')
    expect(look(118_000, [first])).toBe('1 of 2 ready')
    expect(look(119_000, [first])).toStartWith('failed: ')
  })

  test('a job is done when its present run has completed, and fails when it cannot any more', () => {
    const job = service({ mode: 'job', wanted: 1, iteration: 2 })
    const earlier = task({ desired: 'complete', state: 'complete', iteration: 1 })
    const run = (more: Partial<Task>) => [earlier, task({ desired: 'complete', iteration: 2, ...more })]
    expect(judge(job, run({ state: 'running' }))).toBe('0 of 1 completed')
    expect(judge(job, run({ state: 'complete' }))).toBe('done')
    expect(judge(job, run(ended(4)))).toBe('failed: the job failed: it ended with exit code 4')
    expect(judge(job, [...run(ended(4)), task({ state: 'running', iteration: 2 })])).toBe('0 of 1 completed')
    expect(judge(job, run({ state: 'running' }), 60_000)).toBe('failed: it has not ended after 60 s')
  })

  test('200 services on 50 nodes: a whole rollout takes a few seconds of our own time', () => {
    const [SERVICES, NODES, LOOKS] = [200, 50, 20]
    const all = Array.from({ length: SERVICES }, (_, at) => service({ id: `s${at}`, wanted: NODES }))
    const tasksAt = (look: number) =>
      all.flatMap(({ id }, at) =>
        BLANKS.map((blank, node): Task => {
          const isNew = node < look * 3 + (at % 5)
          const name = `${id}.${node}.${isNew ? 'new' : 'old'}`
          return { ...blank, id: name, service: id, template: isNew ? 'new' : 'old' }
        }),
      )
    const seen = all.map(() => newSeen(0))
    const looks = Array.from({ length: LOOKS }, (_, look) => tasksAt(look))
    const began = process.cpuUsage()
    const done = looks.map((tasks, look) => {
      const byService = Map.groupBy(tasks, (one) => one.service)
      const verdicts = all.map((one, at) =>
        judgeService(one, byService.get(one.id) ?? [], {
          ...{ seen: seen[at] ?? newSeen(0), before: new Set<string>(), patience: PATIENCE, now: look * 1_000 },
          nodes: [],
        }),
      )
      return verdicts.filter(({ is }) => is === 'done').length
    })
    const { user, system } = process.cpuUsage(began)
    expect([done[0], done.at(-1)]).toEqual([0, SERVICES])
    expect((user + system) / 1_000).toBeLessThan(GENEROUS)
  })
})

const BLANKS = Array.from({ length: 50 }, (_, node): Task => ({ ...task(), slot: node, node: `n${node}` }))
