import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { holdLock, releaseHold } from '../lib/hold.ts'
import { readLock, withLock } from '../lib/lock.ts'

test('withLock() keeps others out, says whose it is, lets go when the work throws; a hold refuses', async () => {
  const root = mkdtempSync(join(tmpdir(), 'stagecraft-lock-'))
  try {
    const stateFile = join(root, '.stagecraft/releases.json')
    const clock = { now: Date.now, sleep: Bun.sleep }
    const world = { user: 'ana', clock, emit: () => {}, signal: new AbortController().signal }
    const request = { stateFile, environment: 'prod', command: 'deploy', wait: 0 }
    const refused = () => withLock(request, world, async () => 'in').catch((error) => error)
    const failing = withLock(request, world, async (held) => {
      held.nameRelease({ id: 'rel-1', version: 'v2' })
      expect(readLock(stateFile, 'prod')).toMatchObject({ locked: true, holder: { user: 'ana', version: 'v2' } })
      expect(await refused()).toMatchObject({ kind: 'locked' })
      rmSync(join(root, '.stagecraft/locks/prod.lock'))
      held.check()
    })
    expect(await failing.catch((error) => error)).toMatchObject({ kind: 'state' })
    expect(await refused()).toBe('in')
    holdLock({ stateFile, environment: 'prod', message: 'moving' }, world)
    expect(await refused()).toMatchObject({ kind: 'locked', message: expect.stringContaining('"moving"') })
    expect(releaseHold(stateFile, 'prod')).toMatchObject({ user: 'ana' })
    expect(await refused()).toBe('in')
  } finally {
    rmSync(root, { recursive: true })
  }
})
