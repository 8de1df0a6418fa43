import { type Container, type Docker, inspectContainers, lastLogLines } from './docker.ts'
import { StagecraftError } from './errors.ts'
import { timesText } from './format.ts'
import { crashOf, type Life, observe, restartGrace } from './restarts.ts'

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
  /** it may stay, or end with 0: its restart policy says that an end is no fault (lib/services.ts, mayEnd) */
  readonly mayEnd?: boolean
  readonly healthTimeout: number | undefined
  readonly minReady: number | undefined
}

const MIN_READY = 5_000
const MIN_HEALTH_TIMEOUT = 60_000
const JOB_TIMEOUT = 600_000

/** What one look at a container or service says: a failure is final, not being ready yet is not. */
type Verdict =
  | { readonly ready: true; readonly note?: string }
  | {
      readonly ready: false
      /** how often it was started again; it has ended just now, and may come up yet */
      readonly restarts?: number
      readonly failed?: string
      /** it failed for no other reason than the time it took */
      readonly late?: boolean
      readonly hint?: string
      readonly container?: Container | undefined
    }

/** Is told what became of a service. `wait`: it ended, and may come up yet. */
export type Tell = (service: string, step: 'ready' | 'failed' | 'wait', note?: string) => void

/** What the gate has seen so far. Times are those of its clock. */
interface Watch {
  readonly started: number
  /** by id */
  readonly lives: Map<string, Life>
  readonly ready: Set<string>
  /** how many restarts of a service have been told */
  readonly restarts: Map<string, number>
}

/**
 * Waits until every container is healthy, or has run for `min_ready` where it has no healthcheck; a job until it has
 * ended with 0; all of them in the same look. What ends and is started again may do so for a while, as long as it was
 * not ready before. `docker compose up --wait` is no gate: it passes crash loops (tried).
 * @throws failed (5) as soon as one cannot become ready, with its state and last words
 */
export async function gate(docker: Docker, targets: readonly GateTarget[], clock: Clock, tell: Tell): Promise<void> {
  const watch = newWatch(clock)
  while (targets.some(({ ids }) => ids.length > 0)) {
    const verdicts = await look(docker, targets, clock, watch)
    for (const { target, verdict } of verdicts) {
      if (!verdict.ready && verdict.failed !== undefined) throw await failure(docker, target.service, verdict, tell)
      if (verdict.ready && !watch.ready.has(target.service)) tell(target.service, 'ready', verdict.note)
      if (verdict.ready) watch.ready.add(target.service)
      else tellRestarts(target.service, verdict.restarts ?? 0, watch, tell)
    }
    if (verdicts.every(({ verdict }) => verdict.ready)) return
    await clock.sleep(clock.now() - watch.started < 5_000 ? 100 : 500)
  }
}

function tellRestarts(service: string, restarts: number, watch: Watch, tell: Tell): void {
  if (restarts <= (watch.restarts.get(service) ?? 0)) return
  watch.restarts.set(service, restarts)
  tell(service, 'wait', `restarted ${timesText(restarts)}, waiting`)
}

/** @returns the error of the first service that has failed by now, if one has: also of what may come up yet, but does not run. */
export async function findFailure(
  docker: Docker,
  targets: readonly GateTarget[],
  clock: Clock,
  tell: Tell,
): Promise<StagecraftError | undefined> {
  const impatient = targets.map((target) => ({ ...target, healthTimeout: 0 }))
  for (const { target, verdict } of await look(docker, impatient, clock, newWatch(clock)))
    if (!verdict.ready && verdict.failed !== undefined && !verdict.late)
      return failure(docker, target.service, verdict, tell)
  return undefined
}

function newWatch(clock: Clock): Watch {
  return { started: clock.now(), lives: new Map(), ready: new Set(), restarts: new Map() }
}

async function look(docker: Docker, targets: readonly GateTarget[], clock: Clock, watch: Watch) {
  const found = await inspectContainers(
    docker,
    targets.flatMap(({ ids }) => ids),
  )
  const now = clock.now()
  const containers = new Map(found.map((container) => [container.id, container]))
  for (const container of found) observe(watch.lives, container, now)
  return targets.map((target) => ({ target, verdict: judgeService(target, containers, watch, now) }))
}

/** @returns the first failure of its containers, else whether all are ready, else whether time is up. */
function judgeService(
  target: GateTarget,
  containers: ReadonlyMap<string, Container>,
  watch: Watch,
  now: number,
): Verdict {
  const looks = target.ids.map((id): { container: Container | undefined; verdict: Verdict } => {
    const [container, life] = [containers.get(id), watch.lives.get(id)]
    if (container === undefined || life === undefined)
      return { container, verdict: { ready: false, failed: 'it disappeared' } }
    const verdict = judge(target, container, { life, now, began: watch.started })
    if (verdict.ready) life.ready = true
    return { container, verdict }
  })
  const bad = looks.find(({ verdict }) => !verdict.ready && verdict.failed !== undefined)
  if (bad) return { ...bad.verdict, ready: false, container: bad.container }
  const slow = looks.find(({ verdict }) => !verdict.ready)
  if (slow === undefined) return looks[0]?.verdict ?? { ready: true }
  const limit = timeoutOf(target, containers)
  if (now - waitsSince(target, watch) >= limit)
    return { ...lateBy(target, limit, slow.container), container: slow.container }
  const restarts = looks.map(({ verdict }) => (verdict.ready ? 0 : (verdict.restarts ?? 0)))
  return { ready: false, restarts: Math.max(...restarts) }
}

/** What was started again has the time to become ready once more, unless stagecraft.yml says how long it may take. */
function waitsSince({ ids, healthTimeout, job }: GateTarget, { started, lives }: Watch): number {
  if (healthTimeout !== undefined || job) return started
  return Math.max(started, ...ids.map((id) => lives.get(id)?.lastEnd ?? started))
}

interface Look {
  readonly life: Life
  readonly now: number
  /** when the gate began to wait */
  readonly began: number
}

/** One look at one container. */
function judge(target: GateTarget, container: Container, { life, now, began }: Look): Verdict {
  const { state, exitCode, health } = container
  if (target.job) return judgeJob(container)
  if (state === 'exited' && exitCode === 0 && target.mayEnd) return { ready: true, note: 'it has ended with 0' }
  if (state === 'exited' || state === 'dead') return exited(container)
  if (life.lastEnd === now) {
    const failed = crashOf(container, life, restartGrace(target.healthTimeout, life, container, began), now)
    return failed === undefined ? { ready: false, restarts: container.restarts } : { ready: false, failed }
  }
  if (health === 'unhealthy') return { ready: false, failed: 'its healthcheck says unhealthy' }
  if (state !== 'running') return { ready: false }
  if (health === 'healthy') return { ready: true }
  if (health === 'starting') return { ready: false }
  return now - (life.runningSince ?? now) >= (target.minReady ?? MIN_READY) ? { ready: true } : { ready: false }
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

function lateBy(target: GateTarget, limit: number, container: Container | undefined) {
  const crashes = (container?.restarts ?? 0) > 0 ? 'it crashes and is restarted, and is not ready' : undefined
  const what = target.job ? 'it has not ended' : (crashes ?? 'it has not become healthy')
  return {
    ready: false,
    late: true,
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
  if (restarts > 0) facts.push(`restarted ${timesText(restarts)}`)
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
