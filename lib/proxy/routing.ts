import type { ProxyConfig } from '../config/edge/proxy.ts'
import type { Docker } from '../docker/client.ts'
import { listContainers } from '../docker/containers.ts'
import type { Container } from '../docker/inspect.ts'
import { createNetwork, disconnect, removeNetwork } from '../docker/networks.ts'
import type { ProxyPlan } from '../plan/input.ts'
import { refuseTakenRoutes } from '../plan/routes/conflicts.ts'
import { PROXY, PROXY_NETWORK, type Route, type RoutingTable, routeNetwork } from '../plan/routes/table.ts'
import { sameContent } from '../util/canonical.ts'
import { StagecraftError } from '../util/errors.ts'
import { applyRoutes, readProxy, switchSlots } from './api.ts'
import { keepKeys } from './certificates/keys.ts'
import { type ProxyRepair, repairProxy } from './connect.ts'
import { findProxy } from './container.ts'
import { answerInternally, leaveCallers, withSubnets } from './internal/callers.ts'
import type { RouteJob } from './route-job.ts'
import { attachToSlots, isIn } from './slots.ts'

/**
 * Makes sure that the proxy runs, with the routes and slots of the live release's bundle: whatever was lost, or changed
 * by hand, is repaired first.
 * @param containers of the project
 */
export async function prepareRouting(
  routing: RouteJob,
  { plan, config, before }: { plan: ProxyPlan; config: RoutingRepair['proxy']; before: RoutingTable },
  containers: readonly Container[],
): Promise<void> {
  const { docker, emit, name } = routing
  if (plan.action !== 'keep') emit({ type: 'proxy', step: plan.action, note: plan.why })
  await despiteLoss(nothing, async () => {
    const projects = await repairProxy({ ...routing, wish: { config, keep: false } })
    refuseTakenRoutes(name, routing.routes, projects) // the plan could not ask if the proxy was not running
    await connectLive(docker, name, containers, before)
    await enforce(routing, { ...before, routes: await withSubnets(docker, before.routes) })
  })
}

/** For work that begins with the repair itself. */
const nothing = async () => {}

/**
 * Changes the proxy; if that fails, repairs it and tries once more: somebody may have removed, stopped or disconnected
 * it at that very moment.
 * @throws what the second attempt throws
 */
async function despiteLoss(repair: () => Promise<void>, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind !== 'failed') throw error
    await repair()
    await work()
  }
}

/** Connects live containers that were disconnected. One under another slot's name is a leftover, and is not live. */
export async function connectLive(
  docker: Docker,
  name: string,
  containers: readonly Container[],
  table: RoutingTable,
): Promise<void> {
  const isWell = ({ state, health }: Container) => state === 'running' && (health === 'healthy' || health === 'none')
  const loose = containers.filter((container) => isWell(container) && !container.networks[routeNetwork(name)])
  await attachToSlots(docker, name, loose, table, containers)
}

/** Gives containers of live slots the names by which the proxy will know them one by one. */
async function nameLive(docker: Docker, name: string, table: RoutingTable): Promise<void> {
  const all = await listContainers(docker, name)
  const live = all.filter((container) => {
    const slot = table.slots[container.service]
    return slot !== undefined && isIn(container, name, slot)
  })
  await attachToSlots(docker, name, live, table, all)
}

/** @returns whether the proxy and all containers that it sends requests to are on the network of the routes. */
export function isConnected(
  proxy: Pick<Container, 'networks'> | undefined,
  containers: readonly Container[],
  name: string,
  { slots }: RoutingTable,
): boolean {
  const network = routeNetwork(name)
  const isReached = ({ service, state, networks }: Container) => {
    return slots[service] === undefined || state !== 'running' || networks[network] !== undefined
  }
  return (
    proxy?.networks[network] !== undefined && proxy.networks[PROXY_NETWORK] !== undefined && containers.every(isReached)
  )
}

/** The network on which the proxy reaches routed containers: internal, so that it changes nobody's default route. */
export async function ensureRouteNetwork(docker: Docker, name: string): Promise<void> {
  const network = routeNetwork(name)
  const label = `stagecraft.project=${name}`
  await createNetwork(docker, [network], { flags: { internal: true, label }, what: `create network ${network}` })
}

/**
 * Opens routes of new internal services before the switch: their callers may need them to become ready. Nothing of such
 * a service was live before.
 * @returns a function that opens the route of a service, to be called once the service is ready
 */
