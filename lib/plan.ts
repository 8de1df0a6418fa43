import type { Bundle } from './bundle.ts'
import type { ComposeModel } from './compose.ts'
import type { Environment } from './config.ts'
import { contentNotes, dataNotes } from './content-text.ts'
import type { Container, ProxyContainer } from './docker.ts'
import { endingNotes } from './ending.ts'
import type { ReleasedImage } from './images.ts'
import { refuseUnkeepable } from './plan-adoption.ts'
import { planNetworks, refuseChangedVolumes } from './plan-networks.ts'
import { type Handover, planHandovers } from './plan-ports.ts'
import { rollIfPossible } from './plan-rolling.ts'
import { callerNotes, planProxy, planRoutes } from './plan-routes.ts'
import { HELD, planService } from './plan-service.ts'
import { inheritedVolumes } from './plan-volumes.ts'
import { releaseId } from './release-id.ts'
import type { Rendering } from './render.ts'
import type { Routed } from './routes.ts'
import type { Topology } from './services.ts'
import type { PhaseName } from './state.ts'

/** What a rollout does to a service (design 6). */
export type Action = 'unchanged' | 'create' | 'rolling' | 'recreate' | 'scale' | 'job' | 'hold' | 'remove'

/** What will be done to one service, and why. */
export interface ServicePlan {
  readonly service: string
  readonly action: Action
  /** one line, no env values */
  readonly why: string
  /** how many containers there are to be */
  readonly replicas: number
  /** true: only if its image, which is not known yet, changes */
  readonly ifImageChanges: boolean
  /** recreate: no release made what runs, and its definition is not known: it stays, stopped, until the release is live */
  readonly aside?: true
  /** recreate: it does not answer for a while */
  readonly gap?: Gap
}

/** Why a service that is recreated does not roll. */
export interface Gap {
  readonly because: string
  /** what would make it roll */
  readonly avoid?: string
  /** from its stop until it was ready, the last time; absent: not measured yet */
  readonly ms?: number
  /** one replica after the other: the others go on */
  readonly inTurn: boolean
}

/** What becomes of a route of the proxy. */
export interface RoutePlan {
  readonly service: string
  readonly action: 'add' | 'change' | 'keep' | 'remove'
  /** what it answers, for people */
  readonly route: string
}

/** What is done to the host's proxy itself. */
export interface ProxyPlan {
  readonly action: 'start' | 'upgrade' | 'mend' | 'keep'
  readonly why: string
}

export interface NetworkPlan {
  /** the engine's name of it */
  readonly network: string
  readonly action: 'replace' | 'remove'
}

/** What a release will do, phase by phase. The executor decides nothing. */
export interface Plan {
  /** which of several hosts */
  readonly host?: string
  readonly environment: string
  readonly project: string
  readonly version: string
  readonly serving: { readonly id: string; readonly version: string } | null
  /** one line a phase */
  readonly phases: Readonly<Record<PhaseName, string>>
  /** in the order in which they are acted on; services that go are last */
  readonly services: readonly ServicePlan[]
  readonly networks: readonly NetworkPlan[]
  readonly handovers: readonly Handover[]
  readonly routes: readonly RoutePlan[]
  /** null: no route, and so no need of it */
  readonly proxy: ProxyPlan | null
  /** what the user should know and nothing is done about */
  readonly notes: readonly string[]
}

/** Everything a plan follows from. */
export interface PlanInput {
  /** which of several hosts */
  readonly host?: string
  readonly environment: Environment
  readonly version: string
  readonly target: Rendering
  readonly topology: Topology
  /** by service; absent: not known before it is built or pulled */
  readonly images: Readonly<Record<string, ReleasedImage>>
  readonly serving: { readonly bundle: Bundle; readonly model: ComposeModel } | undefined
  /** of the Compose project, in any state */
  readonly containers: readonly Container[]
  /** where nothing has been released yet but containers run: the labels they would have if they are as the file says */
  readonly adoptable: Readonly<Record<string, readonly string[]>>
  /** services of which an adoption that failed has brought the containers back: what they were made from is known */
  readonly remembered?: readonly string[]
  /** the host's proxy as it is; undefined: there is none, or nobody needs to know */
  readonly proxy: SeenProxy | undefined
  /** what it does for the project where no release says it; default: what the serving one made it do */
  readonly routed?: Routed
  /** of a release that completed, with all of its jobs: they are not run again */
  readonly rollback?: boolean
  readonly phases: Readonly<Record<PhaseName, string>>
}

export interface SeenProxy extends ProxyContainer {
  /** why it is to be made anew */
  readonly outdated: string | undefined
  /** it does not do what the serving release made it do */
  readonly lost: boolean
}

