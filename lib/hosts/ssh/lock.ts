import type { HostAddress } from '../../config/host-address.ts'
import { describeSelf, type EnvironmentLock, type LockWorld, untilTaken } from '../../lock/environment-lock.ts'
import { holderOf, holdOf, lockFiles, parseJson, readHold, readHolder, writeDescription } from '../../lock/files.ts'
import type { LockHolder, LockRequest, LockState } from '../../lock/holder.ts'
import { type Obstacle, stoppedWaiting, waitingText } from '../../lock/messages.ts'
import type { Result } from '../../system/exec.ts'
import { errorText, StagecraftError } from '../../util/errors.ts'
import { plainLine } from '../../util/format.ts'
import { BUSY, FROZEN, LOCK, OVER, WHO } from '../scripts/lock.ts'
import { SHORT_LIMIT, STUCK } from '../scripts/short-lock.ts'
import { answersOf } from '../scripts/state.ts'
import { lockTaken, stuckWriter, takenOver } from '../state/errors.ts'
import { fetch, persist, type StateExchange, statePlaceOf } from '../state/exchange.ts'
import { lostConnection } from './errors.ts'

/** Milliseconds between two attempts, each of them a command on the host. */
const POLL = 1_000

/** Milliseconds between two heartbeats; after 15 s without one the host releases the lock. */
const HEARTBEAT = 3_000

/** Milliseconds that a host may take to report who has the lock. */
const PATIENCE = 60_000

/** Milliseconds that a host still has to answer after a signal. */
const LAST_CHANCE = 500

/** Like `withLock` (lib/lock/environment-lock.ts), for an environment on a host. The lock lasts as long as the connection. */
export async function withRemoteLock<T>(
  remote: StateExchange,
  request: LockRequest,
  world: LockWorld,
  work: (held: EnvironmentLock) => Promise<T>,
): Promise<T> {
  const taken = await untilTaken<Taken>(request, world, {
    poll: POLL,
    looks: 1,
    nameOf: (obstacle) => waitingText(obstacle, request.wait),
    take: (waited) => take(remote, request, world, waited),
  })
  return whileHeld(remote, taken, work, request.several)
}

interface Taken {
  readonly held: EnvironmentLock
  /** releases the lock, and waits until the host has done so */
  release(): Promise<void>
}

/** @returns the lock, or why it cannot be taken */
async function take(
  remote: StateExchange,
  request: LockRequest,
  world: LockWorld,
  waited: boolean,
): Promise<Taken | Obstacle> {
  const { connection } = remote
  const { environment, stateFile } = request
  const files = lockFiles(stateFile, environment)
  let holder = describeSelf(request, world)
  const { ended, first, token, over } = await ask(remote, holder, { request, world })
  if (typeof first !== 'string') {
    if (first.code === STUCK) throw stuckWriter(statePlaceOf(remote), answersOf(first.stdout)('stuck')[0])
    if (first.code !== BUSY && first.code !== FROZEN) throw cannotLock(remote, first.stderr)
    await fetch(remote)
    const hold = readHold(files.hold)
    const found = readHolder(files.holder)
    if (found?.run === holder.run) throw sameHost(remote)
    return first.code === FROZEN && hold ? { kind: 'hold', hold } : { kind: 'run', holder: found }
  }
  let lost = false
  void ended
    .catch(() => {})
    .then(() => {
      lost = true
    })
  remote.token = token
  remote.onTakenOver = () => world.emit(takenOver(statePlaceOf(remote)))
  // Somebody has written since the state was read.
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
        if (lost) throw lockTaken(statePlaceOf(remote))
      },
      persist: () => persist(remote),
    },
    async release() {
      over() // sends OVER: the connection stays open
      await ended.catch(() => {})
    },
  }
}

/** @returns the state of the lock on the host now. @throws unreachable (8), state (9) */
export async function lookAtLock({ connection, looked, environment }: StateExchange): Promise<LockState> {
  const { code, stdout, stderr } = await connection.run(WHO, [looked.folder, environment], { timeout: PATIENCE })
  const [holders, holds] = ['holder', 'hold'].map(answersOf(stdout)).map((lines) => lines.map(parseJson))
  if (code !== 0) throw cannotLook(connection.host.written, looked.folder, stderr)
  const locked = answersOf(stdout)('locked').length > 0
  const holder = locked ? holderOf(holders?.[0]) : undefined
  const hold = holdOf(holds?.[0], `${looked.folder}/locks/${environment}.hold.json`)
  return { locked, ...(holder && { holder }), ...(hold && { hold }) }
}

