import { sameContent } from './canonical.ts'
import type { ServiceConfig } from './config.ts'
import { type Container, childError, type Docker } from './docker.ts'
import { StagecraftError } from './errors.ts'
import type { Emit } from './events.ts'
import type { Clock } from './gate.ts'
import { answerInternally, leaveCallers, withSubnets } from './internal-callers.ts'
import { isMissing } from './own-networks.ts'
import type { ProxyPlan } from './plan.ts'
import { plugIntoSlots } from './plug.ts'
import { applyRoutes, readProxy, switchSlots } from './proxy.ts'
import { type ProxyRepair, repairProxy } from './proxy-connect.ts'
import { findProxy } from './proxy-life.ts'
import { refuseTakenRoutes } from './route-conflicts.ts'
import { PROXY, PROXY_NETWORK, type Route, type Routed, routeNetwork, type Slots } from './routes.ts'

/** The routes of one environment, and what it takes to bring them about. */
export interface Routing {
  readonly docker: Docker
  readonly clock: Clock
  readonly emit: Emit
  /** the Compose project's name */
  readonly name: string
  readonly services: Readonly<Record<string, ServiceConfig>>
  /** as they are to be; the subnets of internal ones are looked up when they are put in force */
  readonly routes: readonly Route[]
  readonly slots: Slots
  /** sees to it that the proxy runs, is connected, and does what it did before the release: somebody may have removed it meanwhile */
  readonly repair: () => Promise<void>
}

/**
 * Sees to it that the proxy runs, and does what the serving release's bundle says: what was lost, or changed by hand, is
 * mended before anything is built on it.
 * @param containers of the project, as they are
 */
export async function prepareRouting(
  routing: Routing,
  { plan, image, before }: { plan: ProxyPlan; image: string | undefined; before: Routed },
  containers: readonly Container[],
): Promise<void> {
  const { docker, emit, name } = routing
  if (plan.action !== 'keep') emit({ type: 'proxy', step: plan.action, note: plan.why })
  await despiteLoss(nothing, async () => {
    const projects = await repairProxy({ ...routing, image: { name: image, keep: false } })
    refuseTakenRoutes(name, routing.routes, projects) // the plan could not ask a proxy that was not there
    await plugServed(docker, name, containers, before)
    await enforce(routing, { ...before, routes: await withSubnets(docker, before.routes) })
  })
}

/** Where the work itself begins with the repair. */
const nothing = async () => {}

/**
 * What changes the proxy is done once more where it fails: somebody may have removed, stopped or disconnected the proxy at that
 * very moment, and it is repaired in between.
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

/** Plugs in what serves and was unplugged. What has another slot's name is left over of something else, and is not live. */
export async function plugServed(
  docker: Docker,
  name: string,
  containers: readonly Container[],
  { slots }: Routed,
): Promise<void> {
  const isWell = ({ state, health }: Container) => state === 'running' && (health === 'healthy' || health === 'none')
  const loose = containers.filter((container) => isWell(container) && !container.networks[routeNetwork(name)])
  await plugIntoSlots(docker, name, loose, slots)
}

/** @returns whether the proxy and all containers that it sends requests to are where they find each other. */
export function isPlugged(
  proxy: Pick<Container, 'networks'> | undefined,
  containers: readonly Container[],
  name: string,
  { slots }: Routed,
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
  const flags = ['--internal', '--label', `stagecraft.project=${name}`]
  const made = await docker.try(['network', 'create', ...flags, network])
  if (made.code !== 0 && !/already exists/i.test(made.stderr)) throw childError(`make network ${network}`, made)
}

/**
 * Whoever calls a new internal service may need it to become ready: it is answered for before the switch. There is nothing
 * of it that served before.
 * @returns what makes the route of a service known, once it is ready
 */
export function openEarly(routing: Routing, before: Routed): (service: string) => Promise<void> {
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

/** The switch: puts the routes in force where they changed, then makes the slots live, all at once. @returns the routes, whole */
export async function switchRoutes(routing: Routing, before: Routed): Promise<readonly Route[]> {
  const { docker, slots } = routing
  const routes = await withSubnets(docker, routing.routes)
  // Prepare has seen to it that `before` is what the proxy does; only new routes may have been added since.
  const unchanged = sameContent(routes, before.routes)
  let known = unchanged ? before : undefined
  await despiteLoss(routing.repair, async () => {
    const seen = known
    known = undefined // the second time it has lost what it did
    await enforce(routing, { routes, slots }, seen)
  })
  return routes
}

/**
 * May be done twice. What did not change is not loaded again: that may reset connections.
 * @param known what the proxy does now; it is asked where that is not known
 */
async function enforce(
  { docker, name }: Routing | RoutingUndo,
  { routes, slots }: Routed,
  known?: Routed,
): Promise<void> {
  const now = known ?? (await routingNow(docker, name))
  const isRouted = sameContent(now.routes, routes)
  const isLive = sameContent(now.slots, slots)
  await leaveCallers(docker, name, now.routes, routes)
  if (!isRouted) await applyRoutes(docker, name, routes)
  if (!isLive) await switchSlots(docker, name, slots)
  await answerInternally(docker, name, routes)
}

async function routingNow(docker: Docker, name: string): Promise<Routed> {
  const { projects, live } = await readProxy(docker)
  return { routes: projects[name] ?? [], slots: live[name] ?? {} }
}

type RoutingUndo = Pick<Routing, 'docker' | 'name'>

/**
 * Unplugs containers of services that are not routed; where none is any more, the network for it goes.
 * @param containers of the project
 */
export async function unplugUnrouted(
  { docker, name }: RoutingUndo,
  containers: readonly Container[],
  { routes, slots }: Routed,
): Promise<void> {
  const network = routeNetwork(name)
  for (const { id, service, networks } of containers)
    if (networks[network] && slots[service] === undefined) await docker.try(['network', 'disconnect', network, id])
  if (routes.length > 0) return
  await docker.try(['network', 'disconnect', network, PROXY])
  const result = await docker.try(['network', 'rm', network])
  if (result.code !== 0 && !isMissing(result)) throw childError(`remove network ${network}`, result)
}

/**
 * What the proxy did before is what it does again.
 * @returns whether there is a proxy: where nothing was routed before, and it does not run, it never did anything else
 */
export async function putRoutesBack(repair: RoutingRepair, before: Routed): Promise<boolean> {
  const { docker } = repair
  if (before.routes.length === 0 && (await findProxy(docker))?.state !== 'running') return false
  if (before.routes.length > 0) await repairRouting(repair, before)
  else await enforce(repair, before)
  return true
}

/** Sees to it that the proxy runs, is connected, and does this for the project, whatever became of it. */
export async function repairRouting(repair: RoutingRepair, wanted: Routed): Promise<void> {
  const { docker, name, proxyImage } = repair
  await despiteLoss(nothing, async () => {
    await ensureRouteNetwork(docker, name)
    await repairProxy({ ...repair, image: { name: proxyImage, keep: true } })
    await enforce(repair, { ...wanted, routes: await withSubnets(docker, wanted.routes) })
  })
}

/** What it takes to have the proxy do what it did before. */
export interface RoutingRepair extends Omit<ProxyRepair, 'image'> {
  /** of the environment, where the proxy is gone; undefined: the default */
  readonly proxyImage: string | undefined
}
