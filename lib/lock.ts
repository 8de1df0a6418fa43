import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { StagecraftError } from './errors.ts'
import type { Emit } from './events.ts'
import { type FileLock, isLocked, tryLock } from './flock.ts'
import type { Clock } from './gate.ts'
import { asState, lockFiles, readHold, readHolder, removeDescription, writeDescription } from './lock-files.ts'
import { type Obstacle, refusal, waitEnded, waitingText } from './lock-text.ts'
import { protectFromGit } from './state-file.ts'

/** What the run that holds an environment's lock says of itself. */
export interface Holder {
  readonly user: string
  readonly machine: string
  readonly pid: number
  /** `deploy`, `rollback`, `prune` … */
  readonly command: string
  readonly release?: string
  readonly version?: string
  /** ISO 8601 */
  readonly since: string
  /** random, of the process: two on one machine may have the same pid, in pid namespaces of their own */
  readonly run?: string
}

/** What somebody said who froze an environment. */
export interface Hold {
  readonly user: string
  readonly machine: string
  /** ISO 8601 */
  readonly since: string
  readonly message: string
}

export interface LockState {
  /** a run holds it now */
  readonly locked: boolean
  /** what it says of itself; for an instant that may be unknown */
  readonly holder?: Holder
  /** that run has died, and its last docker command has not ended */
  readonly holderDied?: true
  /** frozen by `lock hold` */
  readonly hold?: Hold
}

/** The lock of an environment, as the run has it that holds it. */
export interface Held {
  /**
   * to be given to the commands that change something: the lock is kept until they have ended too. Undefined on a host:
   * they end with the connection
   */
  readonly fd: number | undefined
  /** it was not to be had at once: what was read before may be yesterday's */
  readonly waited: boolean
  /** Says whose release it is, before its first phase is written. */
  nameRelease(release: { id: string; version: string }): void
  /** @throws state (9) if the lock was lost: nothing more may be changed then */
  check(): void
  /**
   * What was written to the state and beside it so far is where the next run will find it. Absent: each write is there once it
   * returns.
   * @throws state (9), unreachable (8)
   */
  persist?(): Promise<void>
}

export interface LockRequest {
  readonly stateFile: string
  readonly environment: string
  /** what for: a verb such as `deploy` */
  readonly command: string
  /** milliseconds; 0: refuse at once */
  readonly wait: number
  /** it is one of several hosts: that it cannot be reached any more may not be what the work ends with */
  readonly several?: boolean
}

/** The outside world, as a lock needs it. */
export interface LockWorld {
  readonly user: string
  readonly clock: Clock
  readonly emit: Emit
  /** ends the waiting: its reason is the number of a signal */
  readonly signal: AbortSignal
}

/** Milliseconds between two looks. */
const POLL = 200

/** Milliseconds that the last docker command of a run that died has to end: it is ended after 120 s (lib/docker.ts). */
const DEAD_LIMIT = 150_000

/** Between taking the lock and saying so passes an instant: a text is believed when it is found this often. */
const LOOKS = 3

/**
 * Does work on an environment that nobody else may change meanwhile.
 * @throws locked (7) when it is not to be had in time; the signal's code when one came while waiting; state (9) if the
 * lock cannot be made; what `work` throws
 */
