import { type Container, type Docker, inspectContainers, lastLogLines } from './docker.ts'
import { StagecraftError } from './errors.ts'

/** Time as the library sees it: passed in, so that tests need not wait. */
export interface Clock {
  /** milliseconds since the epoch */
  now(): number
  sleep(ms: number): Promise<void>
}

/** Containers that must prove themselves before a rollout goes on. Durations are milliseconds. */
export interface GateTarget {
  readonly service: string
  readonly ids: readonly string[]
  /** to end with 0, rather than to stay */
  readonly job: boolean
  readonly healthTimeout: number | undefined
  readonly minReady: number | undefined
}

const MIN_READY = 5_000
const MIN_HEALTH_TIMEOUT = 60_000
const JOB_TIMEOUT = 600_000

/** What one look at a container or service says: a failure is final, not being ready yet is not. */
type Verdict =
  | { readonly ready: true }
  | {
      readonly ready: false
      readonly failed?: string
      readonly hint?: string
      readonly container?: Container | undefined
    }

/** Is told what became of a service. */
export type Tell = (service: string, step: 'ready' | 'failed', note?: string) => void

/** What the gate has seen so far. Times are those of its clock. */
interface Watch {
  readonly started: number
  /** since when each container has run, by id */
  readonly runningSince: Map<string, number>
  readonly ready: Set<string>
}

/**
 * Waits until every container is healthy, or has run for `min_ready` where it has no healthcheck; a job until it has
 * ended with 0; all of them in the same look. `docker compose up --wait` is no gate: it passes crash loops (tried).
 * @throws failed (5) as soon as one cannot become ready, with its state and last words
 */
export async function gate(docker: Docker, targets: readonly GateTarget[], clock: Clock, tell: Tell): Promise<void> {
  const watch = newWatch(clock)
  while (targets.some(({ ids }) => ids.length > 0)) {
    const verdicts = await look(docker, targets, clock, watch)
    for (const { target, verdict } of verdicts) {
      if (!verdict.ready && verdict.failed !== undefined) throw await failure(docker, target.service, verdict, tell)
      if (verdict.ready && !watch.ready.has(target.service)) tell(target.service, 'ready')
      if (verdict.ready) watch.ready.add(target.service)
    }
    if (verdicts.every(({ verdict }) => verdict.ready)) return
    await clock.sleep(clock.now() - watch.started < 5_000 ? 100 : 500)
  }
}

/** @returns the error of the first service that has failed by now, if one has. */
export async function findFailure(
  docker: Docker,
  targets: readonly GateTarget[],
  clock: Clock,
  tell: Tell,
): Promise<StagecraftError | undefined> {
  for (const { target, verdict } of await look(docker, targets, clock, newWatch(clock)))
    if (!verdict.ready && verdict.failed !== undefined) return failure(docker, target.service, verdict, tell)
  return undefined
}

function newWatch(clock: Clock): Watch {
  return { started: clock.now(), runningSince: new Map(), ready: new Set() }
}

async function look(docker: Docker, targets: readonly GateTarget[], clock: Clock, watch: Watch) {
  const found = await inspectContainers(
    docker,
    targets.flatMap(({ ids }) => ids),
  )
  const now = clock.now()
  const containers = new Map(found.map((container) => [container.id, container]))
  for (const { id, state } of found)
    if (state === 'running' && !watch.runningSince.has(id)) watch.runningSince.set(id, now)
  return targets.map((target) => ({ target, verdict: judgeService(target, containers, watch, now) }))
}

/** @returns the first failure of its containers, else whether all are ready, else whether time is up. */
function judgeService(
  target: GateTarget,
  containers: ReadonlyMap<string, Container>,
  watch: Watch,
  now: number,
): Verdict {
  const looks = target.ids.map((id) => {
    const container = containers.get(id)
    return { container, verdict: judge(target, container, watch.runningSince.get(id), now) }
  })
  const bad = looks.find(({ verdict }) => !verdict.ready && verdict.failed !== undefined)
  if (bad) return { ...bad.verdict, ready: false, container: bad.container }
  const slow = looks.find(({ verdict }) => !verdict.ready)
  if (slow === undefined) return { ready: true }
  const limit = timeoutOf(target, containers)
  return now - watch.started < limit ? { ready: false } : { ...lateBy(target, limit), container: slow.container }
}

