import { describe, expect, test } from 'bun:test'
import { inspectContainers, listContainers } from '../../lib/docker/containers.ts'
import { enginePlatform } from '../../lib/docker/engine/facts.ts'
import { inspectImages } from '../../lib/docker/image-store.ts'
import { lastLogLines } from '../../lib/docker/lifecycle.ts'
import type { Result } from '../../lib/system/exec.ts'
import { answering } from '../fakes/docker-answers.ts'
import { failureOf } from '../support/failure.ts'

const CONTAINER = {
  Id: 'c1',
  Name: '/shop-web-1',
  Image: 'sha256:1',
  RestartCount: 2,
  Config: {
    Labels: {
      'com.docker.compose.service': 'web',
      'com.docker.compose.config-hash': 'hash',
      'com.docker.compose.project.config_files': '/releases/rel-1/compose.json',
      'com.docker.compose.oneoff': 'False',
    },
    Healthcheck: {
      Test: ['CMD', 'true'],
      Interval: 5_000_000_000,
      Timeout: 1_000_000_000,
      Retries: 4,
      StartPeriod: 2e9,
    },
  },
  State: {
    Status: 'running',
    ExitCode: 0,
    OOMKilled: false,
    Error: '',
    StartedAt: '2026-11-22T08:00:00Z',
    Health: { Status: 'unhealthy', Log: [{ Output: 'first' }, { Output: 'last\n' }] },
  },
}

describe('enginePlatform()', () => {
  test('is what the engine says', async () => {
    expect(await enginePlatform(answering({ version: { stdout: 'linux/arm64\n' } }).docker)).toBe('linux/arm64')
  })

  test('is an error of the engine, whatever the words', async () => {
    const error = await failureOf(enginePlatform(answering({ version: { code: 1, stderr: 'oh no' } }).docker))
    expect([error.kind, error.detail]).toEqual(['unreachable', 'oh no'])
  })
})

describe('listContainers()', () => {
  test('says of each container of the project what a rollout needs, in order, without one-off ones', async () => {
    const other = {
      ...CONTAINER,
      Id: 'c2',
      Name: '/shop-api-1',
      Config: { Labels: { 'com.docker.compose.service': 'api' } },
      HostConfig: { NetworkMode: 'container:c1', IpcMode: 'private', PidMode: '' },
      State: { Status: 'exited', ExitCode: 137, OOMKilled: true, Error: 'e' },
    }
    const labels = { 'com.docker.compose.service': 'web', 'com.docker.compose.oneoff': 'True' }
    const oneOff = { ...CONTAINER, Id: 'c3', Config: { Labels: labels } }
    const hook = {
      ...CONTAINER,
      ...{
        Id: 'c4',
        Config: { Labels: { 'com.docker.compose.service': 'web', 'com.docker.compose.hook': 'pre_start' } },
      },
    }
    const { docker, calls } = answering({
      ps: { stdout: 'c1\nc2\nc3\nc4\n' },
      'container inspect c1 c2 c3 c4': { stdout: JSON.stringify([CONTAINER, other, oneOff, hook]) },
    })
    expect(await listContainers(docker, 'shop')).toEqual([
      {
        id: 'c2',
        name: 'shop-api-1',
        service: 'api',
        image: 'sha256:1',
        configHash: '',
        configFiles: '',
        workingFolder: '',
        state: 'exited',
        exitCode: 137,
        oomKilled: true,
        health: 'none',
        healthTime: 0,
        failingTime: 0,
        anonymous: [],
        healthOutput: '',
        failedProbes: 0,
        mostProbes: 3,
        restarts: 2,
        startedAt: '',
        finishedAt: '',
        error: 'e',
        shares: ['c1'],
        networks: {},
      },
      {
        id: 'c1',
        name: 'shop-web-1',
        service: 'web',
        image: 'sha256:1',
        configHash: 'hash',
        configFiles: '/releases/rel-1/compose.json',
        workingFolder: '',
        state: 'running',
        exitCode: 0,
        oomKilled: false,
        health: 'unhealthy',
        healthTime: 26_000,
        failingTime: 22_000,
        anonymous: [],
        healthOutput: 'last',
        failedProbes: 0,
        mostProbes: 4,
        restarts: 2,
        startedAt: '2026-11-22T08:00:00Z',
        finishedAt: '',
        error: '',
        shares: [],
        networks: {},
      },
    ])
    expect(calls[0]?.argv).toContain('label=com.docker.compose.project=shop')
  })

  test('asks nothing more where there is none', async () => {
    const { docker, calls } = answering({ ps: { stdout: '\n' } })
    expect(await listContainers(docker, 'shop')).toEqual([])
    expect(calls).toHaveLength(1)
  })
})

