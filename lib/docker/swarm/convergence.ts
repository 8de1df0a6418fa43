import { nodesFor, type SwarmNode } from './nodes.ts'
import type { SwarmService } from './services.ts'
import { exitCodeOf, hasEnded, hasFailed, isLive, isOfLastRun, newestFirst, type Task } from './tasks.ts'

/** How long one waits for a service. Durations are milliseconds. */
export interface Patience {
  /** without a task that becomes ready meanwhile */
  readonly health: number
  /** that a task without a healthcheck runs before it counts as ready */
  readonly minReady: number
  /** that its tasks may end and be started again, from when the first one has ended */
  readonly restarts: number
}

/** What has been seen of a service so far, by our own clock: the clocks of nodes differ. */
export interface Seen {
  /** the last time that a task became ready; at first when the watch began */
  progress: number
  ready: number
  firstFailure: number | undefined
  /** since when Swarm has stopped the update */
  stopped: number | undefined
  /** by task: since when it runs */
  readonly running: Map<string, number>
}

/** `failed` is final: it goes on for a person. */
export type Verdict =
  | { readonly is: 'done' }
  | { readonly is: 'converging'; readonly at: string }
  | { readonly is: 'failed'; readonly why: string; readonly task?: Task | undefined }

export function newSeen(now: number): Seen {
  return { progress: now, ready: 0, firstFailure: undefined, stopped: undefined, running: new Map() }
}

/**
 * Judges whether Swarm has made of a service what it was asked for. Swarm's own word is not enough: it ends with success after it has
 * rolled back itself, and says nothing of a new service whose tasks end again and again.
 * @param tasks of this service @param before ids of the tasks that were there before the change: their failures are old
 * @param seen is brought up to date
 */
export function judgeService(
  service: SwarmService,
  tasks: readonly Task[],
  { seen, before, now, patience, nodes }: Observation,
): Verdict {
  note(seen, tasks, now)
  const failures = tasks.filter((task) => hasFailed(task) && !before.has(task.id))
  if (failures.length > 0) seen.firstFailure ??= now
  const [last] = newestFirst(failures)
  if (service.mode === 'job') return judgeJob(service, tasks, { seen, now, patience, last, nodes })
  const stopped = stoppedUpdate(service, { seen, now, patience, last })
  if (stopped) return stopped
  const live = tasks.filter(isLive)
  const current = live.filter(({ template }) => template === service.template)
  const ready = current.filter((task) => isReady(task, service, { seen, now, patience }))
  if (ready.length > seen.ready) seen.progress = now
  seen.ready = ready.length
  const wanted = wantedOf(service, live, nodes)
  const isUpdating = service.update?.state === 'updating'
  if (ready.length === wanted && live.length === wanted && !isUpdating) return { is: 'done' }
  const isNowhere = service.wanted === undefined && nodesFor(nodes, service, new Set()).length === 0
  const late = lateness(current, wanted, { seen, now, patience, last, isNowhere })
  if (late) return late
  const old = live.length - current.length
  return { is: 'converging', at: `${ready.length} of ${wanted} ready${old > 0 ? `, ${old} old ones left` : ''}` }
}

export interface Observation {
  readonly seen: Seen
  readonly before: ReadonlySet<string>
  readonly now: number
  readonly patience: Patience
  /** of the Swarm: a global service has a task on each that fits */
  readonly nodes: readonly SwarmNode[]
}

/** @returns how many tasks it is to have; at least one: it is there to run somewhere */
function wantedOf(service: SwarmService, live: readonly Task[], nodes: readonly SwarmNode[]): number {
  if (service.wanted !== undefined) return service.wanted
  return Math.max(1, nodesFor(nodes, service, new Set(live.map(({ node }) => node))).length)
}

type Look = Pick<Observation, 'seen' | 'now' | 'patience'>

function note(seen: Seen, tasks: readonly Task[], now: number): void {
  for (const { id, state } of tasks) {
    if (state !== 'running') seen.running.delete(id)
    else if (!seen.running.has(id)) seen.running.set(id, now)
  }
}

