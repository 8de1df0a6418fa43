/** Caddy's configuration (https://caddyserver.com/docs/json/): the part that Stagecraft writes. */
export interface CaddyConfig {
  readonly logging: unknown
  readonly apps: { readonly http: { readonly servers: Readonly<Record<string, CaddyServer>> } }
}

interface CaddyServer {
  readonly listen: readonly string[]
  readonly routes: readonly CaddyRoute[]
}

interface CaddyRoute {
  readonly match?: readonly Matcher[]
  readonly terminal?: boolean
  readonly handle: readonly Handler[]
}

interface Matcher {
  readonly host?: readonly string[]
  readonly path?: readonly string[]
  readonly remote_ip?: { readonly ranges: readonly string[] }
  readonly file?: { readonly root: string; readonly try_files: readonly string[] }
}

type Handler =
  | { readonly handler: 'subroute'; readonly routes: readonly CaddyRoute[] }
  | { readonly handler: 'reverse_proxy'; readonly upstreams: readonly { readonly dial: string }[] }
  | { readonly handler: 'static_response'; readonly status_code: string }
  | { readonly handler: 'file_server'; readonly status_code: string }
  | { readonly handler: 'rewrite' | 'headers' }

export interface CaddyRequest {
  readonly host: string
  readonly path: string
  readonly port: number
  /** the subnet that it comes from */
  readonly from: string
}

/** What Caddy does with a request: asks an upstream, or answers with a status itself. */
export type CaddyAnswer = { readonly dial: string } | { readonly status: number }

/**
 * @param files those that its `file` matchers would find
 * @returns undefined where it does not listen
 */
export function askCaddy(
  config: CaddyConfig,
  request: CaddyRequest,
  files: ReadonlySet<string>,
): CaddyAnswer | undefined {
  const server = Object.values(config.apps.http.servers).find(({ listen }) => listen.includes(`:${request.port}`))
  return server && (follow(server.routes, request, files) ?? { status: 200 }) // Caddy's own answer where nothing says more
}

function follow(
  routes: readonly CaddyRoute[],
  request: CaddyRequest,
  files: ReadonlySet<string>,
): CaddyAnswer | undefined {
  for (const { match, handle, terminal } of routes) {
    if (match && !match.some((matcher) => matches(matcher, request, files))) continue
    for (const handler of handle) {
      const answer = run(handler, request, files)
      if (answer) return answer
    }
    if (terminal) return undefined
  }
  return undefined
}

function run(handler: Handler, request: CaddyRequest, files: ReadonlySet<string>): CaddyAnswer | undefined {
  switch (handler.handler) {
    case 'subroute':
      return follow(handler.routes, request, files)
    case 'reverse_proxy':
      return { dial: handler.upstreams[0]?.dial ?? '' }
    case 'static_response':
    case 'file_server':
      return { status: Number(handler.status_code) }
    case 'rewrite':
    case 'headers':
      return undefined
  }
}

function matches(matcher: Matcher, { host, path, from }: CaddyRequest, files: ReadonlySet<string>): boolean {
  const { host: hosts, path: paths, remote_ip: remote, file } = matcher
  if (hosts && !hosts.some((pattern) => isHost(pattern, host))) return false
  if (paths && !paths.some((pattern) => isPath(pattern, path))) return false
  if (remote && remote.ranges.length > 0 && !remote.ranges.includes(from)) return false // none: everyone
  return file === undefined || file.try_files.some((name) => files.has(`${file.root}${name}`))
}

/** A `*` stands for one label; case does not count (caddyhttp/matchers.go). */
function isHost(pattern: string, host: string): boolean {
  const [wanted, asked] = [pattern.toLowerCase(), host.toLowerCase()]
  return wanted === asked || (wanted.startsWith('*.') && wanted.slice(1) === asked.replace(/^[^.]+/, ''))
}

function isPath(pattern: string, path: string): boolean {
  const [wanted, asked] = [pattern.toLowerCase(), path.toLowerCase()]
  return wanted === asked || (wanted.endsWith('/*') && asked.startsWith(wanted.slice(0, -1)))
}

/** @returns the address of each upstream that a configuration names. */
export function upstreamsIn(config: CaddyConfig): string[] {
  const inRoutes = (routes: readonly CaddyRoute[]): string[] =>
    routes.flatMap(({ handle }) =>
      handle.flatMap((handler) => {
        if (handler.handler === 'subroute') return inRoutes(handler.routes)
        return handler.handler === 'reverse_proxy' ? handler.upstreams.map(({ dial }) => dial) : []
      }),
    )
  return [...new Set(Object.values(config.apps.http.servers).flatMap(({ routes }) => inRoutes(routes)))]
}