export async function withLock<T>(
  request: LockRequest,
  world: LockWorld,
  work: (held: Held) => Promise<T>,
): Promise<T> {
  const asked = world.clock.now()
  const lock = await acquire(request, world)
  const waited = world.clock.now() - asked > POLL
  const { holder: file, alive } = lockFiles(request.stateFile, request.environment)
  let holder = describeSelf(request, world)
  const describe = () => asState(request, () => writeDescription(file, holder))
  let life: FileLock | undefined
  try {
    life = asState(request, () => tryLock(alive))
    if (!life) holder = { ...holder, run: '' } // whose lock was removed: nobody is told by it that we have died
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

/** @returns who holds the lock of an environment now. Reads, and never waits. @throws state (9) if it cannot be read */
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

async function acquire(request: LockRequest, { clock, emit, signal }: LockWorld): Promise<FileLock> {
  const asked = clock.now()
  let found = { whose: '', since: asked, looks: 0 }
  let told = ''
  for (;;) {
    const taken = asState(request, () => take(request))
    if ('fd' in taken) return taken
    const whose = nameOf(taken)
    if (whose !== found.whose) found = { whose, since: clock.now(), looks: 0 }
    found.looks++
    const believed = found.looks >= LOOKS || taken.kind === 'hold'
    const ends = Math.max(asked + request.wait, taken.kind === 'dead' ? found.since + DEAD_LIMIT : 0)
    const left = ends - clock.now()
    if (believed && left <= 0) throw refusal(taken, request, clock.now())
    if (believed && whose !== told) {
      const limit = ends === asked + request.wait ? request.wait : DEAD_LIMIT
      emit({ type: 'waiting', environment: request.environment, message: waitingText(taken, limit) })
      told = whose
    }
    await clock.sleep(believed ? Math.min(POLL, left) : POLL / 10)
    if (signal.aborted) throw waitEnded(taken, request, Number(signal.reason))
  }
}

/**
 * A run has a lock of its own as long as it lives, which none of its children has. Its pid says nothing in another pid
 * namespace or on another machine. Between taking one lock and the other passes an instant.
 */
function hasDied({ run }: Holder, { alive }: ReturnType<typeof lockFiles>): boolean {
  return run !== undefined && run !== '' && !isLocked(alive)
}

/** The same, for who looks once. */
function hasSurelyDied(holder: Holder, files: ReturnType<typeof lockFiles>): boolean {
  for (let look = 0; look < LOOKS; look++) {
    if (!hasDied(holder, files) || !isLocked(files.lock)) return false
    Bun.sleepSync(2)
  }
  return true
}

/** Tells one obstacle from the next. What a run says of its work may change meanwhile. */
function nameOf(obstacle: Obstacle): string {
  if (obstacle.kind === 'hold') return `hold ${obstacle.hold.user} ${obstacle.hold.since}`
  const { kind, holder } = obstacle
  return `${kind} ${holder?.pid} ${holder?.since}`
}

/** @returns the lock, or why it is not to be had */
function take({ stateFile, environment }: LockRequest): FileLock | Obstacle {
  const files = lockFiles(stateFile, environment)
  const lock = tryLock(files.lock)
  if (!lock) {
    const holder = readHolder(files.holder)
    if (holder && hasDied(holder, files)) return { kind: 'dead', holder, lockFile: files.lock }
    return { kind: 'run', holder }
  }
  try {
    // With the lock: `lock hold` looks for a run after it has written.
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

/** What this process says of itself. */
export function describeSelf({ command }: LockRequest, { user, clock }: LockWorld): Holder {
  const since = new Date(clock.now()).toISOString()
  return { user, machine: hostname(), pid: process.pid, command, since, run: RUN }
}

const RUN = crypto.randomUUID()

function requireWhole(lock: FileLock, request: LockRequest): void {
  if (asState(request, () => lock.isWhole())) return
  throw new StagecraftError(
    'state',
    `Cannot go on with ${request.environment}: its lock ${lock.file} was removed or replaced`,
    {
      hint: 'Another run may be at work there by now, so nothing more was changed. Look with "stagecraft status".',
    },
  )
}

/** The description goes first: what stands there later is the next one's. Of a lock that was lost it may be that now. */
function letGo(lock: FileLock, holderFile: string, life: FileLock | undefined): void {
  try {
    if (lock.isWhole()) removeDescription(holderFile)
  } catch {
    // It only describes, and the next run replaces it.
  } finally {
    life?.release() // nobody is described by now: it is not a death
    lock.release()
  }
}
