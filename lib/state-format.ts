/** The six phases of a release, in the order in which they run. Fixed for ever (spec/core/phases.md). */
export const PHASES = ['build', 'push', 'migrate_pre', 'rollout', 'migrate_post', 'finalize'] as const

export type PhaseName = (typeof PHASES)[number]

/** What Stagecraft writes. Other tools may write others: they are read and kept (see `Release.phases`). */
export type PhaseStatus = 'pending' | 'running' | 'completed' | 'failed' | 'skipped'

/** One attempt to put one version in one environment: a copy of what the file says, never a live view. */
export interface Release {
  /** `rel-YYYYMMDD-HHMMSSmmm` in UTC; older records may lack the three millisecond digits. */
  readonly id: string
  readonly environment: string
  readonly version: string
  /** Empty outside a git repository. */
  readonly commit_sha: string
  /** RFC 3339, as written in the file: any offset, up to nine fractional digits. */
  readonly timestamp: string
  /** A `PhaseStatus`, or a status of another tool that this version does not know. */
  readonly phases: Readonly<Record<PhaseName, string>>
  /** The environment's release before this one, whatever became of it. */
  readonly previous_id?: string
}
