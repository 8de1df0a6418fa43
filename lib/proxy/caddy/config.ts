import { ANY, breadthOf } from '../../config/edge/expose.ts'
import { asRange } from '../../config/edge/trusted-proxies.ts'
import { askedHosts } from '../../plan/routes/certificates.ts'
import { namesOf, type ProjectRoutes, type Route } from '../../plan/routes/table.ts'
import { certificateServer } from '../certificates/server.ts'
import { tlsApp } from '../certificates/tls-app.ts'
import { closing, errorPages, hostHealth, maintenance, pagesOf, unknownHost } from './answers.ts'
import { accessRoutes, logging, serverLogs } from './logging.ts'
import { ruleRoutes } from './rules.ts'
import { type Owned, slotRoutes } from './slots.ts'

/** JSON for Caddy (https://caddyserver.com/docs/json/). */
type Json = Readonly<Record<string, unknown>>

interface Server {
  readonly listen: string[]
  readonly routes: Json[]
  readonly automatic_https?: Json
  /** absent: all that Caddy has by default */
  readonly protocols?: readonly string[]
}

/**
 * @returns Caddy's whole configuration. It does not say which slot is live: Caddy looks for a file at each request
 * (`live/<project>/<service>.<slot>`), so a rollout loads no configuration, which could reset connections.
 */
export function caddyConfig(projects: ProjectRoutes): Json {
  const all = Object.keys(projects)
    .toSorted()
    .flatMap((project) => (projects[project] ?? []).map((route) => ({ project, route })))
  const servers = new Map<number, Server>()
  const serverAt = (port: number, more: Partial<Server> = {}) => {
    const server = { ...(servers.get(port) ?? { listen: [`:${port}`], routes: [] }), ...more }
    servers.set(port, server)
    return server
  }
  // Internal routes first: they match by the caller's network. Those that also match a name come before the others.
  for (const routesOf of [namedRoutes, otherRoutes])
    for (const owned of all)
      if (owned.route.internal) {
        const { port } = owned.route.internal
        const more = port === 80 ? {} : { automatic_https: { disable: true } }
        serverAt(port, { ...more, ...withoutTls(owned.route) }).routes.push(...routesOf(owned, all))
      }
  const sorted = all.flatMap(byBreadth).toSorted(mostSpecificFirst)
  const add = (route: Route, json: Json) => {
    if (route.tls !== 'off') serverAt(443).routes.push(json)
    if (route.tls === 'off' || route.rules?.http === 'serve') serverAt(80, withoutTls(route)).routes.push(json)
  }
  for (const { project, route } of all)
    if (route.host_health) {
      const host = namesOf(route).filter((name) => name !== ANY) // any name at all is left to the others
      if (host.length === 0) continue
      const match = [{ host, path: [route.host_health.path] }]
      for (const port of route.tls === 'off' ? [80] : [80, 443])
        serverAt(port).routes.push({ match, terminal: true, handle: [hostHealth({ project })] })
    }
  for (const owned of sorted.filter((one) => breadth(one) === 0)) add(owned.route, publicRoute(owned))
  for (const { route } of all) if (route.redirect) add(route, redirection(route, route.redirect))
  for (const owned of sorted.filter((one) => breadth(one) > 0)) add(owned.route, publicRoute(owned))
  serverAt(80)
  const ofPublic = { ...proxyProtocol(all), ...serverLogs(projects), ...errorPages(projects) }
  for (const port of [80, 443]) Object.assign(servers.get(port) ?? {}, ofPublic)
  serverAt(80).routes.push(...healthRoutes(all))
  const unknown = sorted.filter(({ route }) => askedHosts(route).includes(ANY))
  if (unknown.length > 0) Object.assign(serverAt(443), { tls_connection_policies: [{}] })
  for (const { route } of unknown) if (route.rules?.http !== 'serve') serverAt(80).routes.push(toHttps(route))
  for (const { routes } of servers.values()) routes.push({ handle: [unknownHost()] }) // Caddy itself would say 200
  if (all.length > 0) for (const { routes } of servers.values()) routes.unshift(closing())
  const named = [...servers].toSorted(([a], [b]) => a - b).map(([port, server]) => [`port-${port}`, server])
  return {
    admin: { listen: '127.0.0.1:2019' },
    logging: logging(projects),
    apps: { http: { servers: { ...certificateServer(all), ...Object.fromEntries(named) } }, ...tlsApp(projects) },
  }
}

/** What a port without TLS speaks is up to all routes there: HTTP/2 as well, if one of them is for it. */
function withoutTls({ h2c }: Route): Pick<Server, 'protocols'> {
  return h2c ? { protocols: ['h1', 'h2', 'h2c'] } : {}
}

/** The ports are the host's: a balancer that one project trusts to say where a connection comes from is trusted for all. */
function proxyProtocol(all: readonly Owned[]): { listener_wrappers?: Json[] } {
  // That module takes no address by itself.
  const allow = [...new Set(all.flatMap(({ route }) => route.proxy_protocol ?? []))].toSorted().map(asRange)
  if (allow.length === 0) return {}
  return { listener_wrappers: [{ wrapper: 'proxy_protocol', timeout: '5s', allow }, { wrapper: 'tls' }] }
}

