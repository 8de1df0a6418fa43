import type { Container } from './docker.ts'

/** What the gate has seen of one container. Times are milliseconds of its clock. */
export interface Life {
  /** the engine's word for which start it is */
  startedAt: string
  /** since when it has run without an end; undefined: it does not run */
  runningSince: number | undefined
  restarts: number
  /** when it was first seen to have ended */
  firstEnd: number | undefined
  /** when it was last seen to have ended: at this look, where it is the same time */
  lastEnd: number | undefined
  /** it was ready before: it has no second chance */
  ready: boolean
}

/** Without a healthcheck or `health_timeout`: how long after its first end a container may still end. */
const RESTART_GRACE = 30_000

/** Adds one look at a container to what is known of it. */
export function observe(lives: Map<string, Life>, container: Container, now: number): void {
  const { id, state, startedAt, restarts } = container
  const life = lives.get(id) ?? newLife()
  lives.set(id, life)
  if (state === 'restarting' || restarts > life.restarts) {
    life.firstEnd ??= now
    life.lastEnd = now
  }
  life.restarts = restarts
  if (state !== 'running') life.runningSince = undefined
  else if (life.runningSince === undefined || life.startedAt !== startedAt) life.runningSince = now
  life.startedAt = startedAt
}

function newLife(): Life {
  return {
    ...{ startedAt: '', runningSince: undefined, restarts: 0 },
    ...{ firstEnd: undefined, lastEnd: undefined, ready: false },
  }
}

/** Since when, and how long, a service may end and be started again while what it needs comes up. Milliseconds. */
export interface Grace {
  readonly from: number
  readonly time: number
}

/** @param began when the gate began to wait @returns `health_timeout` as asked for, else as long as the healthcheck may fail */
export function restartGrace(
  healthTimeout: number | undefined,
  { firstEnd }: Life,
  { failingTime }: Container,
  began: number,
): Grace {
  if (healthTimeout !== undefined) return { from: began, time: healthTimeout }
  return { from: firstEnd ?? began, time: Math.max(RESTART_GRACE, failingTime) }
}

/** @returns why a container that has just ended does not get another chance; undefined: it may come up yet. */
export function crashOf(container: Container, life: Life, { from, time }: Grace, now: number): string | undefined {
  const code = container.state === 'restarting' ? ` (exit code ${container.exitCode})` : ''
  if (life.ready) return `it ended after it was ready, and is restarted${code}`
  return now - from >= time ? `it crashes and is restarted${code}` : undefined
}
