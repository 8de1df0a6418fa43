import { errorText, StagecraftError } from './errors.ts'
import type { Result } from './exec.ts'
import { plainLine } from './format.ts'
import { describeSelf, type Held, type Holder, type LockRequest, type LockState, type LockWorld } from './lock.ts'
import { holderOf, holdOf, lockFiles, parseJson, readHold, readHolder, writeDescription } from './lock-files.ts'
import { BUSY, FROZEN, LOCK, OVER, WHO } from './lock-scripts.ts'
import { type Obstacle, refusal, stoppedWaiting, waitEnded, waitingText } from './lock-text.ts'
import { fetch, persist, type Remote, statePlaceOf } from './remote.ts'
import { lockTaken, stuckWriter, takenOver } from './remote-errors.ts'
import { SHORT_LIMIT, STUCK } from './short-lock.ts'
import { lostConnection } from './ssh-errors.ts'
import { answersOf } from './state-scripts.ts'

/** Milliseconds between two tries, each of them a command on the host. */
const POLL = 1_000

/** Milliseconds between two signs of life; without one for 15 s the host lets go of the lock. */
const HEARTBEAT = 3_000

/** Milliseconds that a host may take to say who has the lock. */
const PATIENCE = 60_000

/** Milliseconds that a host has to answer when a signal asks to stop: whatever it waits for, we do not. */
const LAST_CHANCE = 500

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
  // Somebody has written since we looked.
  remote.onTakenOver = () => world.emit(takenOver(statePlaceOf(remote)))
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
      over() // with a word: the connection stays
      await ended.catch(() => {})
    },
  }
}

/** @returns who is at work there now, and who holds it; asks the host. @throws unreachable (8), state (9) */
export async function lookAtLock({ connection, looked, environment }: Remote): Promise<LockState> {
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
  /** what the state is called there now, once we have the lock; otherwise how LOCK ended */
  readonly first: string | Result
  readonly token: string
  /** lets go */
  over(): void
}

/** Asks the host for the lock. @throws locked (7), with the signal that came while another one's writing was waited for */
async function ask(
  { connection, looked, environment }: Remote,
  holder: Holder,
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
    feed: { text: '.', every: HEARTBEAT, until: over.signal, last: OVER },
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

/** @returns some time after the signal: what is about to be answered is. Never where none comes */
function askedToStop(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const later = () => setTimeout(resolve, LAST_CHANCE).unref()
    if (signal.aborted) later()
    else signal.addEventListener('abort', later, { once: true })
  })
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

/** @param by what a host says of the processes */
function writerOf(by: string): string {
  return by === '' ? 'a process' : plainLine(by)
}
