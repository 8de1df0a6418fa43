import { hostname } from 'node:os'
import { errorText, StagecraftError } from './errors.ts'
import type { Held, Holder, LockRequest, LockWorld } from './lock.ts'
import { lockFiles, readHold, readHolder, writeDescription } from './lock-files.ts'
import { type Obstacle, refusal, waitEnded, waitingText } from './lock-text.ts'
import { fetch, persist, placeOf, type Remote } from './remote.ts'
import { lockTaken, takenOver } from './remote-errors.ts'
import { lostConnection } from './ssh-errors.ts'
import { LOCK } from './state-scripts.ts'

/** Milliseconds between two tries, each of them a command on the host. */
const POLL = 1_000

/** Milliseconds between two signs of life; without one for 15 s the host lets go of the lock. */
const HEARTBEAT = 3_000

/** Exit codes of LOCK. */
const [BUSY, FROZEN] = [75, 76]

/** As `withLock` (lib/lock.ts), for an environment whose folder is on a host: there, and for as long as we are connected. */
export async function withRemoteLock<T>(
  remote: Remote,
  request: LockRequest,
  world: LockWorld,
  work: (held: Held) => Promise<T>,
): Promise<T> {
  const asked = world.clock.now()
  let told = ''
  for (;;) {
    const taken = await take(remote, request, world, world.clock.now() - asked > POLL)
    if ('held' in taken) return whileHeld(remote, taken, work, request.several)
    const left = asked + request.wait - world.clock.now()
    if (left <= 0) throw refusal(taken, request, world.clock.now())
    const text = waitingText(taken, request.wait)
    if (text !== told) world.emit({ type: 'waiting', environment: request.environment, message: text })
    told = text
    await world.clock.sleep(Math.min(POLL, left))
    if (world.signal.aborted) throw waitEnded(taken, request, Number(world.signal.reason))
  }
}

interface Taken {
  readonly held: Held
  /** lets go, once the host has */
  release(): Promise<void>
}

/** @returns the lock, or why it is not to be had */
async function take(
  remote: Remote,
  request: LockRequest,
  world: LockWorld,
  waited: boolean,
): Promise<Taken | Obstacle> {
  const { connection, looked } = remote
  const { environment, stateFile } = request
  const files = lockFiles(stateFile, environment)
  const [over, here] = [new AbortController(), Promise.withResolvers<string>()]
  const token = crypto.randomUUID()
  let holder: Holder = {
    user: world.user,
    machine: hostname(),
    pid: process.pid,
    command: request.command,
    since: new Date(world.clock.now()).toISOString(),
  }
  const args = [looked.folder, environment, token, JSON.stringify(holder), looked.socket ?? '']
  const ended = connection.run(LOCK, args, {
    feed: { text: '.', every: HEARTBEAT, until: over.signal },
    onLine: (line) => line.startsWith('locked') && here.resolve(line.slice('locked '.length)),
    outlive: 0,
    signal: undefined, // a signal ends the work first
  })
  const first = await Promise.race([here.promise, ended])
  if (typeof first !== 'string') {
    if (first.code !== BUSY && first.code !== FROZEN) throw cannotLock(remote, first.stderr)
    await fetch(remote)
    const hold = readHold(files.hold)
    const found = readHolder(files.holder)
    if (found?.pid === holder.pid && found.machine === holder.machine) throw sameHost(remote)
    return hold ? { kind: 'hold', hold } : { kind: 'run', holder: found }
  }
  let lost = false
  void ended
    .catch(() => {})
    .then(() => {
      lost = true
    })
  remote.token = token
  // Somebody has written since we looked.
  remote.onTakenOver = () => world.emit(takenOver(placeOf(remote)))
  if (first !== remote.head || remote.legacy) {
    remote.onChange()
    await fetch(remote)
  }
  return {
    held: {
      fd: undefined,
      waited,
      nameRelease({ id, version }) {
        holder = { ...holder, release: id, version }
        writeDescription(files.holder, holder)
      },
      check() {
        if (connection.lost.aborted) throw lostConnection(connection.host)
        if (lost) throw lockTaken(placeOf(remote))
      },
      persist: () => persist(remote),
    },
    async release() {
      over.abort()
      await ended.catch(() => {})
    },
  }
}

/** Whatever the work wrote last is taken to the host before the lock is let go. */
async function whileHeld<T>(
  remote: Remote,
  { held, release }: Taken,
  work: (held: Held) => Promise<T>,
  several = false,
): Promise<T> {
  const { lost, host } = remote.connection
  try {
    const result = await work(held)
    await persist(remote)
    return result
  } catch (error) {
    if (lost.aborted && !(several && isJudged(error))) throw withDetail(lostConnection(host), errorText(error))
    await persist(remote).catch(() => {}) // that it failed is what counts
    throw error
  } finally {
    await release()
    remote.token = ''
  }
}

/** Of several hosts it has been said what became of each. */
function isJudged(error: unknown): boolean {
  return error instanceof StagecraftError && ['not-restored', 'after-commit', 'unreachable'].includes(error.kind)
}

function withDetail({ kind, message, hint }: StagecraftError, detail: string): StagecraftError {
  return new StagecraftError(kind, message, { hint, detail: detail === message ? undefined : detail })
}

function sameHost({ connection }: Remote): StagecraftError {
  return new StagecraftError(
    'config',
    `Cannot use ${connection.host.written}: it is the same host as another of the environment`,
    {
      hint: 'Take one of them out of `hosts` in stagecraft.yml.',
    },
  )
}

function cannotLock({ connection, looked }: Remote, said: string): StagecraftError {
  return new StagecraftError('state', `Cannot lock ${looked.folder} on ${connection.host.written}`, {
    detail: said.trim(),
    hint: `Let ${looked.user} write it there: as root, make ${looked.folder} with the group of the Docker socket and mode 2770.`,
  })
}
