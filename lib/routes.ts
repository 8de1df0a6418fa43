import type { ComposeModel } from './compose.ts'
import type { ExposeConfig, ServiceConfig } from './config.ts'
import { trustedRanges } from './trusted-proxies.ts'

/** Where the containers of a routed service are found: the live ones have one, the next ones get the other. */
export type Slot = 'a' | 'b'

/** Which slot of each routed service is live, by service. */
export type Slots = Readonly<Record<string, Slot>>

/** What the proxy does for one service of an environment. Kept by the proxy and in the bundle. */
export interface Route {
  readonly service: string
  /** in lower case; none: only internal */
  readonly hosts: readonly string[]
  /** `/` is everything */
  readonly path: string
  readonly tls: 'off' | 'auto' | 'internal'
  /** where the containers of each slot listen: a new release may have another port */
  readonly ports: Readonly<Record<Slot, number>>
  readonly internal?: InternalRoute
  /** whose X-Forwarded headers are passed on: addresses and ranges */
  readonly trusted?: readonly string[]
}

/** What the proxy does for a project: its routes, and which slot of each is live. */
export interface Routed {
  readonly routes: readonly Route[]
  readonly slots: Slots
}

/** Requests from the project's own networks, answered under the service's own name. */
export interface InternalRoute {
  readonly port: number
  /** the service's name and aliases */
  readonly names: readonly string[]
  /** the engine's names of the networks */
  readonly networks: readonly string[]
  /** of these networks: who may call, and whose `api` is meant. Known once the networks exist */
  readonly subnets: readonly string[]
  /**
   * of these, those on which another project was answered at this port before: there only the name counts, and any other Host
   * is still theirs. Kept by the proxy alone
   */
  readonly named?: readonly string[]
}

/** The proxy's name in Docker, and its network: an engine gives the default route and published ports to the network whose
 * name sorts first (moby libnetwork sandbox.go), and moving them cuts connections, so no other network may sort before it. */
export const PROXY = 'stagecraft-proxy'
export const PROXY_NETWORK = '0--stagecraft-proxy'
/** What a proxy is made of where nothing says otherwise. */
export const PROXY_IMAGE = 'caddy:2'

/** @returns the network on which the proxy reaches the routed containers of a Compose project. */
export function routeNetwork(project: string): string {
  return `stagecraft-${project}`
}

/** @returns the name under which the proxy finds the containers of a slot. No other project or service has it. */
export function slotAlias(project: string, service: string, slot: Slot): string {
  return `${slot}.${service}.${project}.stagecraft.internal`
}

/** @returns what Caddy calls the slot's upstream. */
export function slotAddress(project: string, { service, ports }: Route, slot: Slot): string {
  return `${slotAlias(project, service, slot)}:${ports[slot]}`
}

export function otherSlot(slot: Slot | undefined): Slot {
  return slot === 'a' ? 'b' : 'a'
}

/** @returns the services that stagecraft.yml exposes, in order of name. */
export function exposedServices(services: Readonly<Record<string, ServiceConfig>>): [string, ExposeConfig][] {
  return Object.entries(services)
    .flatMap(([name, { expose }]): [string, ExposeConfig][] => (expose ? [[name, expose]] : []))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/**
 * @returns the routes of a release. @param slots where its containers are @param before the routes that are in force: the
 * other slot keeps the port that its containers listen on
 */
export function routesOf(
  services: Readonly<Record<string, ServiceConfig>>,
  model: ComposeModel,
  { slots, before }: { readonly slots: Slots; readonly before: readonly Route[] },
): Route[] {
  return exposedServices(services).flatMap(([service, expose]): Route[] => {
    const slot = slots[service]
    if (slot === undefined) return []
    const was = before.find((route) => route.service === service)
    const other = was?.ports[otherSlot(slot)] ?? expose.port
    const ports = slot === 'a' ? { a: expose.port, b: other } : { a: other, b: expose.port }
    const { host: hosts = [], path = '/', tls = 'auto' } = expose
    const trusted = hosts.length === 0 ? [] : trustedRanges(expose)
    const internal = expose.internal ? internalRoute(service, expose, model) : undefined
    return [
      {
        service,
        hosts,
        path: cleanPath(path),
        tls,
        ports,
        ...(internal ? { internal } : {}),
        ...(trusted.length > 0 ? { trusted } : {}),
      },
    ]
  })
}

/** @returns a path as requests have it once Caddy has cleaned it: no `//`, `.` or `..`, no slash at its end. `/` is everything. */
export function cleanPath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}

/** @returns what internal callers of a service are told apart by; the subnets are looked up later. */
export function internalRoute(service: string, { port }: ExposeConfig, model: ComposeModel): InternalRoute {
  const networks = Object.entries(model.services[service]?.networks ?? {})
  const aliases = networks.flatMap(([, settings]) => aliasesOf(settings))
  return {
    port,
    names: [...new Set([service, ...aliases])],
    networks: networks.map(([key]) => model.networks?.[key]?.name ?? `${model.name}_${key}`).toSorted(),
    subnets: [],
  }
}

function aliasesOf(settings: unknown): string[] {
  const aliases = typeof settings === 'object' && settings !== null && 'aliases' in settings ? settings.aliases : []
  return Array.isArray(aliases) ? aliases.map(String) : []
}

/** @returns what a route answers, for people: `shop.example.com/api`, `http://api:3000 (internal)`. */
export function describeRoute(
  route: Omit<Route, 'internal'> & { readonly internal?: InternalRoute | undefined },
): string {
  const { service, hosts, path, tls, internal } = route
  const own = hosts.map((host) => `http${tls === 'off' ? '' : 's'}://${host}${path === '/' ? '' : path}`)
  return [...own, ...(internal ? [`http://${service}:${internal.port} (internal)`] : [])].join(', ')
}

/** Routes of every Compose project of a host, by project. */
export type ProjectRoutes = Readonly<Record<string, readonly Route[]>>