/** A full host name comes before a wildcard, whatever their paths: no project gets requests for another one's host. */
function mostSpecificFirst(one: Owned, other: Owned): number {
  return breadth(one) - breadth(other) || other.route.path.length - one.route.path.length
}

/** @returns a route split into one for its full host names, one for its wildcards, and one for all names. */
function byBreadth({ project, route }: Owned): Owned[] {
  return [0, 1, 2].flatMap((wanted) => {
    const hosts = route.hosts.filter((host) => breadthOf(host) === wanted)
    return hosts.length > 0 ? [{ project, route: { ...route, hosts } }] : []
  })
}

function breadth({ route: { hosts } }: Owned): number {
  return Math.max(...hosts.map(breadthOf))
}

/** @returns Caddy's matchers of a route; for all names and paths none */
function matchersOf({ hosts, path }: Route): { readonly match?: Json[] } {
  const match = {
    ...(hosts.includes(ANY) ? {} : { host: hosts }),
    ...(path === '/' ? {} : { path: [path, `${path}/*`] }),
  }
  return Object.keys(match).length === 0 ? {} : { match: [match] }
}

/** Caddy itself redirects the names that it knows. */
function toHttps(route: Route): Json {
  const headers = { Location: ['https://{http.request.host}{http.request.uri}'] }
  return { ...matchersOf(route), terminal: true, handle: [{ handler: 'static_response', status_code: '308', headers }] }
}

/** For a balancer that asks by the host's address, or by any other name that no project has. */
function healthRoutes(all: readonly Owned[]): Json[] {
  const paths = new Map(all.map(({ project, route }) => [project, route.host_health?.path]))
  return [...paths].flatMap(([project, path]) =>
    path === undefined ? [] : [{ match: [{ path: [path] }], terminal: true, handle: [hostHealth({ project })] }],
  )
}

function publicRoute(owned: Owned): Json {
  return {
    ...matchersOf(owned.route),
    terminal: true,
    handle: [
      subroute([
        ...accessRoutes(owned),
        ...pagesOf(owned),
        maintenance(owned),
        ...ruleRoutes(owned.route),
        ...slotRoutes(owned, owned.route.trusted, owned.route.rules),
      ]),
    ],
  }
}

/** Keeps the path and, with `tls: off`, where a balancer may speak HTTPS, the scheme. */
function redirection({ hosts: [to = ''], tls }: Route, from: readonly string[]): Json {
  const location = `${tls === 'off' ? '' : 'https:'}//${to}{http.request.uri}`
  const handle = [{ handler: 'static_response', status_code: '308', headers: { Location: [location] } }]
  return { match: [{ host: from }], terminal: true, handle }
}

/** @returns the subnets on which rivals have the same port: only the name distinguishes them there. */
function sharedSubnets({ route }: Owned, rivals: readonly Owned[]): string[] {
  if (route.internal === undefined) return []
  const { port, subnets } = route.internal
  const theirs = rivals.flatMap(({ route: { internal } }) => (internal?.port === port ? internal.subnets : []))
  return subnets.filter((subnet) => theirs.includes(subnet))
}

/** Services that share a port of a network are distinguished by their names. (Docker's DNS knows `api.<network>` too.) */
function namedRoutes(owned: Owned, all: readonly Owned[]): Json[] {
  const { names = [], networks = [], named = [] } = owned.route.internal ?? {}
  const shared = sharedSubnets(
    owned,
    all.filter((other) => other !== owned),
  )
  const ranges = [...new Set([...shared, ...named])]
  if (ranges.length === 0) return []
  const host = names.flatMap((name) => [name, ...networks.map((network) => `${name}.${network}`)])
  return [
    {
      match: [{ remote_ip: { ranges }, host: distinct(host) }],
      terminal: true,
      handle: [subroute(slotRoutes(owned, owned.route.internal?.subnets))],
    },
  ]
}

/** @returns the hosts without duplicates: Caddy ignores case, and refuses a host that is listed twice. */
function distinct(hosts: readonly string[]): string[] {
  const known = new Map(hosts.map((host) => [host.toLowerCase(), host]))
  return [...known.values()]
}

/**
 * Another project may have an `api` too: the caller's network decides which is meant. A service that is alone on a port
 * there, or was first, also gets requests for any other name: a caller that forwards requests may pass on their `Host`.
 */
function otherRoutes(owned: Owned, all: readonly Owned[]): Json[] {
  const { project, route } = owned
  const { subnets = [], named = [] } = route.internal ?? {}
  const siblings = all.filter((other) => other !== owned && other.project === project)
  const notMine = [...named, ...sharedSubnets(owned, siblings)]
  const alone = subnets.filter((subnet) => !notMine.includes(subnet))
  if (alone.length === 0 && subnets.length > 0) return []
  const ranges = alone.length > 0 ? alone : ['127.0.0.1/32'] // an empty list would match everyone
  return [
    {
      match: [{ remote_ip: { ranges } }],
      terminal: true,
      handle: [subroute(slotRoutes(owned, owned.route.internal?.subnets))],
    },
  ]
}

function subroute(routes: readonly Json[]): Json {
  return { handler: 'subroute', routes }
}
