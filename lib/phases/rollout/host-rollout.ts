import type { Environment } from '../../config/parse.ts'
import type { Docker } from '../../docker/client.ts'
import type { ModelFile } from '../../docker/compose/up.ts'
import type { Container } from '../../docker/inspect.ts'
import { disconnect } from '../../docker/networks.ts'
import type { Emit } from '../../output/events.ts'
import { plannedRoutes, plannedSlots } from '../../plan/routes/change.ts'
import { routeNetwork, slotAlias } from '../../plan/routes/table.ts'
import { changedPages } from '../../project/edge/digests.ts'
import type { RouteJob } from '../../proxy/route-job.ts'
import { ensureRouteNetwork, isConnected, openEarly, prepareRouting, repairRouting } from '../../proxy/routing.ts'
import { attachToSlots, type Probe, proveReachable, startProbe } from '../../proxy/slots.ts'
import type { Recorder } from '../../record/journal.ts'
import type { HostRun, HostTools } from '../host-run.ts'
import type { Baseline } from './baseline.ts'
import type { Planning } from './planning.ts'
import { lookAtVolumes, type Renewing } from './renewal.ts'
import type { StepContext } from './steps.ts'

/** A rollout that is under way on one host. */
export interface HostRollout {
  readonly hostRun: HostRun
  readonly stage: ModelFile
  /** restores what runs now; undefined: nothing is known of it, or nothing is changed */
  readonly served: Baseline | undefined
  readonly planning: Planning
  readonly recorder: Recorder
  readonly routing: RouteJob
  /** makes sure, once, that the proxy runs with the routes and slots of the live release */
  readonly proxyReady: () => Promise<void>
  readonly steps: StepContext
  /** the project's containers once those were started that migrations need; undefined: none had to be */
  brought?: readonly Container[] | undefined
  /** milliseconds of downtime of recreated services that are ready */
  readonly gaps: Record<string, number>
}

export function openHostRollout(
  hostRun: HostRun,
  { stage, served, planning, recorder }: Pick<HostRollout, 'stage' | 'served' | 'planning' | 'recorder'>,
): HostRollout {
  const { project, serving } = hostRun.request
  const { docker, undoDocker, clock, emit } = hostRun.tools
  const { input, plan } = planning
  const { services, proxy } = project.environment
  const name = plan.project
  const slots = plannedSlots(input, plan.services)
  const { routing: before = { routes: [], slots: {} } } = recorder.journal
  const repair = () => repairRouting({ docker: undoDocker, clock, emit, name, proxy }, before)
  const routing = {
    docker,
    clock,
    emit,
    name,
    services,
    slots,
    routes: plannedRoutes(input, slots, plan.services),
    repair,
    keys: project.edge && { ...project.edge, pages: changedPages(project.edge, input.given?.found) },
  }
  const network = once(async () => {
    if (plan.proxy && !input.proxy?.networks[routeNetwork(name)]) await ensureRouteNetwork(docker, name)
  })
  // The proxy is prepared while containers become ready.
  const proxyReady = once(async () => {
    await network()
    await readyProxy(proxy, planning, recorder, routing)
  })
  // If the proxy runs already, containers are probed as soon as they start.
  const isProxyUp = () => plan.proxy?.action === 'keep'
  const gaps: Record<string, number> = {}
  const renewing: Renewing = {
    docker,
    undoDocker,
    emit,
    clock,
    recorder,
    model: stage.model,
    containers: planning.containers,
    images: () => hostRun.bundle.now.images,
    oldVolumes: serving?.bundle.old_volumes ?? [],
  }
  const steps = {
    docker,
    clock,
    project,
    emit: measureDowntime(hostRun.tools, gaps),
    lookAtVolumes: (members) => lookAtVolumes(renewing, members),
    ...routingSteps({ recorder, routing, network, proxyReady, isProxyUp, present: planning.containers, undoDocker }),
  } satisfies StepContext
  return { hostRun, stage, served, planning, recorder, routing, proxyReady, steps, gaps }
}

type RoutingParts = Pick<HostRollout, 'recorder' | 'routing' | 'proxyReady'> & {
  readonly network: () => Promise<void>
  readonly isProxyUp: () => boolean
  /** the project's containers before the rollout */
  readonly present: readonly Container[]
  /** no signal cancels it: a change would continue inside the proxy, and the undo must come after it */
  readonly undoDocker: Docker
}

/** New containers get their slot's name before they start, and are probed, and routed if needed, once ready. */
function routingSteps({ recorder, routing, network, proxyReady, isProxyUp, present, undoDocker }: RoutingParts) {
  const { routing: before, before: containers } = recorder.journal
  const early = before && openEarly({ ...routing, docker: undoDocker }, before)
  const isNew = (service: string) => !containers.some((container) => container.service === service)
  const attached = new Set<string>()
  const probes = new Map<string, Probe>()
  return {
    async onMade(made) {
      // A container that is not ready never joins a live slot.
      const next = made.filter(({ service }) => before && before.slots[service] !== routing.slots[service])
      for (const { service } of next) attached.add(service)
      if (next.length === 0) return
      await network()
      await disconnectLeftOver(routing, present, next)
      await attachToSlots(routing.docker, routing.name, next, routing)
    },
    onStarted(service, ids) {
      if (attached.has(service) && routing.slots[service] && isProxyUp())
        probes.set(service, startProbe(routing, service, ids))
    },
    async onReady(service, ids, cancelled) {
      await proxyReady()
      await (probes.get(service)?.finish(cancelled) ?? proveReachable(routing, service, ids, cancelled))
      if (early && isNew(service) && routing.services[service]?.expose?.internal) await early(service)
    },
  } satisfies Pick<StepContext, 'onMade' | 'onStarted' | 'onReady'>
}

/** Disconnects containers that a failed undo has left in the next slot, so that they do not become live with it. */
async function disconnectLeftOver(
  { docker, name, slots }: RouteJob,
  present: readonly Container[],
  next: readonly Container[],
): Promise<void> {
  const services = new Set(next.map(({ service }) => service))
  for (const { id, service, networks } of present) {
    const alias = slotAlias(name, service, slots[service] ?? 'a')
    if (services.has(service) && networks[routeNetwork(name)]?.aliases.includes(alias))
      await disconnect(docker, [routeNetwork(name), id], { what: `disconnect ${service}` })
  }
}

/** Measures downtime: from when a service is about to be stopped until its new containers are ready. */
function measureDowntime({ emit, clock }: HostTools, gaps: Record<string, number>): Emit {
  const began = new Map<string, number>()
  return (event) => {
    emit(event)
    if (event.type !== 'service') return
    const start = began.get(event.service)
    if (event.step === 'recreate') began.set(event.service, clock.now())
    if (event.step === 'ready' && start !== undefined) gaps[event.service] = clock.now() - start
  }
}

/** @returns a function that does the work on its first call only. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => {
    done ??= work()
    return done
  }
}

/** Prepares the proxy, unless the plan has just seen that it is as it should be: the environment is locked. */
async function readyProxy(
  config: Environment['proxy'],
  { plan, input, containers }: Planning,
  recorder: Recorder,
  routing: RouteJob,
): Promise<void> {
  const before = recorder.journal.routing
  if (plan.proxy === null || before === undefined) return
  if (plan.proxy.action === 'keep' && isConnected(input.proxy, containers, plan.project, before)) return
  await prepareRouting(routing, { plan: plan.proxy, config, before }, containers)
}
