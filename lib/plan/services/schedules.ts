import type { ScheduledJob } from '../../config/services/jobs.ts'
import type { Action, PlanInput, ServicePlan } from '../input.ts'

type Say = (action: Action, why: string, ifImageChanges?: boolean) => ServicePlan

/**
 * A release creates a container for each of its scheduled jobs, and starts none: cron or systemd does, at its hours. What did not
 * change keeps its container.
 * @param reasons what is new about the service
 */
export function planScheduled(
  service: string,
  job: ScheduledJob,
  input: PlanInput,
  reasons: readonly string[],
  say: Say,
): ServicePlan {
  const { serving, containers, images } = input
  const before = serving?.bundle.schedules?.[service]
  const at = `runs at ${job.schedule}`
  if (before === undefined) return say('schedule', `new: ${at}`)
  const container = containers.find(({ id }) => id === before.container)
  const moved = before.schedule === job.schedule ? [] : [`it ran at ${before.schedule}`]
  const limited = before.timeout === job.timeout ? [] : ['timeout changed']
  const [was, is] = [serving?.bundle.scheduler, input.scheduler]
  // Two users would start the same container: a new one leaves nothing to start for the entries of the other.
  const handed = was && is && was.user !== is.user ? [`${was.user} has started it until now, and ${is.user} will`] : []
  const changes = [...moved, ...limited, ...handed, ...(container ? [] : ['its container is gone']), ...reasons]
  if (changes.length > 0) return say('schedule', `${at}; ${changes.join('; ')}`)
  if (images[service] === undefined) return say('schedule', `${at}; if the built or pulled image differs`, true)
  if (container?.image !== images[service].id) return say('schedule', `${at}; its image was changed by hand`)
  return say('unchanged', at)
}
