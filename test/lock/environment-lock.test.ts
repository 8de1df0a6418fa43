import { describe, expect, test } from 'bun:test'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { type EnvironmentLock, readLock, withLock } from '../../lib/lock/environment-lock.ts'
import { lockFiles } from '../../lib/lock/files.ts'
import { holdLock, releaseHold } from '../../lib/project/freeze.ts'
import { tryLock } from '../../lib/system/flock.ts'
import { contendedLock, dead, NOON, RELEASE } from '../scenes/contended-lock.ts'
import { expectGolden } from '../support/golden.ts'

const scene = contendedLock()

describe('withLock()', () => {
  test('keeps others out, says whose it is, and lets go when the work throws', async () => {
    const request = { stateFile: scene.stateFile, environment: 'prod', command: 'deploy', wait: 0 }
    const failing = withLock(request, scene.world(), async (held) => {
      held.nameRelease({ id: 'rel-1', version: 'v2' })
      const holder = { user: 'ben', machine: hostname(), pid: process.pid, release: 'rel-1', version: 'v2' }
      expect(readLock(scene.stateFile, 'prod')).toMatchObject({ locked: true, holder })
      expect(await scene.attempt()).toMatchObject({ kind: 'locked' })
      expect(await scene.attempt(0, { environment: 'test' })).toBe('in')
      throw new Error('no luck')
    })
    expect(await failing.catch(String)).toBe('Error: no luck')
    expect(readLock(scene.stateFile, 'prod')).toEqual({ locked: false })
    expect(existsSync(lockFiles(scene.stateFile, 'prod').holder)).toBe(false)
    expect(readFileSync(join(scene.root, '.stagecraft/.gitignore'), 'utf8')).toBe('*\n')
    expect(await scene.attempt()).toBe('in')
  })

  test('refuses with whose it is, if that is known', async () => {
    const refusals: unknown[] = []
    for (const holder of [{ ...RELEASE }, undefined]) {
      const letGo = scene.heldBy(holder)
      refusals.push(await scene.attempt())
      letGo()
    }
    const letGo = scene.keptBy(dead())
    refusals.push(await scene.attempt())
    letGo()
    const earlier = { ...scene.clock, now: () => NOON - 60_000 }
    holdLock(
      { stateFile: scene.stateFile, environment: 'prod', message: 'moving the database' },
      { user: 'ana', clock: earlier },
    )
    refusals.push(await scene.attempt(0, { command: 'rollback' }))
    const text = refusals.map((error) => scene.printed(error)).join('\n')
    expect(refusals).toMatchObject(Array(4).fill({ kind: 'locked' }))
    expectGolden('core/lock.md', 'refusals', text)
  })

  test('takes what is no description for none, and still refuses', async () => {
    for (const text of ['', '{', '[1]', '{"user":"ana","pid":"4242"}']) {
      const letGo = scene.heldBy(undefined)
      writeFileSync(lockFiles(scene.stateFile, 'prod').holder, text)
      expect(scene.printed(await scene.attempt())).toStartWith('Cannot deploy to prod: another run is under way\n')
      letGo()
    }
  })

  test('a hold that cannot be read still holds', async () => {
    mkdirSync(join(scene.root, '.stagecraft/locks'), { recursive: true })
    writeFileSync(lockFiles(scene.stateFile, 'prod').hold, '{"user":')
    expect(scene.printed(await scene.attempt())).toContain(
      'it is held by somebody on an unknown machine since when is unknown',
    )
  })

  test('waits until it is let go, and says for whom; once, though the run names its release meanwhile', async () => {
    const letGo = scene.heldBy({})
    scene.meanwhile = () => {
      if (scene.passed >= 1000) scene.describeAs(RELEASE)
      if (scene.passed >= 3000) letGo()
    }
    expect(await scene.attempt(300_000)).toBe('in, later')
    expect(scene.passed).toBeLessThan(3300)
    expectGolden('core/lock.md', 'waiting', scene.told.map(([, message]) => `waiting: ${message}`).join('\n'))
  })

  test('says it again when another run is waited for', async () => {
    let letGo = scene.heldBy({})
    scene.meanwhile = () => {
      if (scene.passed > 2000) return
      letGo()
      letGo = scene.heldBy(scene.passed < 1000 ? {} : { user: 'cleo', since: '2026-11-22T12:00:01.000Z' })
    }
    const refused = await scene.attempt(5000)
    letGo()
    expect(scene.told.map(([, message]) => message.split(' ')[1])).toEqual(['ana', 'cleo'])
    expect(scene.printed(refused)).toContain('by cleo on web-1')
  })

  test('gives up when the time is over', async () => {
    const letGo = scene.heldBy(RELEASE)
    const refused = await scene.attempt(90_000)
    letGo()
    expect(scene.passed).toBe(90_000)
    expect(scene.printed(refused).split('\n')[0]).toEndWith('since 2026-11-22 11:57:30 (4m00s) (waited 90s)')
  })

  test('a hold is waited for like a run', async () => {
    holdLock(
      { stateFile: scene.stateFile, environment: 'prod', message: 'moving the database' },
      { user: 'ana', clock: scene.clock },
    )
    scene.meanwhile = () => {
      if (scene.passed >= 10_000) releaseHold(scene.stateFile, 'prod')
    }
    expect(await scene.attempt(60_000)).toBe('in, later')
    const message = '2026-11-22 12:00:00: "moving the database", for at most 1m'
    expect(scene.told).toEqual([[0, `for ana on ${hostname()} to release the hold of ${message}`]])
  })

  test('a signal ends the waiting', async () => {
    const letGo = scene.heldBy(RELEASE)
    scene.meanwhile = () => {
      if (scene.passed >= 2000) scene.stop.abort(15)
    }
    const ended = await scene.attempt(60_000)
    letGo()
    expect(ended).toMatchObject({ kind: 'locked', signal: 15 })
    expectGolden('core/lock.md', 'wait-ended', scene.printed(ended))
  })

  test('all who reach the state file by a symlink share its lock', async () => {
    const link = join(scene.root, 'elsewhere/state.json')
    mkdirSync(dirname(link))
    mkdirSync(dirname(scene.stateFile))
    symlinkSync(scene.stateFile, link)
    const letGo = scene.heldBy(RELEASE, link)
    expect(await scene.attempt()).toMatchObject({ kind: 'locked' })
    expect(existsSync(join(dirname(link), 'locks'))).toBe(false)
    letGo()
  })

  test('a folder where nothing can be made is a state error', async () => {
    writeFileSync(join(scene.root, 'file'), '')
    const below = await scene.attempt(0, { stateFile: join(scene.root, 'file/releases.json') })
    chmodSync(scene.root, 0o555)
    const isRoot = process.getuid?.() === 0
    if (isRoot) process.seteuid?.(65534)
    const readOnly = await scene.attempt().finally(() => isRoot && process.seteuid?.(0))
    chmodSync(scene.root, 0o755)
    expect([below, readOnly]).toMatchObject([{ kind: 'state' }, { kind: 'state' }])
    expectGolden('core/lock.md', 'no-lock', [readOnly, below].map((error) => scene.printed(error)).join('\n'))
    expect(existsSync(join(scene.root, '.stagecraft'))).toBe(false)
  })

  test('check() throws once the lock was removed; the lock of the next run is left alone', async () => {
    const files = lockFiles(scene.stateFile, 'prod')
    const work = async (held: EnvironmentLock) => {
      held.check()
      rmSync(files.lock)
      const next = tryLock(files.lock)
      scene.describeAs({ user: 'cleo' })
      try {
        held.check()
      } finally {
        next?.release()
      }
    }
    const request = { stateFile: scene.stateFile, environment: 'prod', command: 'deploy', wait: 0 }
    const lost = await withLock(request, scene.world(), work).catch((error) => error)
    expect(lost).toMatchObject({ kind: 'state' })
    expectGolden('core/lock.md', 'lost', scene.printed(lost))
    expect(JSON.parse(readFileSync(files.holder, 'utf8'))).toMatchObject({ user: 'cleo' })
  })
})
