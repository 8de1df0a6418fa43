import { describe, expect, test } from 'bun:test'
import { openDocker } from '../../lib/docker/client.ts'
import { Json } from '../../lib/docker/inspect.ts'
import { whileElecting } from '../../lib/docker/swarm/election.ts'
import { parseService } from '../../lib/docker/swarm/services.ts'
import { deployStack, parseSwarm } from '../../lib/docker/swarm/stack.ts'
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

describe('deployStack()', () => {
  const file = {
    services: {},
    configs: { motd: { name: 'shop_motd-1', file: '/content/1' }, own: { name: 'own', file: '/x' } },
  }

  /** A Swarm that has one of the configs. */
  function swarm(stderr: string) {
    const inputs: string[] = []
    const docker = openDocker(
      async (argv, { input = '' } = {}) => {
        const isDeploy = argv[1] === 'stack'
        if (isDeploy) inputs.push(input)
        const code = isDeploy && stderr !== '' ? 1 : 0
        return {
          argv,
          code,
          stdout: argv[1] === 'config' ? 'shop_motd-1\n' : '',
          stderr: isDeploy ? stderr : '',
          timedOut: false,
        }
      },
      (text) => text,
    )
    return { docker, inputs }
  }

  test('uses what the Swarm has, without its content', async () => {
    const { docker, inputs } = swarm('')
    await deployStack(docker, 'shop', file, 'deploy web')
    expect(inputs.map((text) => JSON.parse(text).configs)).toEqual([
      { motd: { external: true, name: 'shop_motd-1' }, own: { name: 'own', file: '/x' } },
    ])
  })

  test('says at once that the content of a config is nowhere', async () => {
    const { docker, inputs } = swarm(
      'failed to create config own: Error response from daemon: rpc error: code = InvalidArgument desc = config data must be larger than 0 and less than 1024000 bytes',
    )
    let passed = 0
    const clock = {
      now: () => passed,
      sleep: async (ms: number) => {
        passed += ms
      },
    }
    const error = await failureOf(whileElecting(clock, () => deployStack(docker, 'shop', file, 'deploy web')))
    expect([error.kind, error.message, inputs.length]).toEqual([
      'failed',
      'Cannot deploy web: the Swarm does not have config own any more, nor does this machine',
      1,
    ])
    const invalid = swarm('Error response from daemon: rpc error: code = InvalidArgument desc = name must be valid')
    await failureOf(whileElecting(clock, () => deployStack(invalid.docker, 'shop', file, 'deploy web')))
    expect(invalid.inputs.length).toBe(1)
  })
})
