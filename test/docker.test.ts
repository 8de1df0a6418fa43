import { describe, expect, test } from 'bun:test'
import {
  childError,
  enginePlatform,
  inspectContainers,
  inspectImages,
  lastLogLines,
  listContainers,
  openDocker,
} from '../lib/docker.ts'
import { StagecraftError } from '../lib/errors.ts'
import type { Exec, ExecOptions, Result } from '../lib/exec.ts'

/** A docker CLI that answers by the beginning of the command, and remembers what it was asked. */
function answering(answers: Record<string, Partial<Result> & { lines?: string[] }>) {
  const calls: { argv: readonly string[]; options: ExecOptions | undefined }[] = []
  const exec: Exec = async (argv, options) => {
    calls.push({ argv, options })
    const line = argv.slice(1).join(' ')
    const [, answer = {}] = Object.entries(answers).find(([start]) => line.startsWith(start)) ?? []
    for (const output of answer.lines ?? []) options?.onLine?.(output)
    return { argv, code: 0, stdout: '', stderr: '', timedOut: false, ...answer }
  }
  return { docker: openDocker(exec, (text) => text.replaceAll('hunter22', '•••')), calls }
}

async function failureOf(work: Promise<unknown>): Promise<StagecraftError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof StagecraftError) return error
  throw error ?? new Error('it did not fail')
}

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

describe('openDocker()', () => {
  test('sets what makes builds reproducible and commands quiet, every time', async () => {
    const { docker, calls } = answering({})
    await docker.try(['ps'], { env: { A: 'b' } })
    expect(calls[0]?.argv).toEqual(['docker', 'ps'])
    expect(calls[0]?.options?.env).toMatchObject({ A: 'b', BUILDX_NO_DEFAULT_ATTESTATIONS: '1', COMPOSE_ANSI: 'never' })
  })

  test('hands on the signal that ends it', async () => {
    const calls: (ExecOptions | undefined)[] = []
    const exec: Exec = async (argv, options) => {
      calls.push(options)
      return { argv, code: 0, stdout: '', stderr: '', timedOut: false }
    }
    const stop = new AbortController()
    const docker = openDocker(exec, (text) => text, { signal: stop.signal })
    await docker.try(['ps'], { asks: true })
    await docker.try(['stop', 'web'])
    stop.abort()
    expect(calls.map((options) => options?.signal?.aborted)).toEqual([true, true])
  })

  test('hands its lock to what changes something, which may outlive us; what only asks has a time limit', async () => {
    const calls: (ExecOptions | undefined)[] = []
    const exec: Exec = async (argv, options) => {
      calls.push(options)
      return { argv, code: 0, stdout: '', stderr: '', timedOut: false }
    }
    const docker = openDocker(exec, (text) => text, { lock: { fd: 7, check() {} } })
    await docker.try(['stop', 'web'])
    await docker.try(['ps'], { asks: true })
    await docker.try(['events'], { timeout: 1000 })
    await docker.try(['compose', 'build'], { outlive: 0 })
    expect(calls.map((options) => [options?.timeout, options?.keep, options?.outlive])).toEqual([
      [undefined, 7, 120_000],
      [60_000, undefined, undefined],
      [1000, undefined, undefined],
      [undefined, 7, 0],
    ])
  })

  test('masks lines as they come, and what a command says that fails', async () => {
    const { docker } = answering({ build: { code: 1, stderr: 'no hunter22', lines: ['ENV hunter22'] } })
    const lines: string[] = []
    const result = await docker.try(['build'], { onLine: (line) => lines.push(line) })
    expect([lines, result.stderr]).toEqual([['ENV •••'], 'no •••'])
    const error = await failureOf(docker.run('build web', ['build']))
    expect([error.kind, error.message, error.detail]).toEqual([
      'failed',
      'Cannot build web: docker build exited with 1',
      'no •••',
    ])
  })
})

describe('childError()', () => {
  const result = (argv: string, more: Partial<Result> = {}): Result => {
    return { argv: argv.split(' '), code: 1, stdout: 'out\n', stderr: '', timedOut: false, ...more }
  }

  test.each<[string, string]>([
    ['docker compose --progress plain -p build --env-file /dev/null up -d', 'docker compose up'],
    ['docker compose -p shop config --hash *', 'docker compose config'],
    ['docker pull x', 'docker pull'],
  ])('of %s names %s', (argv, command) => {
    expect(childError('go on', result(argv)).message).toBe(`Cannot go on: ${command} exited with 1`)
  })

  test.each([
    [143, 'was ended by signal 15 (TERM)'],
    [137, 'was ended by signal 9 (KILL)'],
    [128, 'exited with 128'],
    [255, 'exited with 255'],
  ])('of exit code %i says that it %s', (code, words) => {
    const { message } = childError('start web', result('docker compose -p shop up -d', { code }))
    expect(message).toBe(`Cannot start web: docker compose up ${words}`)
  })

  test('shows what was said', () => {
    expect(childError('go on', result('docker ps')).detail).toBe('out')
    expect(childError('go on', result('docker ps', { stderr: 'err\n' })).detail).toBe('err')
  })

  test.each([
    ['Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?', 'Start it'],
    ['error during connect: Get "http://x": EOF', 'Start it'],
    ['permission denied while trying to connect to the Docker daemon socket', 'Add yourself to the group'],
  ])('knows an engine that does not answer: %s', (stderr, hint) => {
    const error = childError('go on', result('docker ps', { stderr }))
    expect([error.kind, error.hint?.slice(0, hint.length)]).toEqual(['unreachable', hint])
  })
})

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
    const { docker, calls } = answering({
      ps: { stdout: 'c1\nc2\nc3\n' },
      'container inspect c1 c2 c3': { stdout: JSON.stringify([CONTAINER, other, oneOff]) },
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
        restarts: 2,
        startedAt: '',
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
        restarts: 2,
        startedAt: '2026-11-22T08:00:00Z',
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
  test('is nothing where the engine hangs: the failure that it belongs to is told', async () => {
    expect(await lastLogLines(answering({ logs: { code: 143, timedOut: true } }).docker, 'c1')).toBe('')
  })

  test('is both streams, masked', async () => {
    const { docker, calls } = answering({ logs: { stdout: 'one hunter22\n', stderr: 'two\n\n' } })
    expect(await lastLogLines(docker, 'c1', 5)).toBe('one •••\ntwo')
    expect(calls[0]?.argv).toEqual(['docker', 'logs', '--tail', '5', 'c1'])
  })
})

test.each([
  ['Error starting userland proxy: listen tcp4 0.0.0.0:18081: bind: address already in use', '18081'],
  ['Bind for 0.0.0.0:8080 failed: port is already allocated', '8080'],
  ['failed to bind host port for 0.0.0.0:80:172.18.0.2:80/tcp: address already in use', '80'],
  ['failed to bind host port 127.0.0.1:81/tcp: address already in use', '81'],
  ['Bind for :::8080 failed: port is already allocated', '8080'],
  ['invalid reference format', undefined],
])('childError() says how to find who has a port: %s', (stderr, port) => {
  const { hint } = childError('start web', { argv: ['docker'], code: 1, stdout: '', stderr, timedOut: false })
  expect(hint).toBe(
    port && `Who has port ${port} there: sudo ss -lntup 'sport = :${port}'. Stop it, or publish another port.`,
  )
})
