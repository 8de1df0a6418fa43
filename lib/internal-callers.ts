import { childError, type Docker, type ProxyContainer } from './docker.ts'
import { StagecraftError } from './errors.ts'
import { isMissing } from './own-networks.ts'
import { connect, ownAliases, readProxy } from './proxy.ts'
import { findProxy } from './proxy-life.ts'
import { PROXY, type ProjectRoutes, type Route } from './routes.ts'

/** @returns the routes with the subnets of their networks as they are now; of a network that is gone none. */
export async function withSubnets(docker: Docker, routes: readonly Route[]): Promise<Route[]> {
  const subnets = new Map<string, string[]>()
  for (const network of new Set(routes.flatMap(({ internal }) => internal?.networks ?? []))) {
    const format = '{{range .IPAM.Config}}{{.Subnet}} {{end}}'
    const result = await docker.try(['network', 'inspect', '--format', format, network], { asks: true })
    if (result.code !== 0 && !isMissing(result)) throw childError(`look at network ${network}`, result)
    subnets.set(network, result.code === 0 ? result.stdout.trim().split(/\s+/).filter(Boolean) : [])
  }
  return routes.map((route) => {
    if (route.internal === undefined) return route
    const own = route.internal.networks.flatMap((network) => subnets.get(network) ?? [])
    return { ...route, internal: { ...route.internal, subnets: own.toSorted() } }
  })
}

/**
 * Connects the proxy to the networks of a project's internal callers, under all names that are called there: other projects
 * may share a network, and keep their names.
 */
export async function answerInternally(docker: Docker, project: string, routes: readonly Route[]): Promise<void> {
  const networks = [...namesByNetwork(routes).keys()]
  if (networks.length === 0) return
  const [proxy, { projects }] = await Promise.all([findProxy(docker), readProxy(docker)])
  const wanted = namesByNetwork(Object.values({ ...projects, [project]: routes }).flat())
  for (const network of networks) await answerOn(docker, proxy, network, wanted.get(network) ?? [])
}

/** Takes the proxy out of networks on which it answers nobody any more, before it has no route there. */
export async function leaveCallers(
  docker: Docker,
  project: string,
  before: readonly Route[],
  routes: readonly Route[],
): Promise<void> {
  const wanted = namesByNetwork(routes)
  const left = [...namesByNetwork(before).keys()].filter((network) => !wanted.has(network))
  if (left.length === 0) return
  const [proxy, { projects }] = await Promise.all([findProxy(docker), readProxy(docker)])
  const others = namesByNetwork(routesOfOthers(project, projects))
  for (const network of left) {
    const names = others.get(network)
    if (names === undefined) await leave(docker, network)
    else await answerOn(docker, proxy, network, names)
  }
}

function routesOfOthers(project: string, projects: ProjectRoutes): Route[] {
  return Object.entries(projects).flatMap(([name, routes]) => (name === project ? [] : routes))
}

/** Connects the proxy to a network under exactly these names. A name more takes a moment in which it is not there at all. */
export async function answerOn(
  docker: Docker,
  proxy: ProxyContainer | undefined,
  network: string,
  names: readonly string[],
): Promise<void> {
  const endpoint = proxy?.networks[network]
  const has = ownAliases(endpoint?.aliases ?? [], proxy?.id ?? '')
  if (endpoint && (names.length === 0 || sameNames(has, names))) return
  if (endpoint) await leave(docker, network)
  await connect(docker, network, PROXY, names).catch(ignoreMissing)
}

/** A network that is gone is made again with who is on it, and the proxy is connected then. */
function ignoreMissing(error: unknown): void {
  if (!(error instanceof StagecraftError) || !/network .*not found/i.test(error.detail ?? '')) throw error
}

async function leave(docker: Docker, network: string): Promise<void> {
  const result = await docker.try(['network', 'disconnect', '--force', network, PROXY])
  const isAway = /is not connected|not found|no such/i.test(result.stderr)
  if (result.code !== 0 && !isAway) throw childError(`disconnect the proxy from ${network}`, result)
}

/** @returns the names under which the proxy is called, by network. */
export function namesByNetwork(routes: readonly Route[]): Map<string, string[]> {
  const wanted = new Map<string, string[]>()
  for (const { internal } of routes)
    for (const network of internal?.networks ?? [])
      wanted.set(network, [...new Set([...(wanted.get(network) ?? []), ...(internal?.names ?? [])])])
  return wanted
}

function sameNames(one: readonly string[], other: readonly string[]): boolean {
  return one.toSorted().join(' ') === other.toSorted().join(' ')
}
