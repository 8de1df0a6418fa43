import { sameContent } from './canonical.ts'
import type { PlanInput, ProxyPlan, RoutePlan, ServicePlan } from './plan.ts'
import { refuseImpossibleRoutes } from './route-conflicts.ts'
import {
  describeRoute,
  exposedServices,
  otherSlot,
  PROXY_IMAGE,
  type Route,
  type Routed,
  routesOf,
  type Slots,
} from './routes.ts'

/** What a plan says of routes follows from these parts of its input. */
type RouteInput = Pick<PlanInput, 'environment' | 'serving' | 'target' | 'routed'>

/** @returns what the proxy does for the project before the release. */
export function routedBefore({ serving, routed }: Pick<PlanInput, 'serving' | 'routed'>): Routed {
  const { routes = [], slots = {} } = serving?.bundle ?? {}
  return routed ?? { routes, slots }
}

/** @returns where the containers of each routed service will be: what is new gets the slot that is not live. */
export function plannedSlots(input: RouteInput, services: readonly ServicePlan[]): Slots {
  const { environment } = input
  const live = routedBefore(input).slots
  return Object.fromEntries(
    exposedServices(environment.services).flatMap(([service]) => {
      const action = services.find((plan) => plan.service === service)?.action
      if (action === undefined) return []
      const isNew = action === 'rolling' || action === 'create'
      return [[service, isNew ? otherSlot(live[service]) : (live[service] ?? 'a')] as const]
    }),
  )
}

/** @returns the routes of the release, but for the subnets of internal ones: their networks may not exist yet. */
export function plannedRoutes(input: RouteInput, slots: Slots): Route[] {
  return routesOf(input.environment.services, input.target.model, { slots, before: routedBefore(input).routes })
}

/** @throws config (3) for routes that cannot be */
export function planRoutes(input: RouteInput, services: readonly ServicePlan[]): RoutePlan[] {
  refuseImpossibleRoutes(input.environment.services, input.target.model)
  const before = routedBefore(input).routes
  const now = plannedRoutes(input, plannedSlots(input, services))
  const kept = now.map((route): RoutePlan => {
    const was = before.find(({ service }) => service === route.service)
    const same = was !== undefined && sameContent(withoutSubnets(was), withoutSubnets(route))
    return { service: route.service, action: was ? (same ? 'keep' : 'change') : 'add', route: describeRoute(route) }
  })
  const gone = before.filter(({ service }) => !now.some((route) => route.service === service))
  return [
    ...kept,
    ...gone.map((route): RoutePlan => ({ service: route.service, action: 'remove', route: describeRoute(route) })),
  ]
}

function withoutSubnets({ internal, ...route }: Route): object {
  return { ...route, internal: internal && { ...internal, subnets: [] } }
}

/** @returns what is done to the proxy, or null where nobody needs it. */
export function planProxy({ proxy, environment }: PlanInput, routes: readonly RoutePlan[]): ProxyPlan | null {
  if (routes.length === 0) return null
  const image = environment.proxy?.image
  if (proxy === undefined) return { action: 'start', why: `this host has none yet (${image ?? PROXY_IMAGE})` }
  const why = proxy.outdated
  if (why !== undefined)
    return { action: 'upgrade', why: `${why}: for a second or so no route of this host answers, of any project` }
  if (proxy.state !== 'running') return { action: 'start', why: `it is ${proxy.state}` }
  if (proxy.lost) return { action: 'mend', why: 'it does not do what serves' }
  return { action: 'keep', why: `${proxy.reference} runs` }
}

/** The promise is for what the proxy routes: whoever asks Docker's DNS gets a new container as soon as it is started. */
export function callerNotes({ environment, topology }: PlanInput, services: readonly ServicePlan[]): string[] {
  return services.flatMap(({ service, action }) => {
    if (action !== 'rolling' || environment.services[service]?.expose?.internal) return []
    const callers = topology.order.filter((name) =>
      (topology.needs[name] ?? []).some((need) => need.service === service),
    )
    if (callers.length === 0) return []
    return [
      `${callers.join(', ')} may call ${service} by its name on their network: the proxy does not see that, and requests ` +
        'may fail meanwhile; `expose: {internal: true, port: …}` lets the proxy answer there',
    ]
  })
}
