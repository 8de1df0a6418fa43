import { sameContent } from '../../util/canonical.ts'
import type { PlanInput, ProxyPlan, RoutePlan, ServicePlan } from '../input.ts'
import { refuseOtherCertificates } from './certificates.ts'
import { refuseImpossibleRoutes } from './conflicts.ts'
import {
  type Acme,
  certificateFile,
  describeRoute,
  exposedServices,
  otherSlot,
  PROXY_IMAGE,
  type ProjectRoutes,
  pageFile,
  type Route,
  type RoutingTable,
  routesOf,
  type Slot,
  type Slots,
} from './table.ts'

/** The parts of a plan's input that its routes follow from. */
type RouteInput = Pick<PlanInput, 'given' | 'environment' | 'serving' | 'target' | 'routed' | 'acme' | 'rollback'>

/** @returns the project's routes and slots before the release. */
export function routedBefore({ serving, routed }: Pick<PlanInput, 'serving' | 'routed'>): RoutingTable {
  const { routes = [], slots = {} } = serving?.bundle ?? {}
  return routed ?? { routes, slots }
}

/** @returns the slot of each routed service's containers: new containers get the slot that is not live. */
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

/** @returns the CA of these routes. A rollback reads no files: it keeps the CA of the live release. */
export function acmeOf(routes: readonly Route[]): Acme | undefined {
  return routes.find(({ acme }) => acme)?.acme
}

/** @returns the routes of the release, without the subnets of internal ones: their networks may not exist yet. */
export function plannedRoutes(input: RouteInput, slots: Slots, services: readonly ServicePlan[]): Route[] {
  const { routes: before, slots: live } = routedBefore(input)
  const acme = input.rollback ? acmeOf(before) : input.acme
  const replicas = Object.fromEntries(services.map((plan) => [plan.service, plan.replicas]))
  return routesOf(input.environment, input.target.model, { slots, live, before, acme, replicas })
}

/** @throws config (3) for routes that cannot exist */
export function planRoutes(input: RouteInput, services: readonly ServicePlan[]): RoutePlan[] {
  refuseImpossibleRoutes(input.environment.services, input.target.model)
  const { routes: before, slots: live } = routedBefore(input)
  const slots = plannedSlots(input, services)
  const now = plannedRoutes(input, slots, services)
  refuseOtherCertificates(input.target.model.name, now, {})
  const kept = now.map((route): RoutePlan => {
    const was = before.find(({ service }) => service === route.service)
    const same = was !== undefined && sameContent(withoutSubnets(was), withoutSubnets(route))
    const renewed = same ? renewedBy(route, input.given) : undefined
    const action = was ? (same && !renewed ? 'keep' : 'change') : 'add'
    const rules = rulesNote(was && rulesIn(was, live[route.service]), rulesIn(route, slots[route.service]))
    const note = renewed ? ` (${renewed})` : rules
    return { service: route.service, action, route: `${describeRoute(route)}${note}` }
  })
  const gone = before.filter(({ service }) => !now.some((route) => route.service === service))
  return [
    ...kept,
    ...gone.map((route): RoutePlan => ({ service: route.service, action: 'remove', route: describeRoute(route) })),
  ]
}

/** @param found in the proxy @returns whether a release writes the project's routes there again; subnets aside */
export function changesRoutes(input: RouteInput, services: readonly ServicePlan[], found: ProjectRoutes): boolean {
  const now = (found[input.target.model.name] ?? []).map(withoutSubnets)
  const planned = plannedRoutes(input, plannedSlots(input, services), services)
  return [routedBefore(input).routes, planned].some((routes) => !sameContent(routes.map(withoutSubnets), now))
}

/** Says which rules there are, if they change: the address alone would not show what does. */
function rulesNote(before: object = {}, rules: object): string {
  return sameContent(before, rules) ? '' : ` (rules: ${Object.keys(rules).join(', ') || 'none'})`
}

/** @param slot its live one */
function rulesIn(
  { rules = {}, proxy_protocol, host_health: health, ask, h2c = [] }: Route,
  slot: Slot | undefined,
): object {
  return {
    ...rules,
    ...(proxy_protocol ? { proxy_protocol } : {}),
    ...(health ? { health } : {}),
    ...(ask === undefined ? {} : { ask }),
    ...(slot && h2c.includes(slot) ? { protocol: 'h2c' } : {}),
  }
}

/** @returns what the operator has changed of a route that stays; undefined: nothing */
function renewedBy({ service, rules = {} }: Route, given: PlanInput['given']): string | undefined {
  const isNew = (file: string) => {
    const digest = given?.wanted[file]
    return digest !== undefined && digest !== given?.found[file]
  }
  if (isNew(certificateFile(service))) return 'new certificate'
  const pages = Object.keys(rules.error_pages ?? {}).map((status) => pageFile(service, status))
  return pages.some(isNew) ? 'new error page' : undefined
}

function withoutSubnets({ internal, ...route }: Route): object {
  return { ...route, internal: internal && { ...internal, subnets: [] } }
}

/** @returns what is done to the proxy, or null if there are no routes. */
export function planProxy({ proxy, environment }: PlanInput, routes: readonly RoutePlan[]): ProxyPlan | null {
  if (routes.length === 0) return null
  const image = environment.proxy?.image
  if (proxy === undefined) return { action: 'start', why: `this host has none yet (${image ?? PROXY_IMAGE})` }
  const why = proxy.outdated
  if (why !== undefined)
    return { action: 'upgrade', why: `${why}: for about a second no route of any project on this host answers` }
  if (proxy.state !== 'running') return { action: 'start', why: `it is ${proxy.state}` }
  if (proxy.lost) return { action: 'mend', why: 'its routes are not those of the live release' }
  return { action: 'keep', why: `${proxy.reference} runs` }
}

/** Zero downtime is for requests through the proxy: Docker's DNS returns a new container as soon as it is started. */
export function callerNotes({ environment, topology }: PlanInput, services: readonly ServicePlan[]): string[] {
  return services.flatMap(({ service, action }) => {
    if (action !== 'rolling' || environment.services[service]?.expose?.internal) return []
    const callers = topology.order.filter((name) =>
      (topology.needs[name] ?? []).some((need) => need.service === service),
    )
    if (callers.length === 0) return []
    return [
      `${callers.join(', ')} may call ${service} by its name on their network: these requests bypass the proxy ` +
        'and may fail during the update; `expose: {internal: true, port: …}` makes the proxy answer there',
    ]
  })
}
