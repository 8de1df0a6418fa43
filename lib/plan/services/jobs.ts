import { migrationJobs } from '../../config/databases.ts'
import type { Environment } from '../../config/parse.ts'
import type { ReleasedImage } from '../../docker/images.ts'
import type { Container } from '../../docker/inspect.ts'
import type { Action, PlanInput, ServicePlan } from '../input.ts'
import { hasEnded, jobLine } from './ending.ts'

type Say = (action: Action, why: string, ifImageChanges?: boolean) => ServicePlan

/** @param reasons what is new about the job @returns whether a job runs, and why. It runs if something about it changed */
export function planJob(service: string, input: PlanInput, reasons: readonly string[], say: Say): ServicePlan {
  const containers = input.containers.filter((container) => container.service === service)
  if (isLeftOut(service, input)) return leaveOut(service, input, reasons, say)
  if (input.serving === undefined && hasEnded(containers)) return planAdopted(service, input, containers, say)
  const stale = isStale(service, input)
  const all = stale && runsInRollback(service, input.environment) ? [...reasons, LEFT_OUT] : reasons
  const known = input.serving?.model.services[service] !== undefined
  const plan = decide(say, known, all, input.images[service] === undefined)
  return stale && plan.action === 'unchanged' ? { ...plan, stale } : plan
}

const LEFT_OUT = 'a rollback left it out'

/** A job runs again if something about it changed, not because its container is gone. */
function decide(say: Say, known: boolean, reasons: readonly string[], unknown: boolean): ServicePlan {
  if (!known) return say('job', 'new: runs once, to completion')
  if (reasons.length > 0) return say('job', `runs again: ${reasons.join('; ')}`)
  if (unknown) return say('job', 'runs again if the built or pulled image differs', true)
  return say('unchanged', 'has run, and nothing changed')
}

/** A container that matches the Compose file and has ended with 0 counts as a job that has run. */
function planAdopted(service: string, input: PlanInput, containers: readonly Container[], say: Say): ServicePlan {
  const hashes = input.adoptable[service] ?? []
  const image = input.images[service]
  if (!containers.every(({ configHash }) => hashes.includes(configHash))) return decide(say, false, [], false)
  if (image === undefined) return decide(say, true, [], true)
  return runsImage(containers, image)
    ? say('unchanged', 'adopted: it has run, and ended with 0')
    : decide(say, true, ['image changed'], false)
}

/** @returns whether all containers have exactly this image */
export function runsImage(containers: readonly Container[], { id }: ReleasedImage): boolean {
  return containers.every(({ image }) => image === id)
}

/** @returns whether stagecraft.yml asks for a job to be run in a rollback too */
export function runsInRollback(service: string, { services }: Pick<Environment, 'services'>): boolean {
  const job = services[service]?.job
  return typeof job === 'object' && job.rollback === 'run'
}

/** @returns whether a rollback does not even consider a job: it runs only those that ask for it, and no migrations */
export function isLeftOut(service: string, { rollback, environment }: PlanInput): boolean {
  return rollback === true && (!runsInRollback(service, environment) || migrationJobs(environment).includes(service))
}

/** What stays up in the live release, and is a job in the target, is removed: nothing of the target stays up in its place. */
function leaveOut(service: string, input: PlanInput, reasons: readonly string[], say: Say): ServicePlan {
  const { serving, containers, version } = input
  const before = serving?.model.services[service]
  const isHeld = input.environment.services[service]?.rollout.strategy === 'hold'
  const staysUp = before !== undefined && serving?.bundle.topology.jobs.includes(service) === false
  const plan =
    staysUp && !isHeld && containers.some((container) => container.service === service)
      ? { ...say('remove', `a job in ${version}, which runs only in a deploy; its volumes stay`), replicas: 0 }
      : say('unchanged', `left alone: it completed in ${version}, and runs only in a deploy`)
  const isOther = before === undefined || staysUp || reasons.length > 0 || isStale(service, input)
  return isOther ? { ...plan, stale: true } : plan
}

/** @returns whether a rollback left a job out, and no release has run it since. */
function isStale(service: string, { serving }: PlanInput): boolean {
  return serving?.bundle.plan?.services.find((plan) => plan.service === service)?.stale === true
}

/** If a job's container and a service that it needs are both gone (`docker compose down`), so is what the job prepared. */
export function repeatJob(
  own: ServicePlan,
  { topology, containers }: Pick<PlanInput, 'topology' | 'containers'>,
  plans: ReadonlyMap<string, ServicePlan>,
): ServicePlan {
  if (containers.some(({ service }) => service === own.service)) return own
  const created = (topology.needs[own.service] ?? []).find(({ service }) => plans.get(service)?.action === 'create')
  if (created === undefined) return own
  return { ...own, action: 'job', why: `runs again: ${created.service} is created again`, ifImageChanges: false }
}

/** @returns notes on jobs that a rollback leaves out although the live release has others, and how to ask for them. */
export function leftOutNotes(input: PlanInput, plans: readonly ServicePlan[]): string[] {
  const migrate = migrationJobs(input.environment)
  const left = plans.filter(
    ({ service, stale }) => stale === true && isLeftOut(service, input) && !migrate.includes(service),
  )
  return left.map(({ service }) => {
    const line = jobLine(service, input.environment.name, '{rollback: run}')
    return `a rollback runs no job, and the last run of ${service} was another release's: it is left out. If it must run in a rollback too (assets copied into a volume, say), set it in stagecraft.yml: ${line}`
  })
}
