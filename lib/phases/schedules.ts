import { scheduledServices, scheduleOf } from '../config/services/jobs.ts'
import type { Docker } from '../docker/client.ts'
import { listContainers } from '../docker/containers.ts'
import { type Container, isUp, parseEngineTime } from '../docker/inspect.ts'
import { lastLogLines, removeContainers } from '../docker/lifecycle.ts'
import type { Host } from '../hosts/host.ts'
import { type Schedules as Found, lookAtSchedules, writeSchedules } from '../hosts/schedules/host.ts'
import type { Emit } from '../output/events.ts'
import type { LastRun, Plan, PlanInput, Scheduled } from '../plan/input.ts'
import type { Project } from '../project/settings.ts'
import type { Bundle } from '../record/bundle.ts'
import { errorText, StagecraftError } from '../util/errors.ts'
import type { OpenBundle } from './host-run.ts'

type Schedules = Readonly<Record<string, Scheduled>>

/** Looks for what runs jobs at their hours, if there are any. @throws unreachable (8) */
export async function lookForScheduler(
  { host, environment, model }: Pick<Project, 'host' | 'environment' | 'model'>,
  docker: Docker,
): Promise<Found | undefined> {
  if (scheduledServices(environment.services).every(([name]) => model.services[name] === undefined)) return undefined
  return lookAtSchedules({ host, docker, project: model.name })
}

/**
 * @param containers of the project, once the release's own have been created @param before ids of those from before it
 * @returns the schedules of the release on this host; undefined: it has none
 */
export function schedulesNow(
  { environment, serving }: Pick<PlanInput, 'environment' | 'serving'>,
  { services }: Pick<Plan, 'services'>,
  containers: readonly Container[],
  before: ReadonlySet<string>,
): Schedules | undefined {
  const found = services.flatMap(({ service, action }): [string, Scheduled][] => {
    const job = scheduleOf(environment.services[service]?.job)
    const live = serving?.bundle.schedules?.[service]
    if (job === undefined || action === 'remove') return []
    if (action !== 'schedule') return live ? [[service, live]] : []
    const made = containers.find((container) => container.service === service && !before.has(container.id))
    const last = live?.last
    return made ? [[service, { ...job, container: made.id, ...(last ? { last } : {}) }]] : []
  })
  return found.length === 0 ? undefined : Object.fromEntries(found)
}

/**
 * Makes the host run the jobs of a release, and no others of its project. May be repeated.
 * @returns what runs them; undefined: there are none @throws config (3), failed (5), unreachable (8)
 */
export async function installSchedules(
  { host, docker }: { readonly host: Host; readonly docker: Docker },
  { project, schedules = {}, scheduler }: Pick<Bundle, 'project' | 'schedules' | 'scheduler'>,
): Promise<Bundle['scheduler']> {
  const entries = Object.entries(schedules).map(([service, one]) => ({ service, ...one }))
  if (entries.length === 0 && scheduler === undefined) return undefined
  return writeSchedules({ host, docker, project }, entries, scheduler)
}

/** The same for a release whose run died. A host that cannot run jobs any more does not stop the next release. */
export async function reschedule(
  { host, docker, emit }: { readonly host: Host; readonly docker: Docker; readonly emit: Emit },
  bundle: Bundle,
): Promise<Pick<Bundle, 'scheduler'> | undefined> {
  try {
    return { scheduler: await installSchedules({ host, docker }, bundle) }
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind === 'unreachable') throw error
    emit({ type: 'warning', message: errorText(error), hint: 'The next deploy writes the schedules again.' })
    return undefined
  }
}

interface SpentOptions {
  /** of the release that made a container */
  readonly versionOf: (container: Container) => string
  readonly keepLog: (container: string, lines: string) => void
}

/**
 * Removes containers of scheduled jobs that nothing starts any more. One that is at work ends its work, and goes with a later
 * release. How the last run ended is kept until the next one.
 */
export async function removeSpent(
  docker: Docker,
  bundle: OpenBundle,
  { versionOf, keepLog }: SpentOptions,
): Promise<void> {
  const { schedules, project } = bundle.now
  if (schedules === undefined) return
  const all = (await listContainers(docker, project)).filter(({ service }) => schedules[service])
  const spent = all.filter((one) => !isUp(one) && schedules[one.service]?.container !== one.id)
  const runs = spent.flatMap((one) => {
    const last = lastRun(one, versionOf(one))
    return last ? [[one.service, last] as const] : []
  })
  const kept = Object.entries(schedules).map(([service, one]) => {
    const [newest] = [
      ...runs.flatMap(([name, run]) => (name === service ? [run] : [])),
      ...(one.last ? [one.last] : []),
    ].toSorted((a, b) => (a.started_at < b.started_at ? 1 : -1))
    return [service, newest ? { ...one, last: newest } : one] as const
  })
  if (runs.length > 0) bundle.save({ schedules: Object.fromEntries(kept) })
  for (const { id, name } of spent) keepLog(name, await lastLogLines(docker, id, KEPT_LINES))
  await removeContainers(docker, spent)
}

/** Lines of log that are kept of a removed container. */
const KEPT_LINES = 100

/** @returns how the last run of a container ended; undefined: it has not run, or has not ended */
function lastRun(container: Container, version: string): LastRun | undefined {
  const [started, finished] = [container.startedAt, container.finishedAt].map(parseEngineTime)
  if (started === undefined || finished === undefined || isUp(container)) return undefined
  const [started_at, finished_at] = [started, finished].map((time) => new Date(time).toISOString())
  return { started_at: started_at ?? '', finished_at: finished_at ?? '', exit_code: container.exitCode, version }
}
