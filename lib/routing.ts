import type { ServiceConfig } from './config.ts'
import { type Container, childError, type Docker, inspectContainers } from './docker.ts'
import { StagecraftError } from './errors.ts'
import type { Emit } from './events.ts'
import { type Clock, lastWords } from './gate.ts'
import type { RoutingBefore } from './journal.ts'
import type { ProxyPlan } from './plan.ts'
import { applyRoutes, connect, ownAliases, probe, readProxy, switchSlots } from './proxy.ts'
import { ensureProxy, findProxy } from './proxy-life.ts'
import { isMissing } from './rollout-steps.ts'
import { PROXY, type Route, routeNetwork, type Slots, slotAlias } from './routes.ts'

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
}

/**
 * Sees to it that the proxy runs, and does what the serving release's bundle says: what was lost, or changed by hand, is
 * mended before anything is built on it.
 * @param containers of the project, as they are
 */
export async function prepareRouting(
  routing: Routing,
  { plan, image, before }: { plan: ProxyPlan; image: string | undefined; before: RoutingBefore },
  containers: readonly Container[],
): Promise<void> {
  const { docker, clock, emit, name } = routing
  if (plan.action !== 'keep') emit({ type: 'proxy', step: plan.action, note: plan.why })
  await ensureProxy(docker, clock, image)
  await ensureNetwork(docker, name)
  const lost = containers.filter(({ service, state }) => before.slots[service] !== undefined && state === 'running')
  await plugIntoSlots(docker, name, lost, before.slots)
  if (await enforce(routing, before))
    emit({ type: 'proxy', step: 'routes', note: 'what serves was not routed: mended' })
}

/** The network on which the proxy reaches routed containers: internal, so that it changes nobody's default route. */
async function ensureNetwork(docker: Docker, name: string): Promise<void> {
  const network = routeNetwork(name)
  const flags = ['--internal', '--label', `stagecraft.project=${name}`]
  const made = await docker.try(['network', 'create', ...flags, network])
  if (made.code !== 0 && !/already exists/i.test(made.stderr)) throw childError(`make network ${network}`, made)
  await connect(docker, network, PROXY, [])
}

/**
 * Gives containers that are ready the name by which the proxy finds them, and asks them once as it would: what does not
 * answer there is not ready, whatever its healthcheck says.
 * @throws failed (5)
 */
export async function plugIn(routing: Routing, service: string, ids: readonly string[]): Promise<void> {
  const { docker, clock, name, slots, services } = routing
  const expose = services[service]?.expose
  if (expose === undefined || slots[service] === undefined) return
  await plugIntoSlots(docker, name, await inspectContainers(docker, ids), slots)
  const end = clock.now() + (services[service]?.rollout.health_timeout ?? PROBE_TIMEOUT)
  for (const id of ids)
    for (;;) {
      const [container] = await inspectContainers(docker, [id])
      if (container?.state !== 'running')
        throw new StagecraftError('failed', `Cannot route requests to ${service}: its container has ended`)
      const { address = '' } = container.networks[routeNetwork(name)] ?? {}
      const target = { address, port: expose.port, health: expose.health, host: expose.host?.[0] ?? service }
      const wrong = await probe(docker, target)
      if (wrong === undefined) break
      if (clock.now() > end) throw await unreachable(routing, container, wrong)
      await clock.sleep(200)
    }
}

/** Milliseconds that a container which is ready has to answer the proxy. */
const PROBE_TIMEOUT = 30_000

async function unreachable(
  { docker, services }: Routing,
  container: Container,
  wrong: string,
): Promise<StagecraftError> {
  const { service } = container
  const port = services[service]?.expose?.port
  return new StagecraftError('failed', `Cannot route requests to ${service}: ${wrong}`, {
    detail: await lastWords(docker, container),
    hint: wrong.startsWith('nothing')
      ? `It must listen on port ${port} of all its addresses (0.0.0.0, not 127.0.0.1). Is \`expose: {port: ${port}}\` right?`
      : 'The health path of `expose` must answer 2xx before requests are sent there.',
  })
}

/** Gives running containers the alias of their service's slot, unless they have it. */
export async function plugIntoSlots(
  docker: Docker,
  name: string,
  containers: readonly Container[],
  slots: Slots,
): Promise<void> {
  const network = routeNetwork(name)
  for (const { id, service, networks } of containers) {
    const slot = slots[service]
    if (slot === undefined) continue
    const alias = slotAlias(name, service, slot)
    const endpoint = networks[network]
    if (endpoint?.aliases.includes(alias)) continue
    if (endpoint) await docker.run(`unplug ${service} from ${network}`, ['network', 'disconnect', network, id])
    await connect(docker, network, id, [alias])
  }
}

