import type { Container } from './docker.ts'
import { parseEngineTime } from './docker-json.ts'
import { plainLine, timesText } from './format.ts'
import type { PlanInput } from './plan.ts'
import { planService } from './plan-service.ts'
import { replicasOf } from './services.ts'

/** One container, as it is now. */
export interface ContainerStatus {
  readonly name: string
  readonly id: string
  readonly image: { readonly id: string; readonly name: string }
  /** of the release that has this image; null: none has it */
  readonly version: string | null
  readonly state: Container['state']
  readonly exit_code: number
  readonly health: Container['health']
  readonly restarts: number
  /** ISO 8601, by our clock; absent: it never started */
  readonly started_at?: string
}

/** What should run of a service of the serving release, and what runs. */
export interface ServiceStatus {
  readonly service: string
  /** which of several */
  readonly host?: string
  readonly job: boolean
  /** `strategy: hold`: no release touches it */
  readonly held: boolean
  /** how many containers it was released with; of a job 0 */
  readonly wanted: number
  readonly running: number
  readonly containers: readonly ContainerStatus[]
  /** how it differs from the serving release, and what is wrong with it; no env values */
  readonly drift: readonly string[]
}

/** What is known besides the plan's input, to say it of a container. */
export interface Knowledge {
  /** milliseconds since the epoch, by our clock */
  readonly now: number
  /** milliseconds that the engine's clock is ahead of ours */
  readonly ahead: number
  readonly image: (service: string, id: string) => { readonly name: string; readonly version: string | null }
  /** which release made a container, as ` it is of v3 (rel-…), which …`; undefined: the serving one, or none */
  readonly madeBy: (container: Container) => string | undefined
  /** hides env values in what a healthcheck printed */
  readonly mask: (text: string) => string
}

/** An engine waits for up to a minute before it starts a container again (moby restartmanager). */
const RESTART_PERIOD = 60_000

/** @param input the serving release, planned over itself @returns its services, in the order in which they start */
export function serviceStatuses(input: PlanInput, known: Knowledge): ServiceStatus[] {
  const names = input.topology.order.filter((name) => input.target.model.services[name])
  return names.map((service) => serviceStatus(service, input, known))
}

function serviceStatus(service: string, input: PlanInput, known: Knowledge): ServiceStatus {
  const own = input.containers.filter((container) => container.service === service)
  const job = input.topology.jobs.includes(service)
  const wanted = job ? 0 : releasedReplicas(service, input)
  return {
    service,
    job,
    held: input.environment.services[service]?.rollout.strategy === 'hold',
    wanted,
    running: own.filter(({ state }) => state === 'running').length,
    containers: own.map((container) => containerStatus(container, known)),
    drift: job ? own.flatMap(jobDrift) : serviceDrift({ service, own, wanted }, input, known),
  }
}

function containerStatus(container: Container, known: Knowledge): ContainerStatus {
  const { name, id, state, exitCode, health, restarts, startedAt } = container
  const { version, ...image } = known.image(container.service, container.image)
  const started = startOf(startedAt, known)
  return {
    ...{ name, id, image: { id: container.image, ...image }, version },
    ...{ state, exit_code: exitCode, health, restarts },
    ...(started === undefined ? {} : { started_at: new Date(started).toISOString() }),
  }
}

/** A number that was set by hand before the release is what was released: a deploy keeps it. */
function releasedReplicas(service: string, { serving, target }: PlanInput): number {
  const planned = serving?.bundle.plan?.services.find((plan) => plan.service === service)
  return planned?.replicas ?? replicasOf(target.model.services[service] ?? {})
}

function jobDrift({ state, exitCode }: Container): string[] {
  return state === 'exited' && exitCode !== 0 ? [`it ended with exit code ${exitCode}`] : []
}

interface Own {
  readonly service: string
  readonly own: readonly Container[]
  readonly wanted: number
}

function serviceDrift({ service, own, wanted }: Own, input: PlanInput, known: Knowledge): string[] {
  if (own.length === 0) return wanted === 0 ? [] : [plannedReason(service, [], input) ?? 'it does not exist']
  const each = own.map((container) => {
    const others = input.containers.filter((other) => other.service !== service)
    const stopped = plannedReason(service, [...others, container], input)
    const changed = plannedReason(service, [...others, { ...container, state: 'running' }], input)
    const made = changed === undefined ? undefined : (known.madeBy(container) ?? changed)
    const reasons = stopped === changed ? [made] : [stopped, made]
    return [...reasons.flatMap((reason) => reason ?? []), ...lifeDrift(container, known)]
  })
  return [...numberDrift(own.length, wanted), ...byContainer(own, each)]
}

/**
 * @returns why the planner would make the service anew if it had these containers: it looks at what a release made. Of
 * what is held as well, and of health apart: `lifeDrift` says more.
 */
function plannedReason(service: string, containers: readonly Container[], input: PlanInput): string | undefined {
  const { expose } = input.serving?.bundle.services?.[service] ?? {}
  const services = { ...input.environment.services, [service]: { rollout: {}, ...(expose ? { expose } : {}) } }
  const environment = { ...input.environment, services }
  const without = containers.map((container) => ({ ...container, health: 'none' as const }))
  const { action, why, ifImageChanges } = planService(
    service,
    { ...input, environment, containers: without },
    new Set(),
  )
  return action === 'unchanged' || action === 'scale' || ifImageChanges ? undefined : why
}

function lifeDrift({ state, health, healthOutput, restarts, startedAt }: Container, known: Knowledge): string[] {
  if (state !== 'running') return []
  const age = known.now - (startOf(startedAt, known) ?? known.now)
  if (restarts > 0 && age < RESTART_PERIOD)
    return [`it keeps ending: restarted ${timesText(restarts)}, last ${formatAge(age)} ago`]
  if (health === 'starting') return ['its healthcheck has not passed yet']
  if (health !== 'unhealthy') return []
  const said = plainLine(known.mask(healthOutput).trimEnd().split('\n').at(-1) ?? '')
  return [said === '' ? 'it is unhealthy' : `it is unhealthy: ${said}`]
}

function numberDrift(count: number, wanted: number): string[] {
  if (count === wanted) return []
  return [
    count < wanted ? `only ${count} of ${wanted} containers exist` : `${count} containers, released with ${wanted}`,
  ]
}

/** What is true of all of them is said once, without their names. */
function byContainer(own: readonly Container[], reasons: readonly (readonly string[])[]): string[] {
  const all = [...new Set(reasons.flat())]
  return all.map((reason) => {
    const these = own.filter((_, at) => reasons[at]?.includes(reason))
    return these.length === own.length ? reason : `${these.map(({ name }) => name).join(', ')}: ${reason}`
  })
}

/** @returns `40 s`, `5 min`, `3 h`, `12 d` from milliseconds. */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / (24 * 3600))} d`
}

/** @returns epoch milliseconds by our clock */
function startOf(startedAt: string, { ahead }: Knowledge): number | undefined {
  const time = parseEngineTime(startedAt)
  return time === undefined ? undefined : time - ahead
}
