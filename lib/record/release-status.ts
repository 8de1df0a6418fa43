import type { LockState } from '../lock/holder.ts'
import type * as contract from '../output/contract/release.ts'
import { PHASES, type PhaseName } from '../plan/six-phases.ts'
import type { Of } from '../util/schema.ts'
import type { Release } from './releases-file/format.ts'

/** The status of a release, and the phase concerned. `interrupted`: its run died. */
export type ReleaseStatus = Of<typeof contract.releaseStatus>

const COMPLETED: ReleaseStatus = { status: 'completed' }

/** @returns the status that follows from the six phases. `incomplete`: no run of Stagecraft leaves them so. */
export function statusOf({ phases }: Pick<Release, 'phases'>): ReleaseStatus {
  // Nearly all releases are completed, and properties named in the code are read ten times as fast.
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
  // `running` between two phases
  return { status: completed + pending === PHASES.length ? 'running' : 'incomplete' }
}

/**
 * @param interrupted ids of the releases whose run died
 * @returns the status; an interrupted release was in the phase that ran, or was about to
 */
export function statusAmong(release: Release, interrupted: ReadonlySet<string>): ReleaseStatus {
  const { status, phase } = statusOf(release)
  if (!interrupted.has(release.id) || !isUnfinished({ status })) return phase ? { status, phase } : { status }
  const next = phase ?? PHASES.find((name) => release.phases[name] === 'pending')
  return next === undefined ? { status: 'interrupted' } : { status: 'interrupted', phase: next }
}

/** @returns the status as text: `failed in rollout`, `running rollout`, `completed` */
export function statusText({ status, phase }: ReleaseStatus): string {
  if (phase === undefined) return status
  return status === 'running' ? `${status} ${phase}` : `${status} in ${phase}`
}

/** Where releases and locks are looked up. */
interface Lookup {
  /** all releases as they are now, newest first */
  readonly releases: () => readonly Release[]
  readonly lock: (environment: string) => LockState
}

/**
 * Finds the unfinished releases whose run has died. The locks are read between two readings of the state: a release that is
 * unfinished in both was so when its lock was read.
 * @param shown a first reading of the releases in question @returns their ids
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

/** @param unfinished releases of one environment, newest first @returns the id of the one that the lock's holder makes */
function workedOn(unfinished: readonly Release[], { locked, holder, holderDied }: LockState): string | undefined {
  if (!locked || holderDied) return undefined
  if (holder?.release !== undefined) return holder.release
  // The holder has not named its release yet: only a release that is younger than the lock can be its own.
  const [newest] = unfinished
  if (newest === undefined || (holder && Date.parse(newest.timestamp) < Date.parse(holder.since))) return undefined
  return newest.id
}

/** @returns whether it has phases still to run: its run is under way, or has died */
export function isUnfinished({ status }: ReleaseStatus): boolean {
  return status === 'running' || status === 'pending'
}

/** @param releases newest first @returns the id of each environment's newest completed release */
export function currentIds(releases: readonly Release[]): ReadonlySet<string> {
  const found = new Map<string, string>()
  for (const release of releases) {
    if (!found.has(release.environment) && statusOf(release).status === 'completed') {
      found.set(release.environment, release.id)
    }
  }
  return new Set(found.values())
}
