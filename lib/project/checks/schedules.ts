import type { ComposeModel, Service } from '../../compose/model.ts'
import { NAMESPACES, namespaceOwner } from '../../compose/topology.ts'
import type { Environment } from '../../config/parse.ts'
import { scheduledServices } from '../../config/services/jobs.ts'
import { withoutDuties } from '../../docker/compose/run.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { Problems } from '../../util/problems.ts'

type Services = Pick<Environment, 'services'>

/** The most letters of the name of a scheduled service: cron reads lines of a limited length. */
const LONGEST = 63

/** Refuses (3) services that cannot run by a schedule. @param problems collects an error for each */
export function checkSchedules({ services }: Services, model: ComposeModel, problems: Problems): void {
  for (const [service] of scheduledServices(services)) {
    const found = notScheduled(service, model)
    if (found) problems.add(new StagecraftError('config', `Cannot run ${service} by a schedule: ${found.why}`, found))
  }
}

function notScheduled(
  service: string,
  { services }: ComposeModel,
): { readonly why: string; readonly hint: string } | undefined {
  const own = services[service] ?? {}
  const waiting = Object.entries(services).find(([, { depends_on: needs = {} }]) => needs?.[service] !== undefined)
  if (waiting)
    return {
      why: `${waiting[0]} depends on it`,
      hint: `No rollout starts it: take it out of \`depends_on\`, or out of the schedule (\`job: true\`).`,
    }
  const owner =
    NAMESPACES.flatMap((key) => namespaceOwner(own[key]) ?? [])[0] ?? own.volumes_from?.[0] ?? own.links?.[0]
  if (owner !== undefined)
    return {
      why: `it is joined to the container of ${owner.split(':')[0]}, which a release may replace`,
      hint: 'Give it networks and volumes of its own (`networks`, `volumes`).',
    }
  if (service.length > LONGEST)
    return { why: `its name is longer than ${LONGEST} letters`, hint: 'Give it a shorter name.' }
  return undefined
}

/** Its log is read with `status`, and must not fill the disk: the same container runs for as long as nothing changes. */
const LOGGING = { driver: 'local', options: { 'max-size': '5m', 'max-file': '2' } }

/** @returns the model in which scheduled services are what their containers are: one each, which does its work and ends */
export function asScheduled(model: ComposeModel, { services }: Services): ComposeModel {
  const scheduled = scheduledServices(services).filter(([name]) => model.services[name])
  if (scheduled.length === 0) return model
  const changed = scheduled.map(([name]) => [name, containerOnly(model.services[name] ?? {})] as const)
  return { ...model, services: { ...model.services, ...Object.fromEntries(changed) } }
}

function containerOnly(own: Service): Service {
  const { ports: _, expose: _e, scale: _s, depends_on: _d, deploy, ...rest } = withoutDuties(own)
  const { replicas: _r, ...limits } = deploy ?? {}
  return { ...rest, ...(deploy ? { deploy: limits } : {}), restart: 'no', logging: LOGGING }
}
