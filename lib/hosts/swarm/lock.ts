import { describeSelf, type EnvironmentLock, type LockWorld, untilTaken } from '../../lock/environment-lock.ts'
import { holderOf, holdOf, parseJson } from '../../lock/files.ts'
import type { LockHolder, LockRequest, LockState } from '../../lock/holder.ts'
import { type Obstacle, waitEnded, waitingText } from '../../lock/messages.ts'
import { holdLease, type Lease, type Pace } from './lease.ts'
import { type Listing, latest, type Numbered } from './place.ts'
import { advance, look, NONE, persist, refresh, type SwarmStore, tidy } from './store.ts'

/** How the lock of an environment in the Swarm is taken. */
interface Locking {
  readonly pace: Pace
  /** called if somebody else has written since the state was read */
  onChange(): void
}

/** Like `withLock` (lib/lock/environment-lock.ts). The lock lasts as long as it is renewed. */
export async function withSwarmLock<T>(
  store: SwarmStore,
  request: LockRequest,
  world: LockWorld,
  work: (held: EnvironmentLock) => Promise<T>,
  { pace, onChange }: Locking,
): Promise<T> {
  const asked = world.clock.now()
  const token = crypto.randomUUID()
  const take = taker(store, request, world, token, pace)
  const poll = pace.look
  const nameOf = (obstacle: Obstacle) => waitingText(obstacle, request.wait)
  const { lease, holder } = await untilTaken<Taken>(request, world, { poll, looks: 1, nameOf, take })
  let own = holder
  try {
    // Somebody has written since the state was read.
    if ((latest(store.listing, 'state')?.value ?? '') !== store.head.write) {
      onChange()
      await refresh(store)
    }
    const keep = async () => {
      await lease.sure()
      await persist(store)
    }
    const result = await work({
      fd: undefined,
      waited: world.clock.now() - asked > 2 * poll,
      nameRelease({ id, version }) {
        own = { ...own, release: id, version }
        lease.describe(leaseText(token, own))
      },
      check: lease.check,
      sure: lease.sure,
      persist: keep,
    }).catch(async (error: unknown) => {
      await keep().catch(() => {}) // the work's error is reported
      throw error
    })
    await keep()
    return result
  } finally {
    await leave(store, lease)
  }
}

/** What fails here is done by the next run. */
async function leave(store: SwarmStore, lease: Lease): Promise<void> {
  const listing = await look(store).catch(() => undefined)
  const isNewest = listing !== undefined && latest(listing, 'state')?.number === store.number
  if (isNewest) await tidy(store, listing).catch(() => {})
  await lease.release().catch(() => {})
}

interface Taken {
  readonly lease: Lease
  readonly holder: LockHolder
}

/**
 * @returns a function that takes the lock, or says why it cannot. A run that renews its lock is alive: the first such renewal is
 * waited for. One that does not is dead: after `pace.steal` its lock is taken.
 */
function taker(store: SwarmStore, request: LockRequest, world: LockWorld, token: string, pace: Pace) {
  const seen = { value: '', number: 0, unchanged: 0, at: 0, isAlive: false }
  /** No clocks are compared, and a gap between two looks counts as one look. */
  const watch = ({ number, value }: Numbered) => {
    const now = performance.now()
    const isSame = seen.number === number && seen.value === value
    seen.unchanged = isSame ? seen.unchanged + Math.min(now - seen.at, 2 * pace.look) : 0
    if (!isSame && seen.number !== 0) seen.isAlive = true
    Object.assign(seen, { number, value, at: now })
  }
  const claim = async (from: number): Promise<Taken | undefined> => {
    const holder = describeSelf(request, world)
    const value = leaseText(token, holder)
    const isOurs = (one: string) => tokenOf(one) === token
    if (!(await advance(store, 'lock', from, value, isOurs))) return undefined
    return { holder, lease: holdLease(store, { number: from + 1, value, isOurs }, pace) }
  }
  let isSaid = false
  return async (): Promise<Taken | Obstacle> => {
    for (;;) {
      const listing = await look(store)
      const hold = holdIn(listing)
      if (hold) return { kind: 'hold', hold }
      const lock = latest(listing, 'lock')
      const isFree = lock === undefined || lock.value === NONE
      if (!isFree) watch(lock)
      if (isFree || seen.unchanged >= pace.steal) {
        const taken = await claim(lock?.number ?? 0)
        if (taken === undefined) continue
        // `lock hold` looks for a run after it has written the hold.
        const late = holdIn(store.listing)
        if (late === undefined) return taken
        await taken.lease.release()
        return { kind: 'hold', hold: late }
      }
      const obstacle: Obstacle = { kind: 'run', holder: holderIn(lock) }
      if (seen.isAlive) return obstacle
      if (world.signal.aborted) throw waitEnded(obstacle, request, Number(world.signal.reason))
      if (!isSaid && seen.unchanged > 1.5 * pace.renew) {
        const message = `${waitingText(obstacle, pace.steal)}: it does not renew its lock`
        world.emit({ type: 'waiting', environment: request.environment, message })
        isSaid = true
      }
      await world.clock.sleep(pace.look)
    }
  }
}

/** @returns the state of the lock when the Swarm was last looked at */
export function lockIn(listing: Listing): LockState {
  const lock = latest(listing, 'lock')
  const locked = lock !== undefined && lock.value !== NONE
  const holder = locked ? holderIn(lock) : undefined
  const hold = holdIn(listing)
  return { locked, ...(holder && { holder }), ...(hold && { hold }) }
}

function holdIn(listing: Listing): LockState['hold'] {
  const hold = latest(listing, 'hold')
  return hold === undefined || hold.value === NONE ? undefined : holdOf(parseJson(hold.value), `config ${hold.name}`)
}

function holderIn({ value }: Numbered): LockHolder | undefined {
  return holderOf(Object(parseJson(value)).holder)
}

function leaseText(token: string, holder: LockHolder): string {
  return JSON.stringify({ token, holder })
}

function tokenOf(value: string): unknown {
  return Object(parseJson(value)).token
}
