import { afterEach, describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { PHASES } from '../../../lib/plan/six-phases.ts'
import { scratch, stagecraftHere } from '../../support/command-line.ts'

// What needs no engine. The rest: test/status/ with an engine in memory, test/e2e/status.test.ts with real ones.
let folder = scratch()
afterEach(() => folder.remove())

const status = (...args: string[]) => stagecraftHere(['status', ...args], { cwd: folder.path })
const TWO = { 'stagecraft.yml': 'environments: {test: {}, live: {}}' }

describe('stagecraft status', () => {
  test('shows every environment, one after the other, and the one that is asked for', async () => {
    folder = scratch(TWO)
    const [all, one] = [await status(), await status('--env', 'test')]
    expect(all).toEqual({
      exit: 5,
      stdout:
        'nothing has been deployed to live yet\n\nlock: live is free\n\nnothing has been deployed to test yet\n\nlock: test is free\n',
      stderr: '',
    })
    expect(one).toEqual({
      exit: 5,
      stdout: 'nothing has been deployed to test yet\n\nlock: test is free\n',
      stderr: '',
    })
    expect(existsSync(join(folder.path, '.stagecraft'))).toBe(false)
  })

  test('--json is one object an environment, then the end', async () => {
    folder = scratch(TWO)
    const lines = (await status('--json')).stdout.trim().split('\n')
    const empty = {
      as_released: false,
      serving: null,
      engine: 'ok',
      services: [],
      drift: [],
      copies: [],
      interrupted: [],
    }
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { v: 1, type: 'status', environment: 'live', ...empty, lock: { locked: false }, releases: [] },
      { v: 1, type: 'status', environment: 'test', ...empty, lock: { locked: false }, releases: [] },
      { v: 1, type: 'finished', exit: 5 },
    ])
  })

  test('of a first release whose run died before it had a bundle says so', async () => {
    const phases = Object.fromEntries(PHASES.map((phase) => [phase, 'pending']))
    const release = { id: 'rel-20261122-080225643', environment: 'local', version: 'v1', commit_sha: '' }
    const releases = [{ ...release, timestamp: '2026-11-22T08:02:25.643Z', phases }]
    folder = scratch({ '.stagecraft/releases.json': JSON.stringify({ releases }, null, 2) })
    const { exit, stdout } = await status()
    expect(stdout.split('\n').slice(0, 2)).toEqual([
      'local: no release is live yet',
      'v1 (rel-20261122-080225643) was interrupted in build: the next deploy, rollback or prune undoes it',
    ])
    expect(exit).toBe(5)
    const json = JSON.parse((await status('--json')).stdout.split('\n')[0] ?? '')
    expect(json.interrupted).toEqual([
      { id: release.id, version: 'v1', status: 'interrupted', phase: 'build', next: 'undo' },
    ])
    expect(json.releases).toMatchObject([{ id: release.id, status: 'interrupted', phase: 'build' }])
  })

  test('ends with what is wrong with the call, the configuration or the state', async () => {
    folder = scratch({ ...TWO, '.stagecraft/releases.json': '{"releases": [' })
    const [unknown, damaged, extra] = [await status('--env', 'tset'), await status(), await status('live')]
    expect(unknown.stderr).toBe(
      'Cannot find environment "tset"\n  hint: Did you mean "test"? Environments: live, test\n',
    )
    folder.remove()
    folder = scratch({ 'stagecraft.yml': 'environment: {}' })
    const invalid = await status()
    expect([unknown, damaged, extra, invalid].map(({ exit }) => exit)).toEqual([4, 9, 2, 3])
  })
})
