import type { Host } from '../hosts/host.ts'
import type { EnvironmentLock } from '../lock/environment-lock.ts'
import type { LockedSession, Session } from '../project/session.ts'
import type { Settings } from '../project/settings.ts'
import { StagecraftError, withHint } from '../util/errors.ts'
import { compare } from '../util/format.ts'
import { refuseOtherEngine } from './engine/swarm.ts'
import { recover } from './recovery.ts'

/** The command that wants to change an environment, and how long it waits for the lock (milliseconds). */
interface Turn {
  readonly command: string
  readonly wait: number
}

/**
 * Does work that changes an environment, under its lock, after recovering what an interrupted run left there.
 * @throws locked (7) if another run or a person holds the environment; not-restored (6) if the recovery failed
 */
export async function withEnvironmentLocked<T>(
  settings: Settings,
  { command, wait }: Turn,
  session: Session,
  work: (session: LockedSession) => Promise<T>,
): Promise<T> {
  const { host, hosts, environment } = settings
  let begun = false
  const request = { environment: environment.name, command, wait, several: hosts.length > 1 }
  const done = lockAll(host, hosts.toSorted(byKey), request, session, async (all) => {
    begun = true
    refuseOtherEngine(settings)
    const locked = { ...session, ...ownFirst(host, all) }
    const left = await recover(settings, locked)
    if (left.length > 0 && !REPAIRS.includes(command)) throw notUndone(command, left)
    if (session.signal.aborted) throw endedAfterRecovery(Number(session.signal.reason))
    return work(locked)
  })
  return done.catch((error: unknown) => {
    if (begun || !(error instanceof StagecraftError) || error.kind !== 'state') throw error
    throw withHint(error, 'Nothing has been changed.')
  })
}

/** Commands that repair what was left, or what kept it from being undone. */
const REPAIRS = ['deploy', 'rollback', 'proxy restart']

/** Other commands fail, so that a script does not believe that all is well. */
function notUndone(command: string, left: readonly string[]): StagecraftError {
  return new StagecraftError('not-restored', `Cannot ${command}: ${left.join(', ')} could not be undone completely`, {
    hint: 'Deploy or roll back to repair it. Nothing else has been changed.',
  })
}

/** Takes the locks of all hosts or of none, always in the same order, so that two runs never wait for each other. */
async function lockAll<T>(
  first: Host,
  hosts: readonly Host[],
  request: Parameters<Host['withLock']>[0],
  session: Session,
  work: (all: ReadonlyMap<Host, EnvironmentLock>) => Promise<T>,
  taken: ReadonlyMap<Host, EnvironmentLock> = new Map(),
): Promise<T> {
  const [next, ...rest] = hosts
  if (next === undefined) return work(taken)
  let done: { readonly value: T } | undefined
  const inner = async (held: EnvironmentLock) => {
    const value = await lockAll(first, rest, request, session, work, new Map([...taken, [next, held]]))
    done = { value }
    return value
  }
  return next.withLock(request, session, inner).catch((error: unknown) => {
    // The state is on the first host: on this one only content was not tidied away.
    if (done === undefined || next === first || !(error instanceof StagecraftError)) throw error
    session.emit({ type: 'warning', message: error.message, ...(next.name ? { host: next.name } : {}) })
    return done.value
  })
}

function byKey(a: Host, b: Host): number {
  return compare(a.key, b.key)
}

function ownFirst(host: Host, all: ReadonlyMap<Host, EnvironmentLock>): Pick<LockedSession, 'held' | 'locks'> {
  const held = all.get(host)
  if (held === undefined) throw new StagecraftError('bug', 'Cannot continue: the lock of the first host is missing')
  if (all.size === 1) return { held }
  const waited = [...all.values()].some((each) => each.waited)
  return { held: { ...held, waited }, locks: new Map([...all].filter(([each]) => each !== host)) }
}

function endedAfterRecovery(signal: number): StagecraftError {
  return new StagecraftError('failed', `Cannot continue: ended by signal ${signal}`, {
    signal,
    hint: 'No release was made.',
  })
}
