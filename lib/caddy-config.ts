import { type ProjectRoutes, type Route, type Slot, slotAddress } from './routes.ts'

/** Where the proxy keeps what is ours, in its container. */
export const PROXY_FOLDER = '/config/stagecraft'

/** JSON for Caddy (https://caddyserver.com/docs/json/), as far as it is written here. */
type Json = Readonly<Record<string, unknown>>

/** A route, and the project whose it is. */
interface Owned {
  readonly project: string
  readonly route: Route
}

/**
 * @returns Caddy's whole configuration. Which slot is live is not part of it: Caddy looks for a file at each request
 * (`live/<project>/<service>.<slot>`), so that a rollout changes no configuration, which would reset connections (facts).
 */
export function caddyConfig(projects: ProjectRoutes): Json {
  const all = Object.keys(projects)
    .toSorted()
    .flatMap((project) => (projects[project] ?? []).map((route) => ({ project, route })))
  const servers = new Map<number, { listen: string[]; routes: Json[]; automatic_https?: Json }>()
  const serverAt = (port: number, more: { automatic_https?: Json } = {}) => {
    const server = servers.get(port) ?? { listen: [`:${port}`], routes: [], ...more }
    servers.set(port, server)
    return server
  }
  // Internal ones first: they are told by who asks. Those that are told by a name come before those for any other.
  for (const routesOf of [namedRoutes, otherRoutes])
    for (const owned of all)
      if (owned.route.internal) {
        const { port } = owned.route.internal
        const more = port === 80 ? {} : { automatic_https: { disable: true } }
        serverAt(port, more).routes.push(...routesOf(owned, all))
      }
  for (const owned of all.flatMap(byExactness).toSorted(mostSpecificFirst))
    serverAt(owned.route.tls === 'off' ? 80 : 443).routes.push(publicRoute(owned))
  serverAt(80)
  for (const { routes } of servers.values()) routes.push({ handle: [unknownHost()] }) // Caddy itself would say 200
  const named = [...servers].toSorted(([a], [b]) => a - b).map(([port, server]) => [`port-${port}`, server])
  return {
    admin: { listen: '127.0.0.1:2019' },
    logging: { logs: { default: { exclude: ['admin.api'] } } }, // ours: a drain asks several times a second
    apps: { http: { servers: Object.fromEntries(named) }, ...tlsApp(all) },
  }
}

/** A host by its name comes before one by a `*`, whatever their paths: no project gets what another one named. */
function mostSpecificFirst(one: Owned, other: Owned): number {
  return Number(isWildcard(one)) - Number(isWildcard(other)) || other.route.path.length - one.route.path.length
}

/** @returns a route as one for its hosts by name, and one for those by a `*`. */
function byExactness({ project, route }: Owned): Owned[] {
  const [exact, wild] = [false, true].map((is) => route.hosts.filter((host) => host.startsWith('*.') === is))
  return [exact, wild].flatMap((hosts = []) => (hosts.length > 0 ? [{ project, route: { ...route, hosts } }] : []))
}

function isWildcard({ route }: Owned): boolean {
  return route.hosts.some((host) => host.startsWith('*.'))
}

function publicRoute(owned: Owned): Json {
  const { hosts, path } = owned.route
  const match = { host: hosts, ...(path === '/' ? {} : { path: [path, `${path}/*`] }) }
  return {
    match: [match],
    terminal: true,
    handle: [subroute([maintenance(owned), ...slots(owned, owned.route.trusted)])],
  }
}

/** @returns the subnets on which others are answered at the same port too: a name tells which of them is meant. */
function sharedSubnets({ route }: Owned, rivals: readonly Owned[]): string[] {
  if (route.internal === undefined) return []
  const { port, subnets } = route.internal
  const theirs = rivals.flatMap(({ route: { internal } }) => (internal?.port === port ? internal.subnets : []))
  return subnets.filter((subnet) => theirs.includes(subnet))
}

/** Where several are answered at one port of a network, by their names there. (Docker's DNS knows `api.<network>` too.) */
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
      handle: [subroute(slots(owned, owned.route.internal?.subnets))],
    },
  ]
}

/** @returns what Caddy takes for different hosts: it knows no case, and refuses one that is there twice. */
function distinct(hosts: readonly string[]): string[] {
  const known = new Map(hosts.map((host) => [host.toLowerCase(), host]))
  return [...known.values()]
}

/**
 * Another project may have an `api` too: the caller's network tells which is meant. Who is alone on a port there, or was there
 * before another project, is meant by any other name as well: whoever forwards requests may pass on the host that it was asked for.
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
      handle: [subroute(slots(owned, owned.route.internal?.subnets))],
    },
  ]
}

function subroute(routes: readonly Json[]): Json {
  return { handler: 'subroute', routes }
}

/** A page while `stagecraft maintenance on` holds. `file_server` answers GET only, so that is what it is asked. */
function maintenance({ project }: Owned): Json {
  const root = `${PROXY_FOLDER}/maintenance`
  const page = `/${project}.html`
  const conditions = ['If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since', 'If-Range', 'Range']
  return {
    match: [{ file: { root, try_files: [page] } }],
    terminal: true,
    handle: [
      { handler: 'rewrite', method: 'GET', uri: page },
      {
        handler: 'headers',
        request: { delete: conditions },
        response: { set: { 'Retry-After': ['60'], 'Cache-Control': ['no-store'] } },
      },
      { handler: 'file_server', root, status_code: '503' },
    ],
  }
}

/** @param trusted who forwards requests of others: X-Forwarded headers are what they say, and their address is added */
function slots(owned: Owned, trusted: readonly string[] = []): Json[] {
  const { project, route } = owned
  const live = (slot: Slot) => ({
    match: [{ file: { root: `${PROXY_FOLDER}/live`, try_files: [`/${project}/${route.service}.${slot}`] } }],
    terminal: true,
    handle: [
      {
        handler: 'reverse_proxy',
        upstreams: [{ dial: slotAddress(project, route, slot) }],
        // A container that is being started anew is waited for; what has reached it is not sent twice.
        load_balancing: { try_duration: '10s', try_interval: '100ms' },
        // A changed route would cut WebSockets otherwise.
        stream_close_delay: '1h',
        ...(trusted.length > 0 ? { trusted_proxies: trusted } : {}),
      },
    ],
  })
  // A switch from b to a between the two looks: a is looked for once more.
  return [live('a'), live('b'), live('a'), { handle: [noRelease()] }]
}

function noRelease(): Json {
  return { handler: 'static_response', status_code: '503', body: 'Nothing is deployed here.\n' }
}

function unknownHost(): Json {
  return { handler: 'static_response', status_code: '404', body: 'No such site.\n' }
}

function tlsApp(all: readonly Owned[]): Json {
  const subjects = all.flatMap(({ route }) => (route.tls === 'internal' ? route.hosts : []))
  if (subjects.length === 0) return {}
  const policies = [{ subjects: [...new Set(subjects)].toSorted(), issuers: [{ module: 'internal' }] }]
  return { tls: { automation: { policies } } }
}
