import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type FileLock, isLocked, tryLock, withFileLock } from '../../lib/system/flock.ts'
import { errnoOf } from '../../lib/util/errors.ts'
import { startHolder, until } from '../support/lock-process.ts'

let root = ''
let file = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'stagecraft-flock-'))
  file = join(root, '.stagecraft/locks/prod.lock')
})
afterEach(() => rmSync(root, { recursive: true }))

function taken(path = file): FileLock {
  const lock = tryLock(path)
  if (!lock) throw new Error('it is busy')
  return lock
}

describe('tryLock()', () => {
  test('makes the file and its folders, for their owner alone', () => {
    const umask = process.umask(0)
    try {
      taken().release()
    } finally {
      process.umask(umask)
    }
    const modes = [file, dirname(file), dirname(dirname(file))].map((path) => (statSync(path).mode & 0o777).toString(8))
    expect(modes).toEqual(['600', '700', '750'])
  })

  test('gives it to one at a time, also within a process, and again once it is released', () => {
    const lock = taken()
    expect([tryLock(file), isLocked(file)]).toEqual([undefined, true])
    lock.release()
    expect(isLocked(file)).toBe(false)
    taken().release()
  })

  test('does not wait for who holds it', () => {
    const lock = taken()
    const began = performance.now()
    for (let times = 0; times < 100; times++) expect(tryLock(file)).toBeUndefined()
    expect(performance.now() - began).toBeLessThan(20_000) // who waits, waits for ever
    lock.release()
  })

  test('sees that its file was removed or replaced', () => {
    const [removed, replaced] = [taken(join(root, 'locks/a')), taken(join(root, 'locks/b'))]
    expect([removed.isWhole(), replaced.isWhole()]).toEqual([true, true])
    rmSync(removed.file)
    writeFileSync(join(root, 'new'), '')
    renameSync(join(root, 'new'), replaced.file)
    expect([removed.isWhole(), replaced.isWhole()]).toEqual([false, false])
    for (const lock of [removed, replaced]) lock.release()
  })

  test('fails with the error of the system where the file cannot be made', () => {
    writeFileSync(join(root, 'file'), '')
    mkdirSync(join(root, 'folder'))
    const codeOf = (path: string) => {
      try {
        tryLock(join(root, path))
        return 'no error'
      } catch (error) {
        return errnoOf(error)
      }
    }
    expect(['file/prod.lock', 'folder'].map(codeOf)).toEqual(['ENOTDIR', 'EISDIR'])
  })
})

describe('isLocked()', () => {
  test('makes nothing: what is not there is not locked', () => {
    expect(isLocked(file)).toBe(false)
    expect(existsSync(dirname(dirname(file)))).toBe(false)
  })

  test('never keeps anybody from taking it, however often it is asked', async () => {
    taken().release()
    const probes = await Promise.all([startHolder('probe', file), startHolder('probe', file)])
    let looking = true
    const looked = Promise.all(probes.map(({ next }) => next())).finally(() => {
      looking = false
    })
    for (let times = 0; looking || times < 2000; times++) {
      taken().release()
      if (times % 100 === 0) await Bun.sleep(0)
    }
    expect(await looked).toEqual(['enough', 'enough'])
    for (const { child } of probes) child.stdin.end()
    await Promise.all(probes.map(({ child }) => child.exited))
  })
})

describe('withFileLock()', () => {
  test('does the work with the lock, gives its result, and lets go', () => {
    expect(withFileLock(file, () => isLocked(file))).toBe(true)
    expect(isLocked(file)).toBe(false)
  })

  test('lets go when the work throws', () => {
    expect(() =>
      withFileLock(file, () => {
        throw new Error('the work')
      }),
    ).toThrow('the work')
    expect(isLocked(file)).toBe(false)
  })

  test('waits for who holds it, and says which file it is when that takes too long', async () => {
    const holder = await startHolder('hold', file)
    const message = `Cannot lock ${file}: another process has held it for 0.05 s`
    expect(() => withFileLock(file, () => {}, 50)).toThrow(message)
    holder.child.stdin.end()
    expect(withFileLock(file, () => 'done')).toBe('done')
    await holder.child.exited
  })
})

describe('the kernel', () => {
  test('keeps two processes apart', async () => {
    const holder = await startHolder('hold', file)
    expect([holder.said, tryLock(file), isLocked(file)]).toEqual(['locked', undefined, true])
    holder.child.stdin.end()
    expect(await holder.next()).toBe('released')
    taken().release()
  })

  test('lets go when the holder is killed', async () => {
    const holder = await startHolder('hold', file)
    holder.child.kill('SIGKILL')
    await holder.child.exited
    taken().release()
  })

  test('holds it for a child that has inherited it, until that has ended too', async () => {
    const holder = await startHolder('lend', file)
    const child = Number(holder.said.split(' ')[1])
    holder.child.kill('SIGKILL')
    await holder.child.exited
    expect([tryLock(file), isLocked(file)]).toEqual([undefined, true])
    process.kill(child, 'SIGKILL')
    await until(() => !isLocked(file))
    taken().release()
  })

  test('lets go at a release, also of what a child has inherited', async () => {
    const holder = await startHolder('lend', file)
    holder.child.stdin.end()
    expect(await holder.next()).toBe('released')
    expect(isLocked(file)).toBe(false)
    process.kill(Number(holder.said.split(' ')[1]), 'SIGKILL')
  })

  test('gives it to one of two who race for it, 200 times each', async () => {
    const races = [startHolder('race', file, '200'), startHolder('race', file, '200')]
    const overlaps = (await Promise.all(races)).map(({ said }) => said)
    expect(overlaps).toEqual(['0', '0'])
  })
})