/**
 * Decides what each phase will do. Pure.
 * @throws config (3) where the definition of a volume changed: only its owner may decide about the data
 */
export function makePlan(input: PlanInput): Plan {
  refuseChangedVolumes(input)
  const networks = planNetworks(input)
  const replaced = new Set(networks.filter(({ action }) => action === 'replace').map(({ network }) => network))
  const plans = new Map<string, ServicePlan>()
  for (const service of input.topology.order) {
    const own = planService(service, input, replaced)
    plans.set(service, rollIfPossible(follow(own, input, plans), input, replaced))
  }
  const services = [...plans.values(), ...planRemovals(input)]
  refuseUnkeepable(input, services)
  const routes = planRoutes(input, services)
  return {
    ...(input.host === undefined ? {} : { host: input.host }),
    environment: input.environment.name,
    project: input.target.model.name,
    version: input.version,
    serving: input.serving ? { id: releaseId(input.serving.bundle.id), version: input.serving.bundle.version } : null,
    phases: input.phases,
    services,
    networks,
    handovers: planHandovers(input, services),
    routes,
    proxy: planProxy(input, routes),
    notes: [
      ...notesOf(input),
      ...inheritedVolumes(input, services),
      ...endingNotes(input, services),
      ...callerNotes(input, services),
    ],
  }
}

/** @returns whether a plan leaves everything as it is. */
export function isNothingToDo(plan: Plan): boolean {
  const done = plan.services.every(
    ({ action, ifImageChanges }) => !ifImageChanges && ['unchanged', 'hold'].includes(action),
  )
  const routed = plan.routes.every(({ action }) => action === 'keep')
  return done && routed && plan.networks.length === 0 && (plan.proxy?.action ?? 'keep') === 'keep'
}

/** What uses something of a service that is made anew is made anew after it. */
function follow(
  own: ServicePlan,
  { topology, containers, rollback }: PlanInput,
  plans: ReadonlyMap<string, ServicePlan>,
): ServicePlan {
  if (own.action !== 'unchanged' && own.action !== 'scale' && !own.ifImageChanges) return own
  if (topology.jobs.includes(own.service)) return rollback ? own : repeat(own, topology, plans, containers)
  const needs = (topology.needs[own.service] ?? []).filter(({ follows, service }) => {
    const plan = plans.get(service)
    return follows && ['recreate', 'rolling', 'create'].includes(plan?.action ?? '')
  })
  const certain = needs.find(({ service }) => !plans.get(service)?.ifImageChanges)
  const cause = certain ?? (own.ifImageChanges ? undefined : needs[0])
  if (cause === undefined) return own
  const why = `it ${cause.why}, which is made anew`
  return { ...own, action: 'recreate', why, ifImageChanges: certain === undefined }
}

/** What a job prepared is gone if what it needs is gone, and the job with it: as after `docker compose down`. */
function repeat(
  own: ServicePlan,
  topology: Topology,
  plans: ReadonlyMap<string, ServicePlan>,
  containers: readonly Container[],
): ServicePlan {
  if (containers.some(({ service }) => service === own.service)) return own
  const created = (topology.needs[own.service] ?? []).find(({ service }) => plans.get(service)?.action === 'create')
  if (created === undefined) return own
  return { ...own, action: 'job', why: `runs again: ${created.service} is created anew`, ifImageChanges: false }
}

function planRemovals(input: PlanInput): ServicePlan[] {
  const left = input.serving?.bundle.retiring?.filter((name) =>
    input.containers.some(({ service }) => service === name),
  )
  const before = new Set([...Object.keys(input.serving?.model.services ?? {}), ...(left ?? [])])
  const gone = [...before].filter((name) => !input.target.model.services[name])
  return gone.toSorted().map((service) => ({
    service,
    action: 'remove',
    why: `not ${input.host === undefined ? 'in the Compose file' : 'on this host'} any more; its volumes stay`,
    replicas: 0,
    ifImageChanges: false,
  }))
}

function notesOf(input: PlanInput): string[] {
  const known = new Set([
    ...Object.keys(input.target.model.services),
    ...Object.keys(input.serving?.model.services ?? {}),
    ...(input.serving?.bundle.retiring ?? []),
  ])
  const strangers = input.containers.filter(({ service }) => !known.has(service))
  return [
    ...dataNotes(input.target.data),
    ...contentNotes(input.target.content),
    ...strangers.map(
      ({ name }) => `container ${name} is of this Compose project but not of this release: it is left alone`,
    ),
  ]
}

/** @returns whether something waits or is not right that a release does not touch. */
export function hasLoose(services: readonly ServicePlan[]): boolean {
  return services.some(({ action, why }) => action === 'hold' && why !== HELD)
}
