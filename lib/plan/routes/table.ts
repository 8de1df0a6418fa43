import type { ComposeModel } from '../../compose/model.ts'
import type { DnsChallenge } from '../../config/edge/dns.ts'
import { askIn, type ExposeConfig, tlsOf } from '../../config/edge/expose.ts'
import { type Rules, rulesOf } from '../../config/edge/rules.ts'
import { trustedRanges, withPrivateRanges } from '../../config/edge/trusted-proxies.ts'
import type { Environment, ServiceConfig } from '../../config/parse.ts'
import { compare } from '../../util/format.ts'

/** A routed service has two slots: its live containers are in one, the next release's get the other. */
export type Slot = 'a' | 'b'

/** Which slot of each routed service is live, by service. */
export type Slots = Readonly<Record<string, Slot>>

/** How the proxy routes requests to one service of an environment. Kept by the proxy and in the bundle. */
export interface Route {
  readonly service: string
  /** in lower case; empty: only internal */
  readonly hosts: readonly string[]
  /** names whose visitors are sent to the first of them, with their path */
  readonly redirect?: readonly string[]
  /** `/` is all paths */
  readonly path: string
  /** `own`: a certificate that the operator gives */
  readonly tls: 'off' | 'auto' | 'internal' | 'own'
  /** with `tls: auto`: the CA; absent: Caddy's default */
  readonly acme?: Acme
  /** a path of the service: a name that a host with a `*` stands for gets a certificate if it answers 2xx to `?domain=<name>` */
  readonly ask?: string
  /** where the containers of each slot listen: a new release may have another port */
  readonly ports: Readonly<Record<Slot, number>>
  /** slots whose containers speak HTTP/2 without TLS; absent: none */
  readonly h2c?: readonly Slot[]
  /** how many containers of each slot are asked by names of their own; absent: one of them is as good as another */
  readonly replicas?: Readonly<Record<Slot, number>>
  readonly internal?: InternalRoute
  /** whose X-Forwarded headers are passed on: addresses and ranges */
  readonly trusted?: readonly string[]
  /** for requests to its hosts */
  readonly rules?: Rules
  /** whose PROXY headers say where a connection comes from: addresses and ranges */
  readonly proxy_protocol?: readonly string[]
  /** a path at which the proxy says whether the host is to get requests; `wait`: milliseconds before it is changed */
  readonly host_health?: { readonly path: string; readonly wait: number }
}

/** Where certificates come from. Nothing in it is secret. */
export interface Acme {
  readonly email?: string
  /** URL of its directory; default: Let's Encrypt */
  readonly ca?: string
  /** the certificates that its own HTTPS is signed with, as PEM */
  readonly root?: string
  /** an account that the CA has made; `hmac`: a digest of its key */
  readonly eab?: { readonly key_id: string; readonly hmac: string }
  readonly dns?: DnsChallenge
}

/** SHA-256 of what the operator gives a service, by the name of the file in the proxy. */
export type Digests = Readonly<Record<string, string>>

/** A project's routes, and which slot of each is live. */
export interface RoutingTable {
  readonly routes: readonly Route[]
  readonly slots: Slots
}

/** Requests from the project's own networks, answered under the service's own name. */
export interface InternalRoute {
  readonly port: number
  /** the service's name and aliases */
  readonly names: readonly string[]
  /** the engine's names for the networks */
  readonly networks: readonly string[]
  /** of these networks: they decide who may call, and which project's `api` is meant. Known once the networks exist */
  readonly subnets: readonly string[]
  /**
   * the subnets where another project already had this port: there only requests for these names go to this service, and any
   * other Host still goes to the other project. Kept by the proxy alone
   */
  readonly named?: readonly string[]
}

/** The proxy's name in Docker, and its network. An engine gives the default route and published ports to the network whose
 * name sorts first (moby libnetwork sandbox.go), and moving them cuts connections: no other network may sort before it. */
export const PROXY = 'stagecraft-proxy'
export const PROXY_NEXT = `${PROXY}-next` // a new one until the old one is removed; also one about to be removed
export const PROXY_NETWORK = '0--stagecraft-proxy'
export const PROXY_IMAGE = 'caddy:2' // by default

/** @returns the network on which the proxy reaches the routed containers of a Compose project. */
export function routeNetwork(project: string): string {
  return `stagecraft-${project}`
}

/**
 * @param number of a container, from 1 on: the name of this one alone
 * @returns the DNS name of a slot's containers. No other project or service has it.
 */
export function slotAlias(project: string, service: string, slot: Slot, number?: number): string {
  return `${number === undefined ? '' : `${number}.`}${slot}.${service}.${project}.stagecraft.internal`
}

/** @returns where any container of a slot answers */
export function slotAddress(project: string, { service, ports }: Route, slot: Slot): string {
  return `${slotAlias(project, service, slot)}:${ports[slot]}`
}

/** @returns how many containers of a slot the proxy knows one by one; 0: it asks whichever Docker's DNS gives */
export function namedIn({ replicas }: Pick<Route, 'replicas'>, slot: Slot): number {
  const count = replicas?.[slot] ?? 1
  return count > 1 ? count : 0
}