/** The switch: puts the routes in force where they changed, then makes the slots live, all at once. @returns the routes, whole */
export async function switchRoutes(routing: Routing, before: RoutingBefore): Promise<readonly Route[]> {
  const { docker, name, slots } = routing
  const routes = await withSubnets(docker, routing.routes)
  await enforce(routing, { routes, slots })
  if (before.routes.some(({ internal }) => internal)) await leaveNetworks(docker, name, routes)
  return routes
}

/** May be done twice. What did not change is not loaded again: that may reset connections. @returns whether something did */
export async function enforce(
  { docker, name }: Routing | RoutingUndo,
  { routes, slots }: RoutingBefore,
): Promise<boolean> {
  const state = await readProxy(docker)
  const isRouted = sameText(state.projects[name] ?? [], routes)
  const isLive = sameText(sorted(state.live[name] ?? {}), sorted(slots))
  if (!isRouted) await applyRoutes(docker, name, routes)
  if (!isLive) await switchSlots(docker, name, slots)
  await answerInternally(docker, routes)
  return !isRouted || !isLive
}

type RoutingUndo = Pick<Routing, 'docker' | 'name'>

async function withSubnets(docker: Docker, routes: readonly Route[]): Promise<Route[]> {
  const subnets = new Map<string, string[]>()
  for (const network of new Set(routes.flatMap(({ internal }) => internal?.networks ?? []))) {
    const format = '{{range .IPAM.Config}}{{.Subnet}} {{end}}'
    const result = await docker.run(`look at network ${network}`, ['network', 'inspect', '--format', format, network])
    subnets.set(network, result.stdout.trim().split(/\s+/).filter(Boolean))
  }
  return routes.map((route) => {
    if (route.internal === undefined) return route
    const own = route.internal.networks.flatMap((network) => subnets.get(network) ?? [])
    return { ...route, internal: { ...route.internal, subnets: own.toSorted() } }
  })
}

/** Plugs the proxy into the networks of internal callers, under the names that they call. */
async function answerInternally(docker: Docker, routes: readonly Route[]): Promise<void> {
  const wanted = namesByNetwork(routes)
  if (wanted.size === 0) return
  const proxy = await findProxy(docker)
  for (const [network, names] of wanted) {
    const endpoint = proxy?.networks[network]
    const has = ownAliases(endpoint?.aliases ?? [], proxy?.id ?? '')
    if (endpoint && sameText(has.toSorted(), names.toSorted())) continue
    if (endpoint) await docker.try(['network', 'disconnect', '--force', network, PROXY])
    await connect(docker, network, PROXY, names)
  }
}

function namesByNetwork(routes: readonly Route[]): Map<string, string[]> {
  const wanted = new Map<string, string[]>()
  for (const { internal } of routes)
    for (const network of internal?.networks ?? [])
      wanted.set(network, [...new Set([...(wanted.get(network) ?? []), ...(internal?.names ?? [])])])
  return wanted
}

/** Takes the proxy out of the project's networks on which it answers nobody any more. */
async function leaveNetworks(docker: Docker, name: string, routes: readonly Route[]): Promise<void> {
  const wanted = namesByNetwork(routes)
  const filter = ['--filter', `label=com.docker.compose.project=${name}`]
  const proxy = await findProxy(docker)
  const plugged = Object.keys(proxy?.networks ?? {}).filter((network) => !wanted.has(network))
  if (plugged.length === 0) return
  const own = await docker.run('list networks', ['network', 'ls', '--format', '{{.Name}}', ...filter])
  for (const network of own.stdout.split('\n').filter((each) => plugged.includes(each)))
    await docker.try(['network', 'disconnect', network, PROXY])
}

/** Where no service is routed any more, the network for it goes. */
export async function removeRouting({ docker, name }: RoutingUndo, containers: readonly Container[]): Promise<void> {
  const network = routeNetwork(name)
  const plugged = containers.filter(({ networks }) => networks[network]).map(({ id }) => id)
  for (const container of [PROXY, ...plugged]) await docker.try(['network', 'disconnect', network, container])
  const result = await docker.try(['network', 'rm', network])
  if (result.code !== 0 && !isMissing(result)) throw childError(`remove network ${network}`, result)
}

/** What the proxy did before is what it does again. @returns whether there is a proxy: else it never did anything else */
export async function putRoutesBack(undo: RoutingUndo, before: RoutingBefore): Promise<boolean> {
  const proxy = await findProxy(undo.docker)
  if (proxy?.state !== 'running') return false
  await enforce(undo, before)
  return true
}

function sorted(slots: Slots): object {
  return Object.fromEntries(Object.entries(slots).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function sameText(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
