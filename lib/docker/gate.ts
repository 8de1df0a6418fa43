import type { Clock } from '../system/clock.ts'
import { StagecraftError } from '../util/errors.ts'
import { timesText } from '../util/format.ts'
import type { Docker } from './client.ts'
import { inspectContainers } from './containers.ts'
import type { Container } from './inspect.ts'
import { type Changes, watchChanges } from './readiness/changes.ts'
import { lastWords } from './readiness/last-words.ts'
import { crashOf, type Life, observe, restartGrace } from './readiness/restarts.ts'
import { MIN_READY, waitText } from './readiness/wait-text.ts'

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

const MIN_HEALTH_TIMEOUT = 60_000
const JOB_TIMEOUT = 600_000

/** The result of one look at a container or service. `failed` is final. */
type Verdict = { readonly ready: true; readonly note?: string } | NotReady

interface NotReady {
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

/** Reports a service's steps. `wait`: it ended, and may still become ready. `progress`: what it is at, each time that changes. */
export type OnStep = (service: string, step: 'ready' | 'failed' | 'wait' | 'progress', note?: string) => void

/** What the gate has seen so far. Times are of its clock. */
interface Watch {
  readonly started: number
  /** by id */
  readonly lives: Map<string, Life>
  readonly ready: Set<string>
  /** the number of restarts last reported for a service */
  readonly restarts: Map<string, number>
  /** the progress last reported for a service */
  readonly said: Map<string, string>
}

/**
 * Waits until every container is healthy, or has run for `min_ready` if it has no healthcheck; a job must have ended with 0;
 * all in the same look. A container that was not ready before may end and restart for a while. `docker compose up --wait` is
 * no replacement: it accepts crash loops (measured with Compose 2.26).
 * @throws failed (5) as soon as one cannot become ready, with its state and last log lines
 */
export async function gate(docker: Docker, targets: readonly GateTarget[], clock: Clock, say: OnStep): Promise<void> {
  const ids = targets.flatMap((target) => target.ids)
  if (ids.length === 0) return
  const changes = watchChanges(docker, ids, clock)
  try {
    await pass(docker, targets, { clock, changes, say })
  } finally {
    changes.end()
  }
}

/** How one waits at the gate. */
interface Wait {
  readonly clock: Clock
  readonly changes: Changes
  readonly say: OnStep
}

async function pass(docker: Docker, targets: readonly GateTarget[], { clock, changes, say }: Wait): Promise<void> {
  const watch = newWatch(clock)
  for (;;) {
    const verdicts = await look(docker, targets, clock, watch)
    for (const { target, verdict } of verdicts) {
      if (!verdict.ready && verdict.failed !== undefined) throw await failure(docker, target.service, verdict, say)
      if (verdict.ready && !watch.ready.has(target.service)) say(target.service, 'ready', verdict.note)
      if (verdict.ready) watch.ready.add(target.service)
      else reportWaiting(target.service, { ...verdict, at: docker.mask(verdict.at ?? '') }, watch, say)
    }
    if (verdicts.every(({ verdict }) => verdict.ready)) return
    const isReported = verdicts.every(({ verdict }) => verdict.ready || verdict.isReported === true) && changes.isOpen()
    await changes.next(!isReported && clock.now() - watch.started < 5_000 ? 100 : 500)
  }
}

function reportWaiting(service: string, { restarts = 0, at = '' }: NotReady, watch: Watch, say: OnStep): void {
  if (watch.said.get(service) !== at) say(service, 'progress', at)
  watch.said.set(service, at)
  if (restarts <= (watch.restarts.get(service) ?? 0)) return
  watch.restarts.set(service, restarts)
  say(service, 'wait', `restarted ${timesText(restarts)}, waiting`)
}

/** @returns the error of the first service that has failed by now, or that may still become ready but does not run. */
export async function findFailure(
  docker: Docker,
  targets: readonly GateTarget[],
  clock: Clock,
  say: OnStep,
): Promise<StagecraftError | undefined> {
  const impatient = targets.map((target) => ({ ...target, healthTimeout: 0 }))
  for (const { target, verdict } of await look(docker, impatient, clock, newWatch(clock)))
    if (!verdict.ready && verdict.failed !== undefined && !verdict.late)
      return failure(docker, target.service, verdict, say)
  return undefined
}

function newWatch(clock: Clock): Watch {
  return { started: clock.now(), lives: new Map(), ready: new Set(), restarts: new Map(), said: new Map() }
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
  const ready = looks.filter(({ verdict }) => verdict.ready).length
  const at =
    slow.container && waitText(slow.container, target, now - (watch.lives.get(slow.container.id)?.runningSince ?? now))
  return {
    ready: false,
    restarts: Math.max(...restarts),
    isReported: looks.every(({ verdict }) => verdict.ready || verdict.isReported === true),
    at: `${looks.length > 1 ? `${ready} of ${looks.length} ready, ` : ''}${at}`,
  }
}

/** The time to become ready starts again at each restart, unless stagecraft.yml sets it. */
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

/** Longer than the healthcheck itself can take, so that the engine's verdict comes first. */
function timeoutOf(target: GateTarget, containers: ReadonlyMap<string, Container>): number {
  if (target.healthTimeout !== undefined) return target.healthTimeout
  if (target.job) return JOB_TIMEOUT
  const times = target.ids.map((id) => containers.get(id)?.healthTime ?? 0)
  return Math.max(MIN_HEALTH_TIMEOUT, ...times.map((time) => time + 5_000))
}

function lateBy(target: GateTarget, limit: number, container: Container | undefined) {
  const crashes = (container?.restarts ?? 0) > 0 ? 'it crashes and restarts, and is not ready' : undefined
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
  { failed, hint, container }: NotReady,
  say: OnStep,
): Promise<StagecraftError> {
  say(service, 'failed', failed)
  const detail = container ? await lastWords(docker, container) : undefined
  return new StagecraftError('failed', `Cannot start ${service}: ${failed}`, { detail, hint })
}
