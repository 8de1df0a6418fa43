import type { Docker } from '../../docker/client.ts'
import type { ProxyContainer } from '../../docker/inspect.ts'
import { connect, ensureDisconnected, subnetsOf } from '../../docker/networks.ts'
import { PROXY, type ProjectRoutes, type Route } from '../../plan/routes/table.ts'
import { ownAliases, readProxy } from '../api.ts'
import { findProxy } from '../container.ts'

/** @returns the routes with the current subnets of their networks; a network that is gone has none. */
export async function withSubnets(docker: Docker, routes: readonly Route[]): Promise<Route[]> {
  const subnets = new Map<string, string[]>()
  for (const network of new Set(routes.flatMap(({ internal }) => internal?.networks ?? []))) {
    subnets.set(network, (await subnetsOf(docker, network)) ?? [])
  }
  return routes.map((route) => {
    if (route.internal === undefined) return route
    const own = route.internal.networks.flatMap((network) => subnets.get(network) ?? [])
    return { ...route, internal: { ...route.internal, subnets: own.toSorted() } }
  })
}

/**
 * Connects the proxy to the networks of a project's internal callers, under all names of internal services there: other
 * projects may share a network, and keep their names.
 */
export async function answerInternally(docker: Docker, project: string, routes: readonly Route[]): Promise<void> {
  const networks = [...namesByNetwork(routes).keys()]
  if (networks.length === 0) return
  const [proxy, { projects }] = await Promise.all([findProxy(docker), readProxy(docker)])
  const wanted = namesByNetwork(Object.values({ ...projects, [project]: routes }).flat())
  for (const network of networks) await answerOn(docker, proxy, network, wanted.get(network) ?? [])
}

/** Disconnects the proxy from networks on which it will have no route any more. */
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

/** Connects the proxy to a network under exactly these names. To add a name it is disconnected for a moment. */
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
  // A network that is gone is recreated together with its containers; the proxy is connected then.
  await connect(docker, [network, PROXY], { alias: names }, { mayLack: true })
}

async function leave(docker: Docker, network: string): Promise<void> {
  await ensureDisconnected(docker, [network, PROXY], { what: `disconnect the proxy from ${network}` })
}

/** @returns by network, the names under which internal callers reach the proxy. */
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
