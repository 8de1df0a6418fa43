import { hostname } from 'node:os'
import { dirname } from 'node:path'
import type { Emit } from '../output/events.ts'
import type { Clock } from '../system/clock.ts'
import { type FileLock, isLocked, tryLock } from '../system/flock.ts'
import { protectFromGit } from '../system/protect-from-git.ts'
import { StagecraftError } from '../util/errors.ts'
import { asState, lockFiles, readHold, readHolder, removeDescription, writeDescription } from './files.ts'
import type { LockHolder, LockRequest, LockState } from './holder.ts'
import { heldByOwnHook, type Obstacle, refusal, waitEnded, waitingText } from './messages.ts'

/** The lock of an environment, in the run that holds it. */
export interface EnvironmentLock {
  /**
   * inherited by commands that change something, so that the lock lasts until they have ended too. Undefined on a host, where
   * they end with the connection
   */
  readonly fd: number | undefined
  /** the run had to wait for it: what it read before may be outdated */
  readonly waited: boolean
  /** Adds the release to the lock's description, before its first phase is written. */
  nameRelease(release: { id: string; version: string }): void
  /** @throws state (9) if the lock was lost: then nothing more may be changed */
  check(): void
  /** Waits until it is certain that the lock is not lost; absent: `check` says it. @throws state (9) */
  sure?(): Promise<void>
  /**
   * Saves on the host what was written to the state and next to it, for the next run. Absent on this machine, where every write is
   * final.
   * @throws state (9), unreachable (8)
   */
  persist?(): Promise<void>
}

/** The outside world for a lock. */
export interface LockWorld {
  readonly user: string
  readonly clock: Clock
  readonly emit: Emit
  /** ends the waiting; its reason is the signal's number */
  readonly signal: AbortSignal
}

/** Milliseconds between two attempts. */
const POLL = 200

/** Milliseconds to wait for the last docker command of a run that died, which is ended after 120 s (lib/docker/client.ts). */
const DEAD_LIMIT = 150_000

/** A run describes itself an instant after taking the lock: a description counts once it was found this often. */
const LOOKS = 3

/**
 * Runs `work` while no other run may change the environment.
 * @throws locked (7) if the lock is not free in time, with the signal's code if one came while waiting; state (9) if the lock
 * cannot be made; what `work` throws
 */
export async function withLock<T>(
  request: LockRequest,
  world: LockWorld,
  work: (held: EnvironmentLock) => Promise<T>,
): Promise<T> {
  const asked = world.clock.now()
  const lock = await untilTaken(request, world, {
    poll: POLL,
    looks: LOOKS,
    nameOf,
    take: () => asState(request, () => take(request)),
  })
  const waited = world.clock.now() - asked > POLL
  const { holder: file, alive } = lockFiles(request.stateFile, request.environment)
  let holder = describeSelf(request, world)
  const describe = () => asState(request, () => writeDescription(file, holder))
  let life: FileLock | undefined
  try {
    life = asState(request, () => tryLock(alive))
    if (!life) holder = { ...holder, run: '' } // another run has `alive`, so it cannot show that this one has died
    describe()
    return await work({
      fd: lock.fd,
      waited,
      nameRelease({ id, version }) {
        holder = { ...holder, release: id, version }
        describe()
      },
      check: () => requireWhole(lock, request),
    })
  } finally {
    letGo(lock, file, life)
  }
}

/** @returns the state of an environment's lock now. Never waits. @throws state (9) if it cannot be read */
export function readLock(stateFile: string, environment: string): LockState {
  return asState({ stateFile, environment }, () => {
    const files = lockFiles(stateFile, environment)
    const locked = isLocked(files.lock)
    const holder = locked ? readHolder(files.holder) : undefined
    const hold = readHold(files.hold)
    const dead = holder && hasSurelyDied(holder, files) && { holderDied: true as const }
    return { locked, ...(holder && { holder, ...dead }), ...(hold && { hold }) }
  })
}

/** How a lock is tried for. */
interface Attempts<Lock> {
  /** milliseconds between two attempts */
  readonly poll: number
  /** how often another run must be found before it counts */
  readonly looks: number
  /** @param waited longer than between two attempts */
  take(waited: boolean): Lock | Obstacle | Promise<Lock | Obstacle>
  /** @returns a text: while it stays the same, what the run waits for is printed once */
  nameOf(obstacle: Obstacle): string
}

/**
 * Tries for a lock until it is taken, and prints what it waits for.
 * @throws locked (7) if it is not free in time, with the signal's code if one came; what `take` throws
 */
