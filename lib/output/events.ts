import type { PhaseName } from '../plan/six-phases.ts'
import type { Of } from '../util/schema.ts'
import type { EVENTS } from './contract/events.ts'

/**
 * What the library reports while it works. One reporter (report.ts) prints it: for a terminal, for a pipe, or as JSON lines.
 * Durations are milliseconds. `host` is set if there are several hosts. `output` and `progress`, which says what a
 * service is at that is waited for, come often: they are shown, and no record keeps them. No event holds the value of an env variable or secret.
 */
export type Event =
  | { [T in keyof typeof EVENTS]: { readonly type: T } & Of<(typeof EVENTS)[T]> }[keyof typeof EVENTS]
  | { readonly type: 'progress'; readonly service: string; readonly message: string; readonly host?: string }

/** What happens to one service during a rollout. */
export type ServiceStep = (Event & { type: 'service' })['step']

/** What is done to the host's proxy. */
export type ProxyStep = (Event & { type: 'proxy' })['step']

/** How a release ended whose run died. */
export type RecoveryOutcome = (Event & { type: 'recovery' })['outcome']

export type Emit = (event: Event) => void

/** @returns what gets the lines that child processes print */
export function outputTo(emit: Emit): (phase: PhaseName, line: string) => void {
  return (phase, line) => emit({ type: 'output', phase, line })
}
