import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDocker } from '../../lib/docker/client.ts'
import { engineTimeout } from '../../lib/docker/engine/answers.ts'
import { type Exec, exec } from '../../lib/system/exec.ts'
import { failureOf, formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'stagecraft-engine-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A docker CLI that is a shell script: `$1` is its command. `timeout` is the engine's, in milliseconds. */
function scripted(script: string, { signal, timeout = 300 }: { signal?: AbortSignal; timeout?: number } = {}) {
  const asked: string[] = []
  const program: Exec = (argv, options) => {
    asked.push(argv[1] ?? '')
    return exec(['sh', '-c', script, ...argv], { cwd: folder, ...options })
  }
  return { docker: openDocker(program, (text) => text, { timeout, signal }), asked }
}

const HANGS = 'exec sleep 60'

describe('an engine that hangs', () => {
  test('ends a command that changes something', async () => {
    const error = await failureOf(scripted(HANGS).docker.try(['compose', 'up']))
    expect([error.kind, error.message]).toEqual([
      'unreachable',
      'Cannot reach the Docker engine: it has not answered for 0.3 s',
    ])
  })

  test('ends a command that only asks', async () => {
    const error = await failureOf(scripted(HANGS).docker.run('look', ['ps'], { readOnly: true }))
    expect(error.message).toBe('Cannot reach the Docker engine: it has not answered for 0.3 s')
  })

  test('is what the spec shows', async () => {
    const slow: Exec = async (argv) => ({ argv, code: 143, stdout: '', stderr: '', timedOut: true })
    const error = await failureOf(openDocker(slow, (text) => text).try(['ps'], { readOnly: true }))
    expectGolden('core/processes.md', 'hung-engine', formatError(error).join('\n'))
  })
})

/** Time to answer, on a busy machine too. */
const ANSWERS = { timeout: 3_000 }
/** A docker whose engine does this when it is asked, and whose command does that once it has been asked twice. */
const twice = (file: string, answer: string, then: string) =>
  `case $1 in version) echo >>${file}; ${answer};; *) until [ "$(cat ${file} 2>/dev/null | wc -l)" -ge 2 ]; do sleep 0.05; done; ${then};; esac`

describe('an engine that answers', () => {
  test('is asked while a long command runs, and the command finishes', async () => {
    const { docker, asked } = scripted(twice('well', 'echo 28.5', 'echo done'), ANSWERS)
    expect(await docker.try(['build'])).toMatchObject({ code: 0, stdout: 'done\n' })
    expect(asked.filter((command) => command === 'version').length).toBeGreaterThan(1)
  })

  test('is not asked while a short one runs', async () => {
    const { docker, asked } = scripted('true', ANSWERS)
    await docker.try(['stop'])
    await Bun.sleep(ANSWERS.timeout + 500)
    expect(asked).toEqual(['stop'])
  })

  test('is still asked when it refused once: the command itself will say so', async () => {
    const { docker, asked } = scripted(twice('ill', 'exit 1', 'exit 3'), ANSWERS)
    expect((await docker.try(['build'])).code).toBe(3)
    expect(asked.length).toBeGreaterThan(2)
  })
})

test('a signal ends a command whose engine hangs, and is not taken for a hung engine', async () => {
  const stop = new AbortController()
  const slowly = `case $1 in version) ${HANGS};; esac; trap "sleep 1; exit 143" TERM; echo up; sleep 60 & wait`
  const { docker } = scripted(slowly, { signal: stop.signal })
  let up = 0
  const onLine = () => ++up === 2 && stop.abort(15)
  const both = [docker.try(['stop'], { onLine }), docker.try(['ps'], { readOnly: true, onLine })]
  expect((await Promise.all(both)).map(({ code }) => code)).toEqual([143, 143])
})

test('the look at the engine ends with the command', async () => {
  const script = `case $1 in version) trap 'touch ended; exit' TERM; touch asked; sleep 60 & wait;; *) until [ -e asked ]; do sleep 0.05; done;; esac`
  expect((await scripted(script, { timeout: 10_000 }).docker.try(['stop'])).code).toBe(0)
  for (let look = 0; look < 1500 && !existsSync(join(folder, 'ended')); look++) await Bun.sleep(20)
  expect(existsSync(join(folder, 'ended'))).toBe(true)
})

describe('engineTimeout()', () => {
  test.each([
    [{}, 60_000],
    [{ STAGECRAFT_ENGINE_TIMEOUT: '' }, 60_000],
    [{ STAGECRAFT_ENGINE_TIMEOUT: '5m' }, 300_000],
    [{ STAGECRAFT_ENGINE_TIMEOUT: '500ms' }, 500],
    [{ STAGECRAFT_ENGINE_TIMEOUT: '9999h' }, 2_147_483_647],
  ])('of %j is %i ms', (env, timeout) => {
    expect(engineTimeout(env)).toBe(timeout)
  })

  test.each(['60', '0s', 'soon', '-1s'])('refuses %j', (text) => {
    expect(() => engineTimeout({ STAGECRAFT_ENGINE_TIMEOUT: text })).toThrow(
      `Cannot use STAGECRAFT_ENGINE_TIMEOUT: "${text}" is not a time span`,
    )
  })
})
