/** The six phases of a release, in the order in which they run. They never change (spec/core/phases.md). */
export const PHASES = ['build', 'push', 'migrate_pre', 'rollout', 'migrate_post', 'finalize'] as const

export type PhaseName = (typeof PHASES)[number]

/** What Stagecraft writes. Statuses that other tools wrote are read and kept (see `Release.phases`). */
export type PhaseStatus = 'pending' | 'running' | 'completed' | 'failed' | 'skipped'
