import type { Stage } from './compose-up.ts'
import type { Container, Docker } from './docker.ts'
import type { Emit } from './events.ts'
import type { Recorder } from './journal.ts'
import { orderPlan, type PlanOrder } from './plan-order.ts'
import { plannedRoutes, plannedSlots } from './plan-routes.ts'
import type { Planning } from './planning.ts'
import { beginProof, type Proof, plugIntoSlots, proveReachable } from './plug.ts'
import type { StepContext } from './rollout-steps.ts'
import { routeNetwork, slotAlias } from './routes.ts'
import { ensureRouteNetwork, isPlugged, openEarly, prepareRouting, type Routing, repairRouting } from './routing.ts'
import type { Site } from './run.ts'
import type { Served } from './served-before.ts'

/** A rollout that is under way. */
export interface Change {
  readonly site: Site
  readonly stage: Stage
  /** what brings back what runs now; undefined: nothing is known of it, or nothing is changed */
  readonly served: Served | undefined
  readonly planning: Planning
  /** what is done in prepare, and what in the switch */
  readonly order: PlanOrder
  readonly recorder: Recorder
  readonly routing: Routing
  /** once: the proxy runs, and does what serves */
  readonly proxyReady: () => Promise<void>
  readonly steps: StepContext
  /** milliseconds that services took which were recreated, as far as they are ready */
  readonly gaps: Record<string, number>
}

export function openChange(
  site: Site,
  { stage, served, planning, recorder }: Pick<Change, 'stage' | 'served' | 'planning' | 'recorder'>,
): Change {
  const { input, plan } = planning
  const { services } = site.project.environment
  const slots = plannedSlots(input, plan.services)
  const proxyImage = site.project.environment.proxy?.image
  const { routing: before = { routes: [], slots: {} } } = recorder.journal
  const repair = () => repairRouting({ ...site, docker: site.restoring, name: plan.project, proxyImage }, before)
  const routing = { ...site, name: plan.project, services, slots, routes: plannedRoutes(input, slots), repair }
  const network = once(async () => {
    if (plan.proxy && !input.proxy?.networks[routeNetwork(plan.project)])
      await ensureRouteNetwork(site.docker, plan.project)
  })
  // Containers need a while to be ready: what the proxy needs is done meanwhile.
  const proxyReady = once(async () => {
    await network()
    await readyProxy(site, planning, recorder, routing)
  })
  // The proof can begin with the container where the proxy runs already.
  const isProxyUp = () => plan.proxy?.action === 'keep'
  const gaps: Record<string, number> = {}
  const steps = {
    ...site,
    emit: measureGaps(site, gaps),
    ...routingSteps({
      recorder,
      routing,
      network,
      proxyReady,
      isProxyUp,
      present: planning.containers,
      lasting: site.restoring,
    }),
  }
  const order = orderPlan(plan, stage.model, site.project.topology)
  return { site, stage, served, order, planning, recorder, routing, proxyReady, steps, gaps }
}

type RoutingParts = Pick<Change, 'recorder' | 'routing' | 'proxyReady'> & {
  readonly network: () => Promise<void>
  readonly isProxyUp: () => boolean
  /** the project's containers, as they were */
  readonly present: readonly Container[]
  /** no signal ends it: a change of the proxy goes on in there, and the undo must come after it */
  readonly lasting: Docker
}

/** New containers get their slot's name before they are started; they are proved, and if need be routed, once they are ready. */
function routingSteps({ recorder, routing, network, proxyReady, isProxyUp, present, lasting }: RoutingParts) {
  const { routing: before, before: containers } = recorder.journal
  const early = before && openEarly({ ...routing, docker: lasting }, before)
  const isNew = (service: string) => !containers.some((container) => container.service === service)
  const plugged = new Set<string>()
  const proofs = new Map<string, Proof>()
  return {
    async onMade(made) {
      // A slot that is live gets no container that is not ready.
      const next = made.filter(({ service }) => before && before.slots[service] !== routing.slots[service])
      for (const { service } of next) plugged.add(service)
      if (next.length === 0) return
      await network()
      await unplugLeftOver(routing, present, next)
      await plugIntoSlots(routing.docker, routing.name, next, routing.slots)
    },
    onStarted(service, ids) {
      if (plugged.has(service) && routing.slots[service] && isProxyUp())
        proofs.set(service, beginProof(routing, service, ids))
    },
    async onReady(service, ids, cancelled) {
      await proxyReady()
      await (proofs.get(service)?.demand(cancelled) ?? proveReachable(routing, service, ids, cancelled))
      if (early && isNew(service) && routing.services[service]?.expose?.internal) await early(service)
    },
  } satisfies Pick<StepContext, 'onMade' | 'onStarted' | 'onReady'>
}

/** What an undo that failed has left in the slot that is to be used next does not come to serve with it. */
async function unplugLeftOver(
  { docker, name, slots }: Routing,
  present: readonly Container[],
  next: readonly Container[],
): Promise<void> {
  const services = new Set(next.map(({ service }) => service))
  for (const { id, service, networks } of present) {
    const alias = slotAlias(name, service, slots[service] ?? 'a')
    if (services.has(service) && networks[routeNetwork(name)]?.aliases.includes(alias))
      await docker.run(`unplug ${service}`, ['network', 'disconnect', routeNetwork(name), id])
  }
}

/** From the moment that a service is about to be stopped until its new containers are ready. */
function measureGaps({ emit, clock }: Site, gaps: Record<string, number>): Emit {
  const began = new Map<string, number>()
  return (event) => {
    emit(event)
    if (event.type !== 'service') return
    const start = began.get(event.service)
    if (event.step === 'recreate') began.set(event.service, clock.now())
    if (event.step === 'ready' && start !== undefined) gaps[event.service] = clock.now() - start
  }
}

/** @returns work that is done the first time it is asked for, and once. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => {
    done ??= work()
    return done
  }
}

/** What the plan has just seen need not be looked at again: the environment is locked. */
async function readyProxy(site: Site, { plan, input, containers }: Planning, recorder: Recorder, routing: Routing) {
  const { image } = site.project.environment.proxy ?? {}
  const before = recorder.journal.routing
  if (plan.proxy === null || before === undefined) return
  if (plan.proxy.action === 'keep' && isPlugged(input.proxy, containers, plan.project, before)) return
  await prepareRouting(routing, { plan: plan.proxy, image, before }, containers)
}
