import type { Docker } from '../../docker/client.ts'
import { type Container, isUp, parseEngineTime } from '../../docker/inspect.ts'
import { lastLogLines } from '../../docker/lifecycle.ts'
import type { Host } from '../../hosts/host.ts'
import { lookAtSchedules, missingEntries, type Schedules } from '../../hosts/schedules/host.ts'
import type * as contract from '../../output/contract/status.ts'
import type { LastRun, Scheduled } from '../../plan/input.ts'
import type { Bundle } from '../../record/bundle.ts'
import { nextTime, parseCron } from '../../util/cron.ts'
import { formatDuration, plainLine } from '../../util/format.ts'
import type { Of } from '../../util/schema.ts'

/** A job with a schedule, and how it does (spec/core/jobs.md). */
export type ScheduleStatus = Of<typeof contract.schedule>

/** What is known of the live release on a host. */
interface ScheduleFacts {
  readonly host: Host
  /** hides secrets in what the jobs print */
  readonly docker: Docker
  readonly bundle: Bundle
  readonly containers: readonly Container[]
  /** milliseconds that the engine's clock is ahead of this machine's */
  readonly ahead: number
  /** of the release that made a container */
  readonly versionOf: (container: Container) => string | null
}

/** Lines of a failed run that are shown. */
const SHOWN_LINES = 5

/** @returns the jobs with a schedule of the live release on a host. @throws failed (5), unreachable (8) */
export async function scheduleStatuses(facts: ScheduleFacts): Promise<ScheduleStatus[]> {
  const { host, docker, bundle } = facts
  const all = Object.entries(bundle.schedules ?? {})
  if (all.length === 0) return []
  const found = await lookAtSchedules({ host, docker, project: bundle.project })
  return Promise.all(all.map(([service, scheduled]) => scheduleStatus(service, scheduled, found, facts)))
}

async function scheduleStatus(
  job: string,
  scheduled: Scheduled,
  found: Schedules,
  facts: ScheduleFacts,
): Promise<ScheduleStatus> {
  const { docker, containers, versionOf, ahead } = facts
  const own = containers
    .filter(({ service }) => service === job)
    .toSorted((a, b) => (a.startedAt < b.startedAt ? 1 : -1))
  const running = own.find(isUp)
  const ended = own.find((one) => !isUp(one) && parseEngineTime(one.startedAt) !== undefined)
  const last = ended ? runOf(ended, versionOf(ended), ahead) : withDuration(scheduled.last)
  const isFailed = ended !== undefined && last?.exit_code !== 0
  const lines = isFailed ? (await lastLogLines(docker, ended.id, SHOWN_LINES)).split('\n').filter(Boolean) : []
  const asleep = asleepFor(job, scheduled, found, facts)
  const cron = parseCron(scheduled.schedule)
  const next = asleep === undefined && typeof cron === 'object' ? nextTime(cron, found.time) : undefined
  return {
    job,
    schedule: scheduled.schedule,
    ...(next ? { next } : {}),
    zone: found.zone,
    ...(running ? { running_since: timeOf(running.startedAt, ahead) } : {}),
    ...(last ? { last } : {}),
    ...(lines.length > 0 ? { output: lines } : {}),
    drift: [...(asleep ? [asleep] : []), ...failures(last, ended, scheduled), ...unstarted(own, scheduled)],
  }
}

/** @returns why nothing starts a job at its hours; undefined: something does, or this user may not know */
function asleepFor(
  job: string,
  scheduled: Scheduled,
  found: Schedules,
  { bundle, containers }: ScheduleFacts,
): string | undefined {
  const { scheduler, project } = bundle
  if (!containers.some(({ id }) => id === scheduled.container)) return 'its container is gone, so it does not run'
  if (scheduler === undefined) return 'nothing starts it: the release has not been finished'
  if (!('by' in found.scheduler)) return `nothing starts it: ${found.scheduler.lacks}`
  if (found.user !== scheduler.user) return undefined // it is in the crontab of another user
  const lost = missingEntries(found, [{ service: job, ...scheduled }], { ...scheduler, project })
  if (lost.length === 0) return undefined
  return scheduler.by === 'cron' ? `it is not in the crontab of ${scheduler.user} any more` : 'its timer does not run'
}

function failures(
  last: ScheduleStatus['last'],
  ended: Container | undefined,
  { timeout }: Pick<Scheduled, 'timeout'>,
): string[] {
  if (last === undefined || last.exit_code === 0) return []
  if (ended?.oomKilled) return ['its last run ran out of memory']
  if (timeout !== undefined && last.duration_ms >= timeout)
    return [`its last run did not end within ${formatDuration(timeout)}, and was ended`]
  return [`its last run ended with exit code ${last.exit_code}`]
}

/** The engine keeps why it could not start a container. */
function unstarted(own: readonly Container[], { container }: Scheduled): string[] {
  const now = own.find(({ id }) => id === container)
  return now === undefined || now.error === '' || isUp(now) ? [] : [`it could not be started: ${plainLine(now.error)}`]
}

function runOf(container: Container, version: string | null, ahead: number): ScheduleStatus['last'] {
  const { startedAt, finishedAt, exitCode: exit_code } = container
  const [started_at, finished_at] = [timeOf(startedAt, ahead), timeOf(finishedAt, ahead)]
  return { started_at, finished_at, exit_code, version, duration_ms: Date.parse(finished_at) - Date.parse(started_at) }
}

function withDuration(last: LastRun | undefined): ScheduleStatus['last'] {
  return last && { ...last, duration_ms: Date.parse(last.finished_at) - Date.parse(last.started_at) }
}

function timeOf(time: string, ahead: number): string {
  return new Date((parseEngineTime(time) ?? 0) - ahead).toISOString()
}
