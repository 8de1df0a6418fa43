import { describe, expect, test } from 'bun:test'
import { Json } from '../../lib/docker/inspect.ts'
import { whileElecting } from '../../lib/docker/swarm/election.ts'
import { parseService } from '../../lib/docker/swarm/services.ts'
import { parseSwarm } from '../../lib/docker/swarm/stack.ts'
import { exitCodeOf, parseRow } from '../../lib/docker/swarm/tasks.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { failureOf } from '../support/failure.ts'

describe('what docker prints of a Swarm', () => {
  test('a task, as `docker stack ps` has it', () => {
    expect(parseRow('t1\th8\tShutdown\tFailed 21 seconds ago\t"task: non-zero exit (3)"')).toEqual({
      ...{ id: 't1', node: 'h8', desired: 'shutdown', state: 'failed', error: 'task: non-zero exit (3)' },
    })
    expect(parseRow('t2\t\tRunning\tPending 2 seconds ago\t"no suitable node"')).toMatchObject({
      node: '',
      state: 'pending',
    })
    expect([exitCodeOf({ error: 'task: non-zero exit (137)' }), exitCodeOf({ error: '' })]).toEqual([137, undefined])
  })

  test('a service: defaults that docker adds make no other template, a changed label does', () => {
    const container = { Image: 'a', Labels: { 'stagecraft.definition': 'one' } }
    const parsed = (ContainerSpec: object, Mode: object = { Replicated: { Replicas: 3 } }, more: object = {}) =>
      parseService(
        new Json({ ID: 's1', Spec: { Name: 'shop_web', TaskTemplate: { ContainerSpec, ...more }, Mode } }),
        'shop',
      )
    const own = parsed(container)
    expect(own).toMatchObject({
      id: 's1',
      service: 'web',
      mode: 'replicated',
      wanted: 3,
      image: 'a',
      hasHealthcheck: false,
    })
    const defaults = { ...container, StopGracePeriod: 1e10, DNSConfig: {}, Isolation: 'default' }
    expect(parsed(defaults, undefined, { RestartPolicy: {}, Runtime: 'container' }).template).toBe(own.template)
    expect(parsed({ ...container, Labels: { 'stagecraft.definition': 'two' } }).template).not.toBe(own.template)
    expect(parsed(container, { Replicated: { Replicas: 5 } }).hash).toBe(own.hash)
    expect(parsed(container, { Global: {} })).toMatchObject({ mode: 'global', wanted: undefined })
    expect(parsed(container, { ReplicatedJob: { TotalCompletions: 2 } })).toMatchObject({ mode: 'job', wanted: 2 })
    expect(parsed({ ...container, Healthcheck: { Test: ['CMD', 'true'] } }).hasHealthcheck).toBe(true)
  })

  test('an engine in a Swarm, or in none', () => {
    expect(parseSwarm('true\tn1\t3\t\tcluster\n')).toEqual({
      ...{ isManager: true, hasLeader: true, error: '', cluster: 'cluster', node: 'n1', nodes: 3 },
    })
    expect(parseSwarm('false\t\t0\t\t\n')).toMatchObject({ isManager: false, hasLeader: false, nodes: 0 })
  })
})

describe('whileElecting()', () => {
  const leaderless = new StagecraftError('failed', 'Cannot list services', {
    detail: 'Error response from daemon: rpc error: code = Unknown desc = The swarm does not have a leader.',
  })
  const clock = () => {
    let now = 0
    const sleep = async (ms: number) => {
      now += ms
    }
    return { now: () => now, sleep }
  }

  test('repeats what fails for lack of a leader, or of a connection, until it succeeds', async () => {
    const errors = [leaderless, new StagecraftError('unreachable', 'Cannot reach the Docker engine')]
    const work = async () => {
      const error = errors.shift()
      if (error) throw error
      return 'done'
    }
    expect(await whileElecting(clock(), work)).toBe('done')
  })

  test('throws what lasts, and at once what is something else', async () => {
    let calls = 0
    const failing = (error: StagecraftError) => async () => {
      calls++
      throw error
    }
    const other = new StagecraftError('failed', 'Cannot deploy web', { detail: 'invalid mount' })
    expect(await failureOf(whileElecting(clock(), failing(other)))).toBe(other)
    expect(calls).toBe(1)
    expect(await failureOf(whileElecting(clock(), failing(leaderless)))).toBe(leaderless)
    expect(calls).toBeGreaterThan(40)
  })
})
