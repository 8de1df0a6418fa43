import { PHASES, type PhaseName, type Release } from './state-format.ts'

/** What became of a release, in one word, and the phase that it is about. */
export interface ReleaseStatus {
  readonly status: 'completed' | 'failed' | 'running' | 'pending' | 'incomplete'
  readonly phase?: PhaseName
}

/** @returns what the six phases of a release come to. `incomplete`: statuses that no run of Stagecraft leaves. */
export function statusOf({ phases }: Pick<Release, 'phases'>): ReleaseStatus {
  const failed = PHASES.find((phase) => phases[phase] === 'failed')
  if (failed !== undefined) return { status: 'failed', phase: failed }
  const running = PHASES.find((phase) => phases[phase] === 'running')
  if (running !== undefined) return { status: 'running', phase: running }
  const only = (...statuses: string[]) => PHASES.every((phase) => statuses.includes(phases[phase]))
  if (only('completed')) return { status: 'completed' }
  if (only('pending')) return { status: 'pending' }
  // Between two phases.
  return only('completed', 'pending') ? { status: 'running' } : { status: 'incomplete' }
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
