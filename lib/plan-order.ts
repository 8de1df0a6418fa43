import type { ComposeModel } from './compose.ts'
import type { Plan, ServicePlan } from './plan.ts'
import { networksOf } from './plan-networks.ts'
import type { Topology } from './services.ts'

/** What is done when: prepare begins what disturbs nothing that serves, the switch does the rest. */
export interface PlanOrder {
  readonly prepare: readonly ServicePlan[]
  readonly switchOver: readonly ServicePlan[]
}

/** @param model the release's own @param topology of its services @param also what waits for the switch for another reason */
export function orderPlan(
  plan: Plan,
  model: ComposeModel,
  topology: Topology,
  also: readonly string[] = [],
): PlanOrder {
  const late = waitForSwitch(plan, model, topology, also)
  const { services } = plan
  return {
    prepare: services.filter((service) => isNew(service) && !late.has(service.service)),
    switchOver: services.filter(
      ({ service, action }) => action === 'recreate' || action === 'scale' || late.has(service),
    ),
  }
}

/** @returns services that are to be removed, and lose a network before that: a put-back must give it back to them. */
export function unpluggedServices(plan: Plan, model: ComposeModel | undefined, replaced: readonly string[]): string[] {
  if (model === undefined) return []
  return removedServices(plan).filter((service) =>
    networksOf(model.services[service] ?? {}, model).some((network) => replaced.includes(network)),
  )
}

function isNew({ action }: ServicePlan): boolean {
  return action === 'create' || action === 'job' || action === 'rolling'
}

/**
 * @returns what is new and must wait for the switch: it takes a port that something else still has, or is on a network
 * that is made anew, or needs such a service, or is in the namespace of one that is recreated: it would be left in the
 * old one's.
 */
function waitForSwitch(
  { services, handovers, networks }: Plan,
  model: ComposeModel,
  topology: Topology,
  also: readonly string[],
): Set<string> {
  const replaced = networks.filter(({ action }) => action === 'replace').map(({ network }) => network)
  const late = new Set([...also, ...handovers.map(({ to }) => to)])
  const recreated = new Set(services.flatMap((plan) => (plan.action === 'recreate' ? [plan.service] : [])))
  for (const { service } of services.filter(isNew)) {
    const needs = topology.needs[service] ?? []
    const needsLate = needs.some((need) => late.has(need.service) || (need.follows && recreated.has(need.service)))
    const onReplaced = networksOf(model.services[service] ?? {}, model).some((name) => replaced.includes(name))
    if (needsLate || onReplaced) late.add(service)
  }
  return new Set(services.flatMap((plan) => (isNew(plan) && late.has(plan.service) ? [plan.service] : [])))
}

/** @returns the services that are not in the release any more. */
export function removedServices({ services }: Plan): string[] {
  return services.flatMap(({ service, action }) => (action === 'remove' ? [service] : []))
}