/** Swarm calls a task with a healthcheck running once it is healthy. */
function isReady({ id, state }: Task, { hasHealthcheck }: SwarmService, { seen, now, patience }: Look): boolean {
  if (state !== 'running') return false
  return hasHealthcheck || now - (seen.running.get(id) ?? now) >= patience.minReady
}

/** Milliseconds until a task that has ended is known to have: the services may have been asked for later than the tasks. */
const KNOWN = 5_000

/** An update that Swarm has paused, or taken back by itself. */
function stoppedUpdate(
  { update }: SwarmService,
  { seen, now, last }: Look & { readonly last: Task | undefined },
): Verdict | undefined {
  const isPaused = update?.state === 'paused'
  if (update === undefined || !(isPaused || update.state.startsWith('rollback'))) return undefined
  seen.stopped ??= now
  if (last === undefined && now - seen.stopped < KNOWN) return { is: 'converging', at: 'Swarm has stopped the update' }
  const did = isPaused ? 'Swarm has paused the update' : 'Swarm has rolled it back'
  if (last === undefined) return { is: 'failed', why: `${did}: ${update.message}` }
  const why = isPaused ? reasonOf(last) : `${reasonOf(last)}, and ${did}`
  return { is: 'failed', why, task: last }
}

function lateness(
  current: readonly Task[],
  wanted: number,
  { seen, now, patience, last, isNowhere }: Look & { readonly last: Task | undefined; readonly isNowhere: boolean },
): Verdict | undefined {
  const crashes = seen.firstFailure !== undefined && now - seen.firstFailure >= patience.restarts
  const up = current.filter(({ state }) => state === 'running').length
  if (last && crashes && up < wanted) return { is: 'failed', why: `${reasonOf(last)}, again and again`, task: last }
  if (now - seen.progress < patience.health) return undefined
  const waiting = current.find(({ state }) => state !== 'running')
  const limit = `after ${Math.round(patience.health / 1000)} s`
  if (isNowhere) return { is: 'failed', why: `no node fits it ${limit}: all are down, drained or excluded` }
  if (last && (waiting === undefined || waiting.error === ''))
    return { is: 'failed', why: `${reasonOf(last)}, and is not ready ${limit}`, task: last }
  if (waiting?.error) return { is: 'failed', why: `no node runs it ${limit}: ${waiting.error}`, task: waiting }
  if (waiting) return { is: 'failed', why: `it is still ${waiting.state} ${limit}`, task: waiting }
  return { is: 'failed', why: `Swarm has not replaced all of its tasks ${limit}` }
}

function judgeJob(
  service: SwarmService,
  tasks: readonly Task[],
  { seen, now, patience, last, nodes }: Look & Pick<Observation, 'nodes'> & { readonly last: Task | undefined },
): Verdict {
  const own = tasks.filter((task) => isOfLastRun(task, service))
  const done = own.filter(({ state }) => state === 'complete').length
  const all = wantedOf(service, own, nodes)
  if (done >= all) return { is: 'done' }
  if (done > seen.ready) seen.progress = now
  seen.ready = done
  const isOpen = own.some((task) => !hasEnded(task))
  if (last && !isOpen && own.includes(last))
    return { is: 'failed', why: `the job failed: ${reasonOf(last)}`, task: last }
  if (now - seen.progress >= patience.health)
    return { is: 'failed', why: `it has not ended after ${Math.round(patience.health / 1000)} s`, task: last }
  return { is: 'converging', at: `${done} of ${all} completed` }
}

/** @returns why a task has failed, for people */
function reasonOf(task: Task): string {
  const code = exitCodeOf(task)
  if (code !== undefined) return `it ended with exit code ${code}`
  if (/unhealthy/.test(task.error)) return 'it is unhealthy'
  return task.error === '' ? `it ${task.state === 'rejected' ? 'was rejected' : 'failed'}` : task.error
}
