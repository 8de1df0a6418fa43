import type { Bundle } from './bundle.ts'
import { sameContent } from './canonical.ts'
import type { Container, Docker } from './docker.ts'
import { readProxy } from './proxy.ts'
import { findProxy } from './proxy-life.ts'
import { describeRoute, PROXY, type Route, routeNetwork, slotAlias } from './routes.ts'
import type { Drift } from './status.ts'

/** @returns how what the proxy does differs from what the serving release had it do. @param containers of the project */
export async function routeDrift(
  docker: Docker,
  { project, routes = [], slots = {} }: Bundle,
  containers: readonly Container[],
): Promise<Drift[]> {
  if (routes.length === 0) return []
  const proxy = await findProxy(docker)
  if (proxy?.state !== 'running')
    return [{ kind: 'proxy', name: PROXY, why: proxy ? `it is ${proxy.state}` : 'it does not exist any more' }]
  const state = await readProxy(docker)
  const found = state.projects[project] ?? []
  const live = state.live[project] ?? {}
  const isPublic = ({ hosts }: Route) => hosts.length > 0
  return routes.flatMap((route): Drift[] => {
    const { service } = route
    const drift = (why: string): Drift => ({ kind: 'route', name: describeRoute(route), why })
    if (!found.some((other) => sameContent(other, route))) return [drift('the proxy does not have it')]
    const slot = slots[service] ?? 'a'
    if (live[service] !== slot)
      return [drift(`the proxy sends requests to ${live[service] ?? 'nobody'}, not to slot ${slot}`)]
    const alias = slotAlias(project, service, slot)
    const own = containers.filter((container) => container.service === service && container.state === 'running')
    const loose = own.filter(({ networks }) => !networks[routeNetwork(project)]?.aliases.includes(alias))
    return [
      ...loose.map(({ name }) => drift(`the proxy does not reach ${name}`)),
      ...(isPublic(route) && state.maintenance.includes(project)
        ? [drift('it answers 503: `stagecraft maintenance off` ends that')]
        : []),
    ]
  })
}
