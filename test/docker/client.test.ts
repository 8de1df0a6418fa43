import { describe, expect, test } from 'bun:test'
import { childError, openDocker, verb } from '../../lib/docker/client.ts'
import { parseVersion } from '../../lib/docker/engine/facts.ts'
import type { Exec, ExecOptions, Result } from '../../lib/system/exec.ts'
import { answering } from '../fakes/docker-answers.ts'
import { failureOf } from '../support/failure.ts'

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
    await docker.try(['ps'], { readOnly: true })
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
    await docker.try(['ps'], { readOnly: true })
    await docker.try(['events'], { timeout: 1000 })
    await docker.try(['compose', 'build'], { outlive: 0 })
    expect(calls.map((options) => [options?.timeout, options?.inheritFd, options?.outlive])).toEqual([
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
    expect(childError('continue', result(argv)).message).toBe(`Cannot continue: ${command} exited with 1`)
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
    expect(childError('continue', result('docker ps')).detail).toBe('out')
    expect(childError('continue', result('docker ps', { stderr: 'err\n' })).detail).toBe('err')
  })

  test('leaves out the progress of Compose, unless that is all', () => {
    const progress = 'Container shop-web-1  Creating\n Container shop-web-1  Created\n Network shop_default Created'
    const wrong = 'Error response from daemon: unable to find user node'
    expect(childError('continue', result('docker ps', { stderr: `${progress}\n${wrong}\n` })).detail).toBe(wrong)
    expect(childError('continue', result('docker ps', { stderr: progress })).detail).toBe(progress)
  })

  test.each([
    ['Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?', 'Start it'],
    ['error during connect: Get "http://x": EOF', 'Start it'],
    ['permission denied while trying to connect to the Docker daemon socket', 'Add yourself to the group'],
  ])('knows an engine that does not answer: %s', (stderr, hint) => {
    const error = childError('continue', result('docker ps', { stderr }))
    expect([error.kind, error.hint?.slice(0, hint.length)]).toEqual(['unreachable', hint])
  })
})

describe('verb()', () => {
  const connect = verb(['network', 'connect'], { unless: /already exists/ })

  test('writes words, flags by name, and operands', async () => {
    const { docker, calls } = answering({})
    const flags = { internal: true, follow: false, platform: undefined, label: ['a=1', 'b=2'], tail: '5' }
    await connect(docker, ['net', { id: 'c1' }], { flags, timeout: 7 })
    const line = 'docker network connect --internal --label a=1 --label b=2 --tail 5 net c1'
    expect(calls[0]?.argv.join(' ')).toBe(line)
    expect(calls[0]?.options?.timeout).toBe(7)
  })

  test('does nothing without operands', async () => {
    const { docker, calls } = answering({ network: { code: 1 } })
    expect((await connect(docker, [], { what: 'connect nothing' })).code).toBe(0)
    expect(calls).toEqual([])
  })

  test('fails if it is said what cannot be done then, and docker’s words are not those of success', async () => {
    const failing = (stderr: string) => answering({ network: { code: 1, stderr } }).docker
    expect((await connect(failing('no'), ['net'])).code).toBe(1)
    expect((await connect(failing('it already exists'), ['net'], { what: 'continue' })).code).toBe(1)
    const error = await failureOf(connect(failing('no'), ['net'], { what: 'continue' }))
    expect(error.message).toBe('Cannot continue: docker network exited with 1')
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
    port && `Find the program on port ${port}: sudo ss -lntup 'sport = :${port}'. Stop it, or publish another port.`,
  )
})

test.each([
  ['which docker has agreed upon', '1.41 1.41 linux/amd64', '1.41'],
  ['of an engine that took more than 2 s to be reached: docker names its own newest', '1.50 1.41 linux/amd64', '1.41'],
  ['of a docker that is older than the engine', '1.41 1.50 linux/amd64', '1.41'],
  ['by number, not by text', '1.50 1.9 linux/amd64', '1.9'],
])('the API version %s', (_, said, version) => {
  expect(parseVersion(`${said}\n`)).toEqual({ version, platform: 'linux/amd64' })
})
