import type { Docker } from '../docker/client.ts'
import { hasContainers } from '../docker/containers.ts'
import { NO_CONTAINER, removeForced, rename } from '../docker/lifecycle.ts'
import { listNetworks, removeUnusedNetwork } from '../docker/networks.ts'
import type { Emit } from '../output/events.ts'
import { PROXY, PROXY_NETWORK, PROXY_NEXT, type ProjectRoutes, routeNetwork } from '../plan/routes/table.ts'
import type { Clock } from '../system/clock.ts'
import { type ProxyState, readProxy, readProxyIfUp } from './api.ts'
import { ensureProxy, ensureProxyNetwork, findProxy, type ProxyWish } from './container.ts'
import { answerOn, namesByNetwork } from './internal/callers.ts'

/** What it takes to start or repair the proxy. */
export interface ProxyRepair {
  readonly docker: Docker
  readonly clock: Clock
  readonly emit: Emit
  /** the Compose project's name */
  readonly name: string
  readonly wish: ProxyWish
}

/**
 * Makes sure that the proxy runs, and is connected to the networks of all projects that it routes and of their internal
 * callers. May be repeated.
 * @returns what it routes
 * @throws failed (5) if it cannot run
 */
export async function repairProxy({ docker, clock, emit, name, wish }: ProxyRepair): Promise<ProjectRoutes> {
  const created = await ensureProxy(docker, clock, wish)
  const projects = await connectProxy(docker, [name])
  if (created) await reportLost(docker, emit, projects, name)
  return projects
}

/**
 * Connects the proxy to every network that it should be on, if the network exists.
 * @param more projects whose routes it does not have yet
 * @returns what it routes
 */
export async function connectProxy(docker: Docker, more: readonly string[] = []): Promise<ProjectRoutes> {
  const [proxy, { projects, live }] = await Promise.all([findProxy(docker), readProxy(docker)])
  if (proxy && !proxy.networks[PROXY_NETWORK]) await ensureProxyNetwork(docker)
  const routed = [...new Set([...Object.keys(projects), ...more])].map(routeNetwork)
  // The proxy takes a service's name once a slot of it is live: before, it would answer 503 alongside the containers.
  const answered = Object.entries(projects).flatMap(([project, routes]) =>
    routes.filter(({ service }) => live[project]?.[service] !== undefined),
  )
  const wanted = namesByNetwork(answered)
  for (const network of [PROXY_NETWORK, ...routed]) await answerOn(docker, proxy, network, [])
  for (const [network, names] of wanted) await answerOn(docker, proxy, network, names)
  return projects
}

/** A proxy that was recreated without its volume has no routes: the networks show which projects lost theirs. */
async function reportLost(docker: Docker, emit: Emit, projects: ProjectRoutes, name: string): Promise<void> {
  const networks = await listNetworks(docker, 'stagecraft.project')
  const known = new Set([...Object.keys(projects), name].map(routeNetwork))
  const unknown = networks.filter((network) => !known.has(network))
  const lost: string[] = []
  for (const network of unknown) if (await hasContainers(docker, network)) lost.push(network) // an empty one may be left over from a removed project
  if (lost.length === 0) return
  const names = lost.map((network) => network.slice(routeNetwork('').length)).join(', ')
  emit({
    type: 'warning',
    message: `the proxy was recreated without its volume, and has lost the routes of ${names}`,
    hint: 'Deploy these projects again: until then their routes do not answer.',
  })
}

/**
 * Removes the proxy if no project has routes. Certificates stay in its volumes. While it has another name nobody can change
 * its routes: who wants to finds none, and gives it back its name (`finishUpgrade`), so that it is not removed.
 */
export async function removeUnneeded(docker: Docker): Promise<void> {
  if (isNeeded(await readProxyIfUp(docker))) return
  const renamed = await rename(docker, [PROXY, PROXY_NEXT], { what: 'set the proxy aside' })
  if (renamed.code !== 0) return // somebody has removed it, or is recreating it
  if (isNeeded(await readProxyIfUp(docker, PROXY_NEXT)))
    return void (await rename(docker, [PROXY_NEXT, PROXY], { what: 'name the proxy again' }))
  await removeForced(docker, [PROXY_NEXT], { what: 'remove the proxy', unless: NO_CONTAINER })
  await removeUnusedNetwork(docker, [PROXY_NETWORK], { what: "remove the proxy's network" })
}

/** One that does not run cannot be asked, and stays. */
function isNeeded(now: ProxyState | undefined): boolean {
  return now === undefined || Object.values(now.projects).some((routes) => routes.length > 0)
}