export async function untilTaken<Lock extends object>(
  request: LockRequest,
  { clock, emit, signal }: LockWorld,
  { poll, looks, take, nameOf }: Attempts<Lock>,
): Promise<Lock> {
  const asked = clock.now()
  let found = { whose: '', since: asked, looks: 0 }
  let shown = ''
  for (;;) {
    const taken = await take(clock.now() - asked > poll)
    if (!('kind' in taken)) return taken
    const whose = nameOf(taken)
    if (whose !== found.whose) found = { whose, since: clock.now(), looks: 0 }
    found.looks++
    const isSure = found.looks >= looks || taken.kind === 'hold'
    const ends = Math.max(asked + request.wait, taken.kind === 'dead' ? found.since + DEAD_LIMIT : 0)
    const left = ends - clock.now()
    if (isSure && isOwnHook(taken)) throw heldByOwnHook(taken, request)
    if (isSure && left <= 0) throw refusal(taken, request, clock.now())
    if (isSure && whose !== shown) {
      const limit = ends === asked + request.wait ? request.wait : DEAD_LIMIT
      emit({ type: 'waiting', environment: request.environment, message: waitingText(taken, limit) })
      shown = whose
    }
    await clock.sleep(isSure ? Math.min(poll, left) : poll / 10)
    if (signal.aborted) throw waitEnded(taken, request, Number(signal.reason))
  }
}

/** A hook's own command would wait for the release that waits for the hook. */
function isOwnHook(obstacle: Obstacle): obstacle is Obstacle & { kind: 'run' } {
  const { STAGECRAFT_HOOK: hook, STAGECRAFT_RELEASE: release } = process.env
  return hook !== undefined && obstacle.kind === 'run' && obstacle.holder?.release === release
}

/**
 * A living run holds `alive`, which its children do not inherit. Its pid would mean nothing in another pid namespace or on another
 * machine. A run takes `alive` an instant after the lock.
 */
function hasDied({ run }: LockHolder, { alive }: ReturnType<typeof lockFiles>): boolean {
  return run !== undefined && run !== '' && !isLocked(alive)
}

/** Like hasDied, for a single answer: checks several times, since `alive` is taken after the lock. */
function hasSurelyDied(holder: LockHolder, files: ReturnType<typeof lockFiles>): boolean {
  for (let look = 0; look < LOOKS; look++) {
    if (!hasDied(holder, files) || !isLocked(files.lock)) return false
    Bun.sleepSync(2)
  }
  return true
}

/** @returns a text that identifies an obstacle, also when the run's description changes meanwhile */
function nameOf(obstacle: Obstacle): string {
  if (obstacle.kind === 'hold') return `hold ${obstacle.hold.user} ${obstacle.hold.since}`
  const { kind, holder } = obstacle
  return `${kind} ${holder?.pid} ${holder?.since}`
}

/** @returns the lock, or why it cannot be taken */
function take({ stateFile, environment }: LockRequest): FileLock | Obstacle {
  const files = lockFiles(stateFile, environment)
  const lock = tryLock(files.lock)
  if (!lock) {
    const holder = readHolder(files.holder)
    if (holder && hasDied(holder, files)) return { kind: 'dead', holder, lockFile: files.lock }
    return { kind: 'run', holder }
  }
  try {
    // Read while holding the lock: `lock hold` checks for a run after it has written the hold.
    const hold = readHold(files.hold)
    if (!hold) {
      protectFromGit(dirname(dirname(files.lock)))
      return lock
    }
    lock.release()
    return { kind: 'hold', hold }
  } catch (error) {
    lock.release()
    throw error
  }
}

/** @returns the description of this process */
export function describeSelf({ command }: LockRequest, { user, clock }: LockWorld): LockHolder {
  const since = new Date(clock.now()).toISOString()
  return { user, machine: hostname(), pid: process.pid, command, since, run: RUN }
}

const RUN = crypto.randomUUID()

function requireWhole(lock: FileLock, request: LockRequest): void {
  if (asState(request, () => lock.isWhole())) return
  throw new StagecraftError(
    'state',
    `Cannot continue with ${request.environment}: its lock ${lock.file} was removed or replaced`,
    {
      hint: 'Another run may be under way now, so nothing more was changed. See: stagecraft status',
    },
  )
}

/** Removes the description first, since later it may be the next run's. After a lost lock it may be already, so it stays. */
function letGo(lock: FileLock, holderFile: string, life: FileLock | undefined): void {
  try {
    if (lock.isWhole()) removeDescription(holderFile)
  } catch {
    // The next run replaces the description.
  } finally {
    life?.release() // after the description is gone: this is no death
    lock.release()
  }
}
