import type { Container } from '../inspect.ts'
import { crashOf, type Life, restartGrace } from './restarts.ts'
import { MIN_READY } from './wait-text.ts'

/** Containers of a service that must be ready before a rollout continues. Durations are milliseconds. */
export interface GateTarget {
  readonly service: string
  readonly ids: readonly string[]
  /** it must end with 0 instead of staying up */
  readonly job: boolean
  /** it may stay up, or end with 0: its restart policy allows it (lib/plan/services/ending.ts, mayEnd) */
  readonly mayEnd?: boolean
  readonly healthTimeout: number | undefined
  readonly minReady: number | undefined
}

/** The result of one look at a container or service. `failed` is final. */
export type Verdict = { readonly ready: true; readonly note?: string } | NotReady

/** Why it is not ready, and what may come of it. */
export interface NotReady {
  readonly ready: false
  /** how often it was restarted: it has just ended, and may still become ready */
  readonly restarts?: number
  /** what it is at */
  readonly at?: string
  readonly failed?: string
  /** when that changes the engine reports it: one need not ask often */
  readonly isReported?: boolean
  /** it failed only because of the time it took */
  readonly late?: boolean
  readonly hint?: string
  readonly container?: Container | undefined
}

/** What is known of a container besides what the engine says now. */
interface Look {
  readonly life: Life
  readonly now: number
  /** when the gate began to wait */
  readonly began: number
}

/** @returns what one look at one container says */
export function judge(target: GateTarget, container: Container, { life, now, began }: Look): Verdict {
  const { state, exitCode, health } = container
  if (target.job) return judgeJob(container)
  if (state === 'exited' && exitCode === 0 && target.mayEnd) return { ready: true, note: ENDED }
  if (state === 'exited' || state === 'dead') return exited(container)
  if (life.lastEnd === now) {
    const failed = crashOf(container, life, restartGrace(target.healthTimeout, life, container, began), now)
    return failed === undefined ? { ready: false, restarts: container.restarts } : { ready: false, failed }
  }
  if (health === 'unhealthy') return { ready: false, failed: 'its healthcheck says unhealthy' }
  if (state !== 'running') return { ready: false }
  if (health === 'healthy') return { ready: true }
  if (health === 'starting') return { ready: false, isReported: true }
  return now - (life.runningSince ?? now) >= (target.minReady ?? MIN_READY) ? { ready: true } : { ready: false }
}

/** The note of what is ready because it has ended. */
const ENDED = 'exit code 0'

/** A job's restart policy may restart it, but not forever. */
const MOST_JOB_RESTARTS = 10

function judgeJob({ state, exitCode, restarts }: Container): Verdict {
  if (state === 'exited' && exitCode === 0) return { ready: true, note: ENDED }
  if (state === 'exited' || state === 'dead')
    return { ready: false, failed: `the job failed with exit code ${exitCode}` }
  if (restarts >= MOST_JOB_RESTARTS)
    return { ready: false, failed: `the job was restarted ${restarts} times; its exit code is ${exitCode}` }
  return { ready: false, isReported: true }
}

function exited({ exitCode, oomKilled }: Container): Verdict {
  const failed = `it ended with exit code ${exitCode}${oomKilled ? ' (out of memory)' : ''}`
  if (exitCode !== 0) return { ready: false, failed }
  return { ready: false, failed, hint: 'If it is meant to exit, set `job: true` for it in stagecraft.yml.' }
}

/** Milliseconds. */
const [MIN_HEALTH_TIMEOUT, JOB_TIMEOUT] = [60_000, 600_000]

/** @returns how long a service may take: longer than the healthcheck itself can, so that the engine's verdict comes first */
export function timeoutOf(target: GateTarget, containers: ReadonlyMap<string, Container>): number {
  if (target.healthTimeout !== undefined) return target.healthTimeout
  if (target.job) return JOB_TIMEOUT
  const times = target.ids.map((id) => containers.get(id)?.healthTime ?? 0)
  return Math.max(MIN_HEALTH_TIMEOUT, ...times.map((time) => time + 5_000))
}

/** @returns the verdict of a service that took too long */
export function lateBy(target: GateTarget, limit: number, container: Container | undefined) {
  const crashes = (container?.restarts ?? 0) > 0 ? 'it crashes and restarts, and is not ready' : undefined
  const what = target.job ? 'it has not ended' : (crashes ?? 'it has not become healthy')
  return {
    ready: false,
    late: true,
    failed: `${what} after ${Math.round(limit / 1000)} s`,
    hint: `Raise services.${target.service}.rollout.health_timeout in stagecraft.yml if it needs longer.`,
  } as const
}
