import { isOnEachNode, replicasOf } from '../compose/topology.ts'
import { type Container, parseEngineTime } from '../docker/inspect.ts'
import type * as contract from '../output/contract/status.ts'
import type { LiveFacts, PlanInput } from '../plan/input.ts'
import { planService } from '../plan/services/decide.ts'
import { plainLine, timesText } from '../util/format.ts'
import type { Of } from '../util/schema.ts'

/** One container, as it is now. */
export type ContainerStatus = ServiceStatus['containers'][number]

/** What should run of a service of the live release, and what runs. */
export type ServiceStatus = Of<typeof contract.service>

/** What is known of containers besides the plan's input. */
export interface Knowledge {
  /** milliseconds since the epoch, by this machine's clock */
  readonly now: number
  /** milliseconds that the engine's clock is ahead of this machine's */
  readonly ahead: number
  readonly image: (service: string, id: string) => { readonly name: string; readonly version: string | null }
  /** which release made a container, such as `it belongs to v3 (rel-…), which …`; undefined: the live one, or none */
  readonly madeBy: (container: Container) => string | undefined
  /** when the gate of the live release stopped watching a service that it made; milliseconds, by this machine's clock */
  readonly gated: (service: string) => number | undefined
  /** hides env values in what a healthcheck printed */
  readonly mask: (text: string) => string
}

/** Milliseconds that an engine waits at most before it restarts a container (moby restartmanager). */
const RESTART_PERIOD = 60_000

/** @param input the live release, planned over itself @returns its services, in the order in which they start */
export function serviceStatuses(input: PlanInput, known: Knowledge): ServiceStatus[] {
  const names = input.topology.order.filter((name) => input.target.model.services[name])
  return names.map((service) => serviceStatus(service, input, known))
}

function serviceStatus(service: string, input: PlanInput, known: Knowledge): ServiceStatus {
  const own = input.containers.filter((container) => container.service === service)
  const job = input.topology.jobs.includes(service)
  const scheduled = input.serving?.bundle.schedules?.[service] !== undefined // lib/status/schedules says more
  const wanted = job ? 0 : releasedReplicas(service, input)
  return {
    service,
    job,
    held: input.environment.services[service]?.rollout.strategy === 'hold',
    wanted,
    running: own.filter(({ state }) => state === 'running').length,
    containers: own.map((container) => containerStatus(container, known)),
    drift: scheduled ? [] : job ? own.flatMap(jobDrift) : serviceDrift({ service, own, wanted }, input, known),
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

/** @returns the planned number of containers: a number that was set by hand before the release is kept by it. Of a global service Swarm says it. */
function releasedReplicas(service: string, { serving, target, environment, containers }: PlanInput): number {
  const isGlobal = environment.engine === 'swarm' && isOnEachNode(target.model.services[service] ?? {})
  if (isGlobal) return containers.filter((container) => container.service === service).length
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
    const isUp = container.state === 'running'
    const stopped = isUp ? undefined : plannedReason(service, [...others, container], input)
    const changed = plannedReason(service, [...others, { ...container, state: 'running' }], input)
    const made = changed === undefined ? undefined : (known.madeBy(container) ?? changed)
    return [...[stopped, made].flatMap((reason) => reason ?? []), ...lifeDrift(container, known)]
  })
  const scaled = input.serving?.bundle.scaled?.[service]
  return [...numberDrift(own.length, wanted, scaled), ...byContainer(own, each)]
}

/**
 * @returns why the planner would recreate the service if it had these containers, also if it is held. Health is left
 * out: `lifeDrift` says more.
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

/** @returns what is wrong with a running container. Restarts while the gate waited for it do not count. */
function lifeDrift(container: Container, known: Knowledge): string[] {
  const { service, state, health, healthOutput, restarts, startedAt } = container
  if (state !== 'running') return []
  const started = startOf(startedAt, known) ?? known.now
  const age = known.now - started
  if (restarts > 0 && age < RESTART_PERIOD && started > (known.gated(service) ?? 0))
    return [`it keeps exiting: restarted ${timesText(restarts)}, last ${formatAge(age)} ago`]
  if (health === 'starting') return ['its healthcheck has not passed yet']
  if (health !== 'unhealthy') return []
  const said = plainLine(known.mask(healthOutput).trimEnd().split('\n').at(-1) ?? '')
  return [said === '' ? 'it is unhealthy' : `it is unhealthy: ${said}`]
}

function numberDrift(
  count: number,
  wanted: number,
  scaled: NonNullable<LiveFacts['scaled']>[string] | undefined,
): string[] {
  if (count === wanted) return []
  if (scaled?.replicas === count)
    return [`scaled from ${wanted} to ${count} by ${scaled.by}: the next release keeps it`]
  return [
    count < wanted ? `only ${count} of ${wanted} containers exist` : `${count} containers, released with ${wanted}`,
  ]
}

/** Reasons that hold for all containers are given once, without their names. */
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

/** @returns milliseconds since the epoch, by this machine's clock */
function startOf(startedAt: string, { ahead }: Knowledge): number | undefined {
  const time = parseEngineTime(startedAt)
  return time === undefined ? undefined : time - ahead
}
