import { StagecraftError, withHint } from './errors.ts'
import type { Host } from './host.ts'
import type { Held } from './lock.ts'
import type { Settings } from './project.ts'
import { recover } from './recovery.ts'
import type { Locked, World } from './world.ts'

/** Whoever changes an environment says what with, and how long it would wait for its turn (milliseconds). */
export interface Turn {
  readonly command: string
  readonly wait: number
}

/**
 * Does work that changes an environment: alone, and after what a run that died left there has been mended.
 * @throws locked (7) where another run is at it, or somebody holds it
 */
export async function exclusively<T>(
  settings: Settings,
  { command, wait }: Turn,
  world: World,
  work: (world: Locked) => Promise<T>,
): Promise<T> {
  const { host, hosts, environment } = settings
  let begun = false
  const request = { environment: environment.name, command, wait, several: hosts.length > 1 }
  const done = lockAll(host, hosts.toSorted(byKey), request, world, async (all) => {
    begun = true
    const locked = { ...world, ...ownFirst(host, all) }
    const left = await recover(settings, locked)
    if (left.length > 0 && !REPAIRS.includes(command)) throw notUndone(command, left)
    if (world.signal.aborted) throw endedAfterRecovery(Number(world.signal.reason))
    return work(locked)
  })
  return done.catch((error: unknown) => {
    if (begun || !(error instanceof StagecraftError) || error.kind !== 'state') throw error
    throw withHint(error, 'Nothing has been changed.')
  })
}

/** They repair what was left, or what kept it from being undone. */
const REPAIRS = ['deploy', 'rollback', 'proxy restart']

/** A script must not believe that all is well. */
function notUndone(command: string, left: readonly string[]): StagecraftError {
  return new StagecraftError(
    'not-restored',
    `Cannot ${command}: what ${left.join(', ')} left could not be undone whole`,
    {
      hint: 'Deploy, or roll back: that repairs it. Nothing else has been changed.',
    },
  )
}

/** All of them or none: whoever takes several takes them in the same order. */
async function lockAll<T>(
  first: Host,
  hosts: readonly Host[],
  request: Parameters<Host['withLock']>[0],
  world: World,
  work: (all: ReadonlyMap<Host, Held>) => Promise<T>,
  taken: ReadonlyMap<Host, Held> = new Map(),
): Promise<T> {
  const [next, ...rest] = hosts
  if (next === undefined) return work(taken)
  let done: { readonly value: T } | undefined
  const inner = async (held: Held) => {
    const value = await lockAll(first, rest, request, world, work, new Map([...taken, [next, held]]))
    done = { value }
    return value
  }
  return next.withLock(request, world, inner).catch((error: unknown) => {
    // What it has not kept then is content that could be tidied away; the state is on the first.
    if (done === undefined || next === first || !(error instanceof StagecraftError)) throw error
    world.emit({ type: 'warning', message: error.message, ...(next.name ? { host: next.name } : {}) })
    return done.value
  })
}

function byKey(a: Host, b: Host): number {
  return a.key < b.key ? -1 : 1
}

function ownFirst(host: Host, all: ReadonlyMap<Host, Held>): Pick<Locked, 'held' | 'locks'> {
  const held = all.get(host)
  if (held === undefined) throw new StagecraftError('bug', 'Cannot go on: the lock of the first host is missing')
  if (all.size === 1) return { held }
  const waited = [...all.values()].some((each) => each.waited)
  return { held: { ...held, waited }, locks: new Map([...all].filter(([each]) => each !== host)) }
}

function endedAfterRecovery(signal: number): StagecraftError {
  return new StagecraftError('failed', `Cannot go on: ended by signal ${signal}`, {
    signal,
    hint: 'No release was made.',
  })
}
