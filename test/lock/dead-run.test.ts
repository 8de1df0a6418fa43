import { describe, expect, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { readLock } from '../../lib/lock/environment-lock.ts'
import { lockFiles } from '../../lib/lock/files.ts'
import { tryLock } from '../../lib/system/flock.ts'
import { contendedLock, dead } from '../scenes/contended-lock.ts'
import { startHolder, until } from '../support/lock-process.ts'

const scene = contendedLock()

describe('withLock()', () => {
  test('a dead run is waited for without being asked, for 150 s', async () => {
    const letGo = scene.keptBy(dead())
    const refused = await scene.attempt()
    letGo()
    expect(refused).toMatchObject({ kind: 'locked' })
    expect(scene.passed).toBe(150_000)
    expect(scene.told.map(([, message]) => message.replace(/.*( for at most)/, '$1'))).toEqual([' for at most 150s'])
    const letGoSooner = scene.keptBy(dead())
    scene.meanwhile = () => {
      if (scene.passed >= 200_000) letGoSooner()
    }
    expect(await scene.attempt()).toBe('in, later')
  })

  test('the 150 s count from when the death is seen', async () => {
    const life = tryLock(lockFiles(scene.stateFile, 'prod').alive)
    const letGo = scene.keptBy(dead())
    scene.meanwhile = () => {
      if (scene.passed >= 60_000 && scene.passed < 60_200) life?.release()
    }
    const refused = await scene.attempt(61_000)
    letGo()
    expect(scene.printed(refused)).toContain('the last docker command of a run that died has not ended')
    expect(scene.passed).toBeWithin(209_900, 210_300)
  })

  test('what a dead run left says nothing where nobody has the lock', async () => {
    mkdirSync(join(scene.root, '.stagecraft/locks'), { recursive: true })
    scene.describeAs(dead())
    expect(readLock(scene.stateFile, 'prod')).toEqual({ locked: false })
    expect(await scene.attempt()).toBe('in')
    expect(scene.told).toEqual([])
  })

  test.each([
    ['nobody has its pid here', { run: 'f3e1', machine: hostname(), pid: 2 ** 22 }],
    ['somebody else has its pid', { run: 'f3e1', machine: hostname(), pid: process.pid }],
    ['it is of a release that has no lock of its own', { machine: hostname(), pid: 2 ** 22 }],
  ])('a run that lives is not taken for dead: %s', async (_, holder) => {
    const letGo = scene.heldBy(holder)
    expect(readLock(scene.stateFile, 'prod')).not.toHaveProperty('holderDied')
    expect(String(await scene.attempt())).toContain('another run is under way: deploy by ana')
    letGo()
    expect(scene.passed).toBeLessThan(1000)
  })

  test('a process that is killed lets go', async () => {
    const { child, said } = await startHolder('hold', lockFiles(scene.stateFile, 'prod').lock)
    scene.describeAs({ machine: hostname(), pid: child.pid })
    expect([said, readLock(scene.stateFile, 'prod')]).toMatchObject([
      'locked',
      { locked: true, holder: { pid: child.pid } },
    ])
    child.kill('SIGKILL')
    await child.exited
    await until(() => !readLock(scene.stateFile, 'prod').locked)
    expect(await scene.attempt()).toBe('in')
  })

  test('a command of a killed run keeps it until it ends: its death is seen', async () => {
    const { child, said } = await startHolder('lend', lockFiles(scene.stateFile, 'prod').lock)
    const command = Number(said.split(' ')[1])
    scene.describeAs({ machine: hostname(), pid: child.pid, run: 'f3e1' })
    child.kill('SIGKILL')
    await child.exited
    expect(readLock(scene.stateFile, 'prod')).toMatchObject({ locked: true, holderDied: true })
    scene.meanwhile = () => {
      if (scene.passed < 1000) return
      process.kill(command, 'SIGKILL')
      scene.meanwhile = () => Bun.sleepSync(20) // the kernel closes its descriptors in a moment
    }
    expect(await scene.attempt()).toBe('in, later')
  })
})