export function openEarly(routing: RouteJob, before: RoutingTable): (service: string) => Promise<void> {
  let now = before
  let last: Promise<unknown> = Promise.resolve()
  const add = async (service: string) => {
    const slot = routing.slots[service]
    const route = routing.routes.find((each) => each.service === service)
    if (slot === undefined || route === undefined) return
    const others = now.routes.filter((each) => each.service !== service)
    const routes = await withSubnets(routing.docker, [...others, { ...route, hosts: [] }])
    now = { routes, slots: { ...now.slots, [service]: slot } }
    const wanted = now
    await despiteLoss(routing.repair, () => enforce(routing, wanted))
  }
  return async (service) => {
    const mine = last.then(() => add(service))
    last = mine.catch(() => {})
    await mine
  }
}

/** The switch: applies changed routes, then makes the slots live, all at once. @returns the routes with subnets */
export async function switchRoutes(routing: RouteJob, before: RoutingTable): Promise<readonly Route[]> {
  const { docker, name, slots } = routing
  const routes = await withSubnets(docker, routing.routes)
  if (routes.some(({ replicas }) => replicas)) await nameLive(docker, name, { routes, slots })
  // Since prepare the proxy has the routes of `before`; only new ones may have been added.
  const unchanged = sameContent(routes, before.routes)
  let known = unchanged ? before : undefined
  await despiteLoss(routing.repair, async () => {
    const seen = known
    if (routing.keys) await keepKeys(docker, routing.name, routing.keys)
    known = undefined // on the second attempt the proxy may have lost its routes
    await enforce(routing, { routes, slots }, seen)
  })
  return routes
}

/**
 * Applies routes and slots. May be repeated. What has not changed is not loaded again: that may reset connections.
 * @param known what the proxy has now; undefined: it is asked
 */
async function enforce(
  { docker, name }: RouteJob | RoutingUndo,
  { routes, slots }: RoutingTable,
  known?: RoutingTable,
): Promise<void> {
  const now = known ?? (await routingNow(docker, name))
  const isRouted = sameContent(now.routes, routes)
  const isLive = sameContent(now.slots, slots)
  await leaveCallers(docker, name, now.routes, routes)
  if (!isRouted) await applyRoutes(docker, name, routes)
  if (!isLive) await switchSlots(docker, name, slots)
  await answerInternally(docker, name, routes)
}

async function routingNow(docker: Docker, name: string): Promise<RoutingTable> {
  const { projects, live } = await readProxy(docker)
  return { routes: projects[name] ?? [], slots: live[name] ?? {} }
}

type RoutingUndo = Pick<RouteJob, 'docker' | 'name'>

/**
 * Disconnects containers of services that are not routed; if no service is, removes the network of the routes.
 * @param containers of the project
 */
export async function disconnectUnrouted(
  { docker, name }: RoutingUndo,
  containers: readonly Container[],
  { routes, slots }: RoutingTable,
): Promise<void> {
  const network = routeNetwork(name)
  for (const { id, service, networks } of containers)
    if (networks[network] && slots[service] === undefined) await disconnect(docker, [network, id])
  if (routes.length > 0) return
  await disconnect(docker, [network, PROXY])
  await removeNetwork(docker, [network], { what: `remove network ${network}` })
}

/**
 * Restores the routes and slots from before the release.
 * @returns whether there is a proxy: if nothing was routed before and it is not running, there is nothing to restore
 */
export async function restoreRoutes(repair: RoutingRepair, before: RoutingTable): Promise<boolean> {
  const { docker } = repair
  if (before.routes.length === 0 && (await findProxy(docker))?.state !== 'running') return false
  if (before.routes.length > 0) await repairRouting(repair, before)
  else await enforce(repair, before)
  return true
}

/** Makes sure that the proxy runs, is connected, and has these routes and slots, whatever happened to it. */
export async function repairRouting(repair: RoutingRepair, wanted: RoutingTable): Promise<void> {
  const { docker, name, proxy } = repair
  await despiteLoss(nothing, async () => {
    await ensureRouteNetwork(docker, name)
    await repairProxy({ ...repair, wish: { config: proxy, keep: true } })
    await enforce(repair, { ...wanted, routes: await withSubnets(docker, wanted.routes) })
  })
}

/** What it takes to repair the proxy. */
export interface RoutingRepair extends Omit<ProxyRepair, 'wish'> {
  /** of the environment, used if the proxy is gone; undefined: the default */
  readonly proxy: ProxyConfig | null | undefined
}
