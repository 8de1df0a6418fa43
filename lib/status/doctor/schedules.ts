import { hostKey } from '../../config/host-address.ts'
import { scheduledServices } from '../../config/services/jobs.ts'
import type { Docker } from '../../docker/client.ts'
import { lookAtSchedules } from '../../hosts/schedules/host.ts'
import type { Settings } from '../../project/settings.ts'
import { bad, type Check, ok } from './check.ts'

/** @returns whether a host can run the jobs that it has to run; nothing, if it has none */
export async function schedulerChecks(
  { host, environment: { services } }: Pick<Settings, 'host' | 'environment'>,
  docker: Docker,
  isFirst: boolean,
): Promise<Check[]> {
  const firsts = scheduledServices(services).map(([name]) => services[name]?.hosts?.[0])
  if (!firsts.some((first) => (first ? hostKey(first) === host.key : isFirst))) return []
  const { scheduler } = await lookAtSchedules({ host, docker, project: '-' })
  const what = 'schedules'
  if ('by' in scheduler) return [ok(what, `${scheduler.by}, as ${scheduler.user}`)]
  const { lacks, detail, hint } = scheduler
  return [bad(what, [lacks, detail].filter(Boolean).join(': '), hint)]
}
