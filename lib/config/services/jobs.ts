import * as v from 'valibot'
import { parseCron } from '../../util/cron.ts'
import { duration } from '../fields.ts'

/** `job:` of a service. `rollback: run`: a rollback runs it if it changed, as a deploy does. Or it runs by a schedule. */
export type JobConfig = boolean | { readonly rollback: 'run'; readonly schedule?: undefined } | ScheduledJob

/** When a job runs (spec/core/jobs.md). */
export interface ScheduledJob {
  /** in the language of cron (lib/util/cron.ts) */
  readonly schedule: string
  /** milliseconds after which a run is ended */
  readonly timeout?: number
  readonly rollback?: undefined
}

const JOB = 'must be true, false, or a mapping such as {rollback: run} or {schedule: "0 3 * * *"}'
const CRON = 'must be a schedule in quotes, such as "0 3 * * *" or "@daily"'

/** An empty mapping is `true`. */
export const job = v.pipe(
  v.union(
    [
      v.boolean(JOB),
      v.strictObject(
        {
          rollback: v.exactOptional(v.picklist(['run'], 'must be run, or left out')),
          schedule: v.exactOptional(
            v.pipe(
              v.string(CRON),
              v.check(
                (text) => typeof parseCron(text) === 'object',
                ({ input }) => String(parseCron(input)),
              ),
            ),
          ),
          timeout: v.exactOptional(duration(1)),
        },
        JOB,
      ),
    ],
    JOB,
  ),
  v.check(
    (value) => typeof value === 'boolean' || value.schedule !== undefined || value.timeout === undefined,
    'has a `timeout`, which is for a job with a `schedule`',
  ),
  v.check(
    (value) => typeof value === 'boolean' || value.schedule === undefined || value.rollback === undefined,
    'has a `schedule`, so no rollback runs it: leave out `rollback`',
  ),
  v.transform((value): JobConfig => {
    if (typeof value === 'boolean') return value
    const { schedule, timeout, rollback } = value
    if (schedule !== undefined) return { schedule, ...(timeout === undefined ? {} : { timeout }) }
    return rollback ? { rollback } : true
  }),
)

/** @returns the schedule of a service; undefined: it has none */
export function scheduleOf(job: JobConfig | undefined): ScheduledJob | undefined {
  return typeof job === 'object' && job.schedule !== undefined ? job : undefined
}

/** @returns the services that run by a schedule */
export function scheduledServices(
  services: Readonly<Record<string, { readonly job?: JobConfig }>>,
): (readonly [service: string, job: ScheduledJob])[] {
  return Object.entries(services).flatMap(([name, { job }]) => {
    const scheduled = scheduleOf(job)
    return scheduled ? [[name, scheduled] as const] : []
  })
}
