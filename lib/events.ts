import type { Plan } from './plan.ts'
import type { PhaseName, PhaseStatus } from './state.ts'

/**
 * What the library tells while it works. One reporter (report.ts) prints them: for a terminal, for a pipe, or as
 * JSON lines. Durations are milliseconds. `host`: which of several. No event holds the value of an env variable or secret.
 */
export type Event =
  | { type: 'release'; id: string; version: string; environment: string; project: string }
  | { type: 'plan'; plan: Plan; host?: string }
  | { type: 'phase'; phase: PhaseName; status: PhaseStatus; duration_ms?: number; note?: string }
  | { type: 'service'; service: string; step: ServiceStep; note?: string; host?: string }
  | { type: 'proxy'; step: ProxyStep; note: string; host?: string }
  | { type: 'sending'; host: string; bytes: number; total: number }
  | { type: 'output'; phase: PhaseName; line: string }
  | { type: 'warning'; message: string; hint?: string; host?: string }
  | { type: 'waiting'; environment: string; message: string }
  | { type: 'recovery'; release: string; version: string; outcome: RecoveryOutcome; message: string }

/** What happens to one service during a rollout, in the order in which it can happen. */
export type ServiceStep =
  | 'hold'
  | 'keep'
  | 'create'
  | 'rolling'
  | 'recreate'
  | 'scale'
  | 'run'
  | 'wait'
  | 'ready'
  | 'failed'
  | 'switch'
  | 'drain'
  | 'restore'
  | 'remove'

/** What is done to the host's proxy. */
export type ProxyStep = 'start' | 'upgrade' | 'mend'

/** What became of a release whose run died: what it had changed was undone, or it serves, or it had changed nothing. */
export type RecoveryOutcome = 'undone' | 'finished' | 'nothing' | 'not-undone'

export type Emit = (event: Event) => void

/** Told what the programs print that are run, line by line; only where somebody wants to know: it costs memory. */
export type TellOutput = (phase: PhaseName, line: string) => void
