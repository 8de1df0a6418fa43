import { dlopen, read } from 'bun:ffi'
import { type BigIntStats, closeSync, fstatSync, openSync, statSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { errnoOf, StagecraftError } from '../util/errors.ts'
import { createFolder } from './atomic-write.ts'

/**
 * The kernel's lock, flock(2). It belongs to the open file, not to the process: a child that inherits the descriptor holds
 * it too, so the watcher of a docker command keeps it for a run that died. (SQLite's locks are POSIX locks, which no child
 * inherits.) The kernel releases it when the last descriptor is closed, however its process ended.
 */
export interface FileLock {
  readonly fd: number
  readonly file: string
  /** @returns whether the path still names the locked file: if not, another process may hold the lock too */
  isWhole(): boolean
  /** Releases the lock, in children that inherited it too. */
  release(): void
}

/** Only the owner can access the lock and its folder; the folder above is the state's (spec/core/state.md). */
const MODES = { file: 0o600, folder: 0o700, above: 0o750 }

/** <sys/file.h>, the same on Linux and macOS */
const [SHARED, EXCLUSIVE, NO_WAIT, UNLOCK] = [1, 2, 4, 8]

/** Milliseconds to retry while only readers probe the lock, which takes microseconds unless the machine is busy. */
const PROBES_END = 5_000

/** Milliseconds to wait for a short lock: it is held for one write, which takes some milliseconds. */
const SHORT_LIMIT = 10_000

/**
 * Takes the lock, creating its file and folder. @returns undefined if another process holds it
 * @throws the system's error (`errnoOf`); unreachable (8) if there is no flock
 */
export function tryLock(file: string): FileLock | undefined {
  const deadline = performance.now() + PROBES_END
  for (;;) {
    const taken = tryOnce(file)
    if (taken !== 'probed' && taken !== 'replaced') return taken
    if (performance.now() >= deadline) return undefined
    pause()
  }
}

/**
 * @returns whether another process holds the lock now. A missing file is not locked.
 * @throws the system's error (`errnoOf`); unreachable (8) if there is no flock
 */
export function isLocked(file: string): boolean {
  const fd = openIfThere(file)
  if (fd === undefined) return false
  try {
    return !flock(fd, SHARED)
  } finally {
    closeSync(fd)
  }
}

/**
 * Waits for the lock and holds it during `act`, which is short and synchronous.
 * @param limit milliseconds to wait
 * @throws the system's error (`errnoOf`), state (9) if another process holds it for too long, and what `act` throws
 */
export function withFileLock<T>(file: string, act: () => T, limit: number = SHORT_LIMIT): T {
  const lock = waitFor(file, performance.now() + limit)
  if (!lock)
    throw new StagecraftError('state', `Cannot lock ${file}: another process has held it for ${limit / 1000} s`, {
      hint: `Find out which process that is (lsof ${file}), then run the command again.`,
    })
  try {
    return act()
  } finally {
    lock.release()
  }
}

function waitFor(file: string, deadline: number): FileLock | undefined {
  for (;;) {
    const lock = tryLock(file)
    if (lock || performance.now() >= deadline) return lock
    pause()
  }
}

/** `probed`: only readers hold it, for a moment. `replaced`: the path names another file now. */
function tryOnce(file: string): FileLock | undefined | 'probed' | 'replaced' {
  const fd = openOrCreate(file)
  try {
    if (!flock(fd, EXCLUSIVE)) {
      // If a shared lock is possible, only readers hold it.
      const isProbed = flock(fd, SHARED)
      closeSync(fd)
      return isProbed ? 'probed' : undefined
    }
    const locked = fstatSync(fd, { bigint: true })
    if (!isNamed(file, locked)) {
      closeSync(fd)
      return 'replaced'
    }
    return held(file, fd, locked)
  } catch (error) {
    closeQuietly(fd)
    throw error
  }
}

function held(file: string, fd: number, locked: BigIntStats): FileLock {
  return {
    fd,
    file,
    isWhole: () => isNamed(file, locked),
    release() {
      unlock(fd)
      closeQuietly(fd) // nothing was written to it
    },
  }
}

/** Children inherit the descriptor only if it is passed to them. It is readable too: over NFS a shared lock requires that. */
function openOrCreate(file: string): number {
  try {
    return openSync(file, 'a+', MODES.file)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
  createFolder(dirname(dirname(file)), MODES.above)
  createFolder(dirname(file), MODES.folder)
  return openSync(file, 'a+', MODES.file)
}

function openIfThere(file: string): number | undefined {
  try {
    return openSync(file, 'r')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function isNamed(file: string, locked: BigIntStats): boolean {
  const named = statSync(file, { bigint: true, throwIfNoEntry: false })
  return named?.ino === locked.ino && named.dev === locked.dev
}

/** @returns whether the lock was taken; false: another process holds it */
function flock(fd: number, operation: number): boolean {
  library ??= load()
  const { flock, errno } = library
  for (;;) {
    if (flock(fd, operation | NO_WAIT) === 0) return true
    const code = errno()
    if (code === constants.errno.EWOULDBLOCK) return false
    if (code === constants.errno.EINTR) continue
    const [name = `errno ${code}`] = Object.entries(constants.errno).find(([, number]) => number === code) ?? []
    throw Object.assign(new Error(`flock: ${name}`), { code: name })
  }
}

/** Closing would be enough, unless a child that is still running has inherited the lock. */
function unlock(fd: number): void {
  library?.flock(fd, UNLOCK)
}

interface Library {
  flock(fd: number, operation: number): number
  errno(): number
}

let library: Library | undefined

/** Loaded when the first lock is needed: 0.2 ms. */
function load(): Library {
  const failures: string[] = []
  for (const [name, errno] of libraryNames()) {
    try {
      const { symbols } = dlopen(name, {
        flock: { args: ['i32', 'i32'], returns: 'i32' },
        [errno]: { args: [], returns: 'ptr' },
      })
      return {
        flock: (fd, operation) => Number(symbols['flock']?.(fd, operation)),
        errno: () => read.i32(Number(symbols[errno]?.()) as Parameters<typeof read.i32>[0], 0),
      }
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new StagecraftError('unreachable', 'Cannot lock anything: the C library of this system cannot be loaded', {
    hint: 'Use the binary for this system (glibc or musl, and its processor).',
    detail: failures.join('\n'),
  })
}

function libraryNames(): readonly (readonly [file: string, errno: string])[] {
  if (process.platform === 'darwin') return [['libSystem.B.dylib', '__error']]
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
  return ['libc.so.6', `libc.musl-${machine}.so.1`, 'libc.so'].map((file) => [file, '__errno_location'] as const)
}

/** 1 to 5 ms at random, so that two waiting processes do not keep trying at the same time. */
function pause(): void {
  Bun.sleepSync(1 + Math.random() * 4)
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd)
  } catch {
    // The descriptor is closed in any case.
  }
}
