import type { LockState } from './lock.ts'
import { PHASES, type PhaseName, type Release } from './state-format.ts'

/** What became of a release, in one word, and the phase that it is about. `interrupted`: its run died. */
export interface ReleaseStatus {
  readonly status: 'completed' | 'failed' | 'running' | 'pending' | 'incomplete' | 'interrupted'
  readonly phase?: PhaseName
}

const COMPLETED: ReleaseStatus = { status: 'completed' }

/** @returns what the six phases of a release come to. `incomplete`: statuses that no run of Stagecraft leaves. */
export function statusOf({ phases }: Pick<Release, 'phases'>): ReleaseStatus {
  // Nearly all are, and names written out are found ten times as fast as names in a variable.
  const { build, push, migrate_pre, rollout, migrate_post, finalize } = phases
  const same = build === push && push === migrate_pre && migrate_pre === rollout && rollout === migrate_post
  if (same && migrate_post === finalize && finalize === 'completed') return COMPLETED
  let completed = 0
  let pending = 0
  let running: PhaseName | undefined
  for (const phase of PHASES) {
    const status = phases[phase]
    if (status === 'failed') return { status, phase }
    if (status === 'running') running ??= phase
    else if (status === 'completed') completed++
    else if (status === 'pending') pending++
  }
  if (running !== undefined) return { status: 'running', phase: running }
  if (pending === PHASES.length) return { status: 'pending' }
  // Between two phases.
  return { status: completed + pending === PHASES.length ? 'running' : 'incomplete' }
}

/**
 * @returns the status, where it is known which of the unfinished releases no run is at work on: those are interrupted in
 * the phase that ran, or was about to.
 */
export function statusAmong(release: Release, interrupted: ReadonlySet<string>): ReleaseStatus {
  const { status, phase } = statusOf(release)
  if (!interrupted.has(release.id) || !isUnfinished({ status })) return phase ? { status, phase } : { status }
  const next = phase ?? PHASES.find((name) => release.phases[name] === 'pending')
  return next === undefined ? { status: 'interrupted' } : { status: 'interrupted', phase: next }
}

/** @returns the status as text: `failed in rollout`, `running rollout`, `completed`. */
export function statusText({ status, phase }: ReleaseStatus): string {
  if (phase === undefined) return status
  return status === 'running' ? `${status} ${phase}` : `${status} in ${phase}`
}

/** Where releases and locks are looked up. */
export interface Lookup {
  /** all releases as they are now, newest first */
  readonly releases: () => readonly Release[]
  readonly lock: (environment: string) => LockState
}

/**
 * Finds the releases that no run is at work on, although they are not finished. The lock is looked at between two readings
 * of the state: what is unfinished in both was so at that moment, whatever began or ended meanwhile.
 * @param shown a first reading, of which those are asked for
 */
export function findInterrupted(shown: readonly Release[], { releases, lock }: Lookup): ReadonlySet<string> {
  const open = shown.filter((release) => isUnfinished(statusOf(release)))
  if (open.length === 0) return new Set()
  const locks = new Map(open.map(({ environment }) => [environment, lock(environment)]))
  const still = releases().filter((release) => isUnfinished(statusOf(release)))
  const dead = [...locks].flatMap(([environment, state]) => {
    const own = still.filter((release) => release.environment === environment)
    const alive = workedOn(own, state)
    return own.flatMap(({ id }) => (id === alive ? [] : [id]))
  })
  const asked = new Set(open.map(({ id }) => id))
  return new Set(dead.filter((id) => asked.has(id)))
}

/** @param unfinished releases of one environment, newest first. @returns the id of the one that the lock's holder makes. */
function workedOn(unfinished: readonly Release[], { locked, holder, holderDied }: LockState): string | undefined {
  if (!locked || holderDied) return undefined
  if (holder?.release !== undefined) return holder.release
  // Whoever has the lock has not said yet whose release it is: only one that is younger than the lock can be its own.
  const [newest] = unfinished
  if (newest === undefined || (holder && Date.parse(newest.timestamp) < Date.parse(holder.since))) return undefined
  return newest.id
}

/** @returns whether there are phases still to come: a run is at work on it, or has died. */
export function isUnfinished({ status }: ReleaseStatus): boolean {
  return status === 'running' || status === 'pending'
}

/** @param releases newest first. @returns the id of each environment's newest release that is completed. */
export function currentIds(releases: readonly Release[]): ReadonlySet<string> {
  const found = new Map<string, string>()
  for (const release of releases) {
    if (!found.has(release.environment) && statusOf(release).status === 'completed') {
      found.set(release.environment, release.id)
    }
  }
  return new Set(found.values())
}
