import { PHASES, type PhaseName, type Release } from './state-format.ts'

/** What became of a release, in one word, and the phase that it is about. */
export interface ReleaseStatus {
  readonly status: 'completed' | 'failed' | 'running' | 'pending' | 'incomplete'
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

/** @returns the status as text: `failed in rollout`, `running rollout`, `completed`. */
export function statusText({ status, phase }: ReleaseStatus): string {
  if (phase === undefined) return status
  return status === 'failed' ? `failed in ${phase}` : `${status} ${phase}`
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
