import type { Docker } from '../docker/client.ts'
import type { Container } from '../docker/inspect.ts'
import { describeRoute, namedIn, PROXY, type Route, routeNetwork, slotAlias } from '../plan/routes/table.ts'
import { readProxyIfUp } from '../proxy/api.ts'
import { askLive, unheard } from '../proxy/ask.ts'
import { findProxy } from '../proxy/container.ts'
import { describeStranger, strangersOn } from '../proxy/shared-names.ts'
import type { Bundle } from '../record/bundle.ts'
import { sameContent } from '../util/canonical.ts'
import type { Drift } from './drift.ts'

/**
 * @returns how the proxy differs from the routes and slots of the live release, or does not reach its containers
 * @param containers of the project
 */
export async function routeDrift(docker: Docker, bundle: Bundle, containers: readonly Container[]): Promise<Drift[]> {
  const { project, routes = [], slots = {} } = bundle
  if (routes.length === 0) return []
  const proxy = await findProxy(docker)
  if (proxy?.state !== 'running') return [aboutProxy(proxy ? `it is ${proxy.state}` : 'it does not exist any more')]
  const isOn = proxy.networks[routeNetwork(project)] !== undefined
  const cutOff = isOn
    ? []
    : [aboutProxy(`it is not on network ${routeNetwork(project)}: it reaches no container of ${project}`)]
  const state = await readProxyIfUp(docker)
  if (state === undefined) return [aboutProxy('it has just stopped')]
  const found = state.projects[project] ?? []
  const live = state.live[project] ?? {}
  const shown = routes.map((route): [Route, Drift[]] => {
    const { service } = route
    const drift = (why: string): Drift => ({ kind: 'route', name: describeRoute(route), why })
    if (!found.some((other) => sameContent(other, route))) return [route, [drift('the proxy does not have it')]]
    const slot = slots[service] ?? 'a'
    if (live[service] !== slot)
      return [route, [drift(`the proxy sends requests to ${live[service] ?? 'nobody'}, not to slot ${slot}`)]]
    const own = containers.filter((container) => container.service === service && container.state === 'running')
    const named = Array.from({ length: namedIn(route, slot) }, (_, at) => slotAlias(project, service, slot, at + 1))
    const isReached = ({ networks }: Container) => {
      const aliases = networks[routeNetwork(project)]?.aliases ?? []
      const isNamed = named.length === 0 || named.some((name) => aliases.includes(name))
      return isNamed && aliases.includes(slotAlias(project, service, slot))
    }
    const loose = own.filter((container) => !isReached(container))
    return [
      route,
      [
        ...loose.map(({ name }) => drift(`the proxy does not reach ${name}`)),
        ...unheard(proxy, route).map(drift),
        ...(route.hosts.length > 0 && state.maintenance.includes(project)
          ? [drift('it answers 503: `stagecraft maintenance off` ends that')]
          : []),
      ],
    ]
  })
  const well = shown.flatMap(([route, drift]) => (drift.length === 0 && isUp(route, containers) ? [route] : []))
  const silent = cutOff.length > 0 ? [] : await silentDrift(docker, bundle, well)
  return [...cutOff, ...shown.flatMap(([, drift]) => drift), ...silent, ...(await strangerDrift(docker, bundle))]
}

function aboutProxy(why: string): Drift {
  return { kind: 'proxy', name: PROXY, why }
}

/** @returns whether a container of the service runs: if none does, that is reported for the service itself. */
function isUp({ service }: Route, containers: readonly Container[]): boolean {
  return containers.some((container) => container.service === service && container.state === 'running')
}

async function silentDrift(docker: Docker, bundle: Bundle, routes: readonly Route[]): Promise<Drift[]> {
  const { project: name, services = {}, slots = {} } = bundle
  const silent = await askLive({ docker, name, services }, { routes, slots }, 0)
  return routes.flatMap((route): Drift[] => {
    const why = silent.get(route.service)
    return why === undefined ? [] : [{ kind: 'route', name: describeRoute(route), why }]
  })
}

/** @returns containers of others with the name of an internal service on its network: they get some of its requests. */
async function strangerDrift(docker: Docker, { project, routes = [] }: Bundle): Promise<Drift[]> {
  const drift: Drift[] = []
  for (const route of routes)
    for (const network of route.internal?.networks ?? [])
      for (const stranger of await strangersOn(docker, network, project)) {
        const name = stranger.names.find((each) => route.internal?.names.some((own) => isSame(own, each)))
        if (name !== undefined && stranger.isRunning)
          drift.push({
            kind: 'route',
            name: describeRoute(route),
            why: `${describeStranger(stranger)} has the name ${name} on network ${network} too`,
          })
      }
  return drift
}

function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase()
}