/** One look at one container. */
function judge(
  target: GateTarget,
  container: Container | undefined,
  runningSince: number | undefined,
  now: number,
): Verdict {
  if (container === undefined) return { ready: false, failed: 'it disappeared' }
  const { state, exitCode, health } = container
  if (target.job) return judgeJob(container)
  if (state === 'exited' || state === 'dead') return exited(container)
  if (state === 'restarting' || container.restarts > 0)
    return {
      ready: false,
      failed: `it crashes and is restarted${state === 'restarting' ? ` (exit code ${exitCode})` : ''}`,
    }
  if (health === 'unhealthy') return { ready: false, failed: 'its healthcheck says unhealthy' }
  if (state !== 'running') return { ready: false }
  if (health === 'healthy') return { ready: true }
  if (health === 'starting') return { ready: false }
  return now - (runningSince ?? now) >= (target.minReady ?? MIN_READY) ? { ready: true } : { ready: false }
}

/** A job may be tried again by its restart policy, but not for ever. */
const MOST_JOB_RESTARTS = 10

function judgeJob({ state, exitCode, restarts }: Container): Verdict {
  if (state === 'exited' && exitCode === 0) return { ready: true }
  if (state === 'exited' || state === 'dead')
    return { ready: false, failed: `the job failed with exit code ${exitCode}` }
  if (restarts >= MOST_JOB_RESTARTS)
    return { ready: false, failed: `the job was restarted ${restarts} times; its exit code is ${exitCode}` }
  return { ready: false }
}

function exited({ exitCode, oomKilled }: Container): Verdict {
  const failed = `it ended with exit code ${exitCode}${oomKilled ? ' (out of memory)' : ''}`
  if (exitCode !== 0) return { ready: false, failed }
  return { ready: false, failed, hint: 'If it is meant to end, say `job: true` for it in stagecraft.yml.' }
}

/** More than the healthcheck itself can take, so that the engine's verdict comes first. */
function timeoutOf(target: GateTarget, containers: ReadonlyMap<string, Container>): number {
  if (target.healthTimeout !== undefined) return target.healthTimeout
  if (target.job) return JOB_TIMEOUT
  const times = target.ids.map((id) => containers.get(id)?.healthTime ?? 0)
  return Math.max(MIN_HEALTH_TIMEOUT, ...times.map((time) => time + 5_000))
}

function lateBy(target: GateTarget, limit: number) {
  const what = target.job ? 'it has not ended' : 'it has not become healthy'
  return {
    ready: false,
    failed: `${what} after ${Math.round(limit / 1000)} s`,
    hint: `Raise services.${target.service}.rollout.health_timeout in stagecraft.yml if it needs longer.`,
  } as const
}

async function failure(
  docker: Docker,
  service: string,
  { failed, hint, container }: Extract<Verdict, { ready: false }>,
  tell: Tell,
): Promise<StagecraftError> {
  tell(service, 'failed', failed)
  const detail = container ? await lastWords(docker, container) : undefined
  return new StagecraftError('failed', `Cannot start ${service}: ${failed}`, { detail, hint })
}

/** @returns state, exit code, last health output and last 20 log lines of a container that failed. */
export async function lastWords(docker: Docker, container: Container): Promise<string> {
  const { name, state, exitCode, oomKilled, health, healthOutput, restarts, error } = container
  const facts = [`container ${name}: ${state}`, ...(state === 'running' ? [] : [`exit code ${exitCode}`])]
  if (restarts > 0) facts.push(restarts === 1 ? 'restarted once' : `restarted ${restarts} times`)
  if (oomKilled) facts.push('out of memory')
  if (health !== 'none') facts.push(`health ${health}`)
  const logs = await lastLogLines(docker, container.id)
  return [
    facts.join(', '),
    ...(error ? [`engine: ${docker.mask(error)}`] : []),
    ...(healthOutput ? [`last health output: ${docker.mask(healthOutput)}`] : []),
    logs ? `last log lines:\n${logs.replaceAll(/^/gm, '  ')}` : 'it has logged nothing',
  ].join('\n')
}
