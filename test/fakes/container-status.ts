import type { Behaviour, FakeContainer } from './engine-state.ts'

export interface Status {
  readonly status: string
  readonly code: number
  readonly health: string
  /** how often it was started again */
  readonly count: number
  /** milliseconds from its first start to its last one */
  readonly since?: number
}

/** @param elapsed milliseconds since its first start */
function recovering(
  { exit = 1, after = 0, health = 'healthy', pause = 1_000 }: Behaviour,
  times: number,
  elapsed: number,
  check: boolean,
): Status {
  const round = Math.min(times, Math.floor(elapsed / (after + pause)))
  const since = round * (after + pause)
  const isUp = round === times || elapsed - since < after
  if (!isUp) return { status: 'restarting', code: exit, health: check ? 'unhealthy' : '', count: round + 1, since }
  const opinion = health === 'never' || elapsed - since < after ? 'starting' : health
  return { status: 'running', code: 0, health: check ? opinion : '', count: round, since }
}

/** What `docker inspect` would say now of a container's state. */
export function statusOf(now: number, { state, behaviour, startedAt, definition }: FakeContainer): Status {
  const { exit, after = 0, restarts, health = 'healthy' } = behaviour
  const elapsed = now - startedAt
  const check = definition.healthcheck?.test !== undefined
  if (state !== 'started') return { status: state === 'stopped' ? 'exited' : 'created', code: 0, health: '', count: 0 }
  if (behaviour.recovers !== undefined) return recovering(behaviour, behaviour.recovers, elapsed, check)
  if (exit === undefined || elapsed < after) {
    const opinion = health === 'never' || elapsed < after ? 'starting' : health
    return { status: 'running', code: 0, health: check ? opinion : '', count: 0 }
  }
  if (restarts) return { status: 'restarting', code: exit, health: check ? 'starting' : '', count: 3 }
  return { status: 'exited', code: exit, health: check ? 'unhealthy' : '', count: 0 }
}