function cannotLook(host: string, folder: string, said: string): StagecraftError {
  return new StagecraftError('state', `Cannot read the lock in ${folder} on ${host}`, { detail: said.trim() })
}

interface Asked {
  readonly ended: Promise<Result>
  /** the host's `head`, once we have the lock; otherwise how LOCK ended */
  readonly first: string | Result
  readonly token: string
  /** releases the lock */
  over(): void
}

/** Asks the host for the lock. @throws locked (7), with the signal's code, if one came while waiting for another writer */
async function ask(
  { connection, looked, environment }: StateExchange,
  holder: LockHolder,
  { request, world }: { readonly request: LockRequest; readonly world: LockWorld },
): Promise<Asked> {
  const [over, gone, here] = [new AbortController(), new AbortController(), Promise.withResolvers<string>()]
  const token = crypto.randomUUID()
  let message = `for ${connection.host.written} to answer`
  const onLine = (line: string) => {
    if (line.startsWith('locked')) return here.resolve(line.slice('locked '.length))
    const by = /^waits ?(.*)/.exec(line)?.[1]
    const text =
      by === undefined ? message : `for ${writerOf(by)} on ${connection.host.written} to finish writing to its state`
    if (text !== message) world.emit({ type: 'waiting', environment, message: `${text}, for at most ${SHORT_LIMIT}s` })
    message = text
  }
  const args = [looked.folder, environment, token, JSON.stringify(holder), looked.socket ?? '', connection.id]
  const ended = connection.run(LOCK, args, {
    heartbeat: { text: '.', every: HEARTBEAT, until: over.signal, last: OVER },
    onLine,
    outlive: 0,
    signal: gone.signal, // a signal ends the work first
  })
  const answer = Promise.race([here.promise, ended])
  answer.catch(() => {})
  const first = await Promise.race([answer, askedToStop(world.signal).then(() => undefined)])
  if (first !== undefined) return { ended, first, token, over: () => over.abort() }
  gone.abort()
  throw stoppedWaiting(request, message, Number(world.signal.reason))
}

/** Resolves a moment after the signal, so that an answer on its way still arrives; never without a signal. */
function askedToStop(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const later = () => setTimeout(resolve, LAST_CHANCE).unref()
    if (signal.aborted) later()
    else signal.addEventListener('abort', later, { once: true })
  })
}

/** Runs the work, and saves what it wrote last on the host before the lock is released. */
async function whileHeld<T>(
  remote: StateExchange,
  { held, release }: Taken,
  work: (held: EnvironmentLock) => Promise<T>,
  several = false,
): Promise<T> {
  const { lost, host } = remote.connection
  try {
    const result = await work(held)
    await persist(remote)
    return result
  } catch (error) {
    if (lost.aborted && !(several && isJudged(error))) throw lostBy(error, host)
    await persist(remote).catch(() => {}) // the work's error is reported
    throw error
  } finally {
    await release()
    remote.token = ''
  }
}

/** With several hosts, these errors already say what happened on each. */
function isJudged(error: unknown): boolean {
  return error instanceof StagecraftError && ['not-restored', 'after-commit', 'unreachable'].includes(error.kind)
}

/** @param error of the work, which may only say the same */
function lostBy(error: unknown, host: HostAddress): StagecraftError {
  const lost = lostConnection(host)
  const detail = errorText(error)
  return detail === lost.message ? lost : lost.with({ detail })
}

function sameHost({ connection }: StateExchange): StagecraftError {
  return new StagecraftError(
    'config',
    `Cannot use ${connection.host.written}: it is the same host as another one of the environment`,
    {
      hint: 'Remove one of them from `hosts` in stagecraft.yml.',
    },
  )
}

function cannotLock({ connection, looked }: StateExchange, said: string): StagecraftError {
  return new StagecraftError('state', `Cannot lock ${looked.folder} on ${connection.host.written}`, {
    detail: said.trim(),
    hint: `Let ${looked.user} write it there: as root, make ${looked.folder} with the group of the Docker socket and mode 2770.`,
  })
}

/** @param by the processes that a host named, or empty */
function writerOf(by: string): string {
  return by === '' ? 'a process' : plainLine(by)
}
