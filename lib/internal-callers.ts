import { childError, type Docker } from './docker.ts'
import { StagecraftError } from './errors.ts'
import { isMissing } from './own-networks.ts'
import { connect, ownAliases } from './proxy.ts'
import { findProxy } from './proxy-life.ts'
import { PROXY, type Route } from './routes.ts'

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

/** Plugs the proxy into the networks of internal callers, under the names that they call. */
export async function answerInternally(docker: Docker, routes: readonly Route[]): Promise<void> {
  const wanted = namesByNetwork(routes)
  if (wanted.size === 0) return
  const proxy = await findProxy(docker)
  for (const [network, names] of wanted) {
    const endpoint = proxy?.networks[network]
    const has = ownAliases(endpoint?.aliases ?? [], proxy?.id ?? '')
    if (endpoint && sameNames(has, names)) continue
    if (endpoint) await leave(docker, network)
    await connect(docker, network, PROXY, names).catch(ignoreMissing)
  }
}

/** A network that is gone is made anew with who is on it, and the proxy is plugged in then. */
function ignoreMissing(error: unknown): void {
  if (!(error instanceof StagecraftError) || !/network .*not found/i.test(error.detail ?? '')) throw error
}

/** Takes the proxy out of networks on which it answers nobody any more, before it has no route there. */
export async function leaveCallers(docker: Docker, before: readonly Route[], routes: readonly Route[]): Promise<void> {
  const wanted = namesByNetwork(routes)
  for (const network of namesByNetwork(before).keys()) if (!wanted.has(network)) await leave(docker, network)
}

async function leave(docker: Docker, network: string): Promise<void> {
  const result = await docker.try(['network', 'disconnect', '--force', network, PROXY])
  const isAway = /is not connected|not found|no such/i.test(result.stderr)
  if (result.code !== 0 && !isAway) throw childError(`unplug the proxy from ${network}`, result)
}

function namesByNetwork(routes: readonly Route[]): Map<string, string[]> {
  const wanted = new Map<string, string[]>()
  for (const { internal } of routes)
    for (const network of internal?.networks ?? [])
      wanted.set(network, [...new Set([...(wanted.get(network) ?? []), ...(internal?.names ?? [])])])
  return wanted
}

function sameNames(one: readonly string[], other: readonly string[]): boolean {
  return one.toSorted().join(' ') === other.toSorted().join(' ')
}
