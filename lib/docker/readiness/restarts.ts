import type { Container } from '../inspect.ts'

/** What the gate has seen of one container. Times are milliseconds of its clock. */
export interface Life {
  /** the engine's time of its present start */
  startedAt: string
  /** when its present run began; undefined: it does not run */
  runningSince: number | undefined
  restarts: number
  /** when it was first seen to have ended */
  firstEnd: number | undefined
  /** when it was last seen to have ended; equal to the time of this look if it has just ended */
  lastEnd: number | undefined
  /** it was ready before, so it may not end again */
  ready: boolean
}

/** Milliseconds from its first end in which a container may end again, without `health_timeout` and a slower healthcheck. */
const RESTART_GRACE = 30_000

/** Adds one look at a container to what is known about it. */
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

/** The time in which a service may end and be restarted while what it needs is starting. Milliseconds. */
interface Grace {
  readonly from: number
  readonly time: number
}

/** @param began when the gate began to wait @returns `health_timeout` if it is set, else as long as the healthcheck may fail */
export function restartGrace(
  healthTimeout: number | undefined,
  { firstEnd }: Life,
  { failingTime }: Container,
  began: number,
): Grace {
  if (healthTimeout !== undefined) return { from: began, time: healthTimeout }
  return { from: firstEnd ?? began, time: Math.max(RESTART_GRACE, failingTime) }
}

/** @returns why a container that has just ended gets no further restart; undefined: it may still become ready. */
export function crashOf(container: Container, life: Life, { from, time }: Grace, now: number): string | undefined {
  const code = container.state === 'restarting' ? ` (exit code ${container.exitCode})` : ''
  if (life.ready) return `it exited after it was ready, and was restarted${code}`
  return now - from >= time ? `it crashes and restarts${code}` : undefined
}