describe('inspectContainers()', () => {
  const missing = 'Error response from daemon: No such container: c2'

  test('leaves out those that are gone', async () => {
    const answer = { code: 1, stdout: JSON.stringify([CONTAINER]), stderr: missing }
    const { docker } = answering({ 'container inspect': answer })
    expect((await inspectContainers(docker, ['c1', 'c2'])).map(({ id }) => id)).toEqual(['c1'])
    const none = answering({ 'container inspect': { code: 1, stdout: '[]\n', stderr: missing } })
    expect(await inspectContainers(none.docker, ['c2'])).toEqual([])
  })

  test.each<[string, Partial<Result>]>([
    ['an error', { code: 1, stdout: '[]', stderr: 'Error response from daemon: out of sorts' }],
    ['half an answer', { code: 143, stdout: '[{"Id": "c1", "Na', stderr: '' }],
  ])('fails with %s', async (_, answer) => {
    const error = await failureOf(inspectContainers(answering({ 'container inspect': answer }).docker, ['c1']))
    expect(error.kind).toBe('failed')
  })

  test.each<[unknown, number]>([
    [undefined, 0],
    [{ Test: ['NONE'] }, 0],
    [{ Test: ['CMD', 'x'] }, 180_000],
    [{ Test: ['CMD-SHELL', 'x'], Interval: 1e9, Timeout: 2e9, Retries: 1, StartPeriod: 5e9 }, 8_000],
  ])('adds up how long the healthcheck %j can take: %i ms', async (healthcheck, time) => {
    const stdout = JSON.stringify([{ ...CONTAINER, Config: { Healthcheck: healthcheck } }])
    const [container] = await inspectContainers(answering({ container: { stdout } }).docker, ['c1'])
    expect(container?.healthTime).toBe(time)
  })
})

describe('inspectImages()', () => {
  const image = {
    Id: 'sha256:1',
    RepoTags: ['a:1'],
    RepoDigests: null,
    Os: 'linux',
    Architecture: 'arm',
    Variant: 'v7',
    RootFS: { Layers: ['l'] },
    Config: { Cmd: ['a'] },
  }
  const parsed = {
    id: 'sha256:1',
    tags: ['a:1'],
    digests: [],
    layers: ['l'],
    platform: 'linux/arm/v7',
    config: { Cmd: ['a'] },
  }

  test('gives each by the name that it was asked for', async () => {
    const { docker, calls } = answering({ 'image inspect a b': { stdout: JSON.stringify([image, image]) } })
    expect(await inspectImages(docker, ['a', 'b'])).toEqual(
      new Map([
        ['a', parsed],
        ['b', parsed],
      ]),
    )
    expect(await inspectImages(docker, [])).toEqual(new Map())
    expect(calls).toHaveLength(1)
  })

  test('asks one by one where one is missing', async () => {
    const missing = { code: 1, stdout: '[]', stderr: 'Error response from daemon: No such image: b' }
    const { docker } = answering({
      'image inspect a b': missing,
      'image inspect a': { stdout: JSON.stringify([image]) },
      'image inspect b': missing,
    })
    expect([...(await inspectImages(docker, ['a', 'b'])).keys()]).toEqual(['a'])
  })

  test('does not take an engine that is gone for one that lacks the image', async () => {
    const stderr = 'Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?'
    const error = await failureOf(inspectImages(answering({ image: { code: 1, stderr } }).docker, ['a']))
    expect(error.kind).toBe('unreachable')
  })
})

describe('lastLogLines()', () => {
  test('is nothing where the engine hangs: the failure that it belongs to is reported', async () => {
    expect(await lastLogLines(answering({ logs: { code: 143, timedOut: true } }).docker, 'c1')).toBe('')
  })

  test('is both streams, masked', async () => {
    const { docker, calls } = answering({ logs: { stdout: 'one hunter22\n', stderr: 'two\n\n' } })
    expect(await lastLogLines(docker, 'c1', 5)).toBe('one •••\ntwo')
    expect(calls[0]?.argv).toEqual(['docker', 'logs', '--tail', '5', 'c1'])
  })
})