/** @returns Caddy's names for the upstreams of a slot */
export function upstreamsOf(project: string, route: Route, slot: Slot): string[] {
  const address = slotAddress(project, route, slot)
  const named = namedIn(route, slot)
  return named === 0 ? [address] : Array.from({ length: named }, (_, at) => `${at + 1}.${address}`)
}

export function otherSlot(slot: Slot | undefined): Slot {
  return slot === 'a' ? 'b' : 'a'
}

/** @returns the services that stagecraft.yml exposes, in order of name. */
export function exposedServices(services: Readonly<Record<string, ServiceConfig>>): [string, ExposeConfig][] {
  return Object.entries(services)
    .flatMap(([name, { expose }]): [string, ExposeConfig][] => (expose ? [[name, expose]] : []))
    .toSorted(([a], [b]) => compare(a, b))
}

/** What routes depend on, besides stagecraft.yml and the model. */
interface RouteFacts {
  readonly slots: Slots
  readonly live?: Slots
  readonly before: readonly Route[]
  readonly acme?: Acme | undefined
  readonly replicas?: Readonly<Record<string, number>>
}

/**
 * @param slots where its containers are
 * @param live the slots before the release
 * @param before the routes in force: the other slot keeps the port that its containers listen on, and what they speak
 * @param acme the environment's CA
 * @param replicas how many containers each service has
 * @returns the routes of a release
 */
export function routesOf(
  { services, proxy }: Pick<Environment, 'services' | 'proxy'>,
  model: ComposeModel,
  { slots, live = {}, before, acme, replicas = {} }: RouteFacts,
): Route[] {
  const balancers = withPrivateRanges(proxy?.proxy_protocol ?? [])
  return exposedServices(services).flatMap(([service, expose]): Route[] => {
    const slot = slots[service]
    if (slot === undefined) return []
    const was = before.find((route) => route.service === service)
    const other = was?.ports[otherSlot(slot)] ?? expose.port
    const ports = slot === 'a' ? { a: expose.port, b: other } : { a: other, b: expose.port }
    // Only where the slot changes there is something in the other one.
    const left = live[service] === slot ? undefined : was
    const isH2c = expose.protocol === 'h2c'
    const h2c = (['a', 'b'] as const).filter((each) => (each === slot || !left ? isH2c : left.h2c?.includes(each)))
    // All calls of HTTP/2 share one connection, so that one name for all replicas would be the name of one.
    const count = expose.sticky || isH2c ? (replicas[service] ?? 1) : 1
    const named = { a: 1, b: 1, ...(left ? left.replicas : { a: count, b: count }), [slot]: count }
    const { host: hosts = [], path = '/' } = expose
    const tls = tlsOf(expose)
    const trusted = hosts.length === 0 ? [] : trustedRanges(expose)
    const rules = rulesOf(expose)
    const internal = expose.internal ? internalRoute(service, expose, model) : undefined
    return [
      {
        service,
        hosts,
        ...(expose.redirect ? { redirect: expose.redirect } : {}),
        path: cleanPath(path),
        tls,
        ...(tls === 'auto' && hosts.length > 0 && acme ? { acme } : {}),
        ...askIn(expose),
        ports,
        ...(h2c.length > 0 ? { h2c } : {}),
        ...(Math.max(named.a, named.b) > 1 ? { replicas: named } : {}),
        ...(internal ? { internal } : {}),
        ...(trusted.length > 0 ? { trusted } : {}),
        ...(rules ? { rules } : {}),
        ...(hosts.length > 0 && balancers.length > 0 ? { proxy_protocol: balancers } : {}),
        ...(hosts.length > 0 && proxy?.health ? { host_health: proxy.health } : {}),
      },
    ]
  })
}

/** @returns the file of a certificate with its key that the operator gives */
export function certificateFile(service: string): string {
  return `${service}.pem`
}

/** @returns the file of an error page */
export function pageFile(service: string, status: string): string {
  return `${service}.${status}.html`
}

/** @returns all names of a route */
export function namesOf({ hosts, redirect = [] }: Pick<Route, 'hosts' | 'redirect'>): string[] {
  return [...hosts, ...redirect]
}

/** @returns a path as Caddy cleans it: without `//`, `.`, `..` and a slash at its end. `/` is all paths. */
export function cleanPath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}

/** @returns the names and networks by which internal callers reach a service; the subnets are looked up later. */
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

/** @returns the aliases of a service on a network of its Compose file */
export function aliasesOf(settings: unknown): string[] {
  const aliases = typeof settings === 'object' && settings !== null && 'aliases' in settings ? settings.aliases : []
  return Array.isArray(aliases) ? aliases.map(String) : []
}

/** @returns a route's addresses, for people: `https://shop.example.com/api`, `http://api:3000 (internal)`. */
export function describeRoute(
  route: Omit<Route, 'internal'> & { readonly internal?: InternalRoute | undefined },
): string {
  const { service, hosts, path, tls, internal } = route
  const own = hosts.map((host) => `http${tls === 'off' ? '' : 's'}://${host}${path === '/' ? '' : path}`)
  const moved = (route.redirect ?? []).map((host) => `${host} → ${hosts[0]}`)
  return [...own, ...moved, ...(internal ? [`http://${service}:${internal.port} (internal)`] : [])].join(', ')
}

/** The routes of every Compose project on a host, by project. */
export type ProjectRoutes = Readonly<Record<string, readonly Route[]>>
