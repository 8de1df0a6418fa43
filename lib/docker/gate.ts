import type { Clock } from '../system/clock.ts'
import { StagecraftError } from '../util/errors.ts'
import { timesText } from '../util/format.ts'
import type { Docker } from './client.ts'
import { inspectContainers } from './containers.ts'
import type { Container } from './inspect.ts'
import { type Changes, watchChanges } from './readiness/changes.ts'
import { lastWords } from './readiness/last-words.ts'
import { type Life, observe } from './readiness/restarts.ts'
import { type GateTarget, judge, lateBy, type NotReady, timeoutOf, type Verdict } from './readiness/verdict.ts'
import { waitText } from './readiness/wait-text.ts'

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
