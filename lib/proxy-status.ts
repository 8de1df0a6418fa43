import type { Docker, ProxyContainer } from './docker.ts'
import { formatTime, plainLine, table } from './format.ts'
import { readProxy, requestsInFlight } from './proxy.ts'
import type { HostProxy } from './proxy-life.ts'
import { describeRoute, type Slot, slotAddress } from './routes.ts'

/** What a host's proxy is, and what it does for whom. */
export interface ProxyStatus {
  readonly image: string
  readonly state: ProxyContainer['state']
  /** ISO 8601 */
  readonly since: string
  readonly routes: readonly RouteStatus[]
}

export interface RouteStatus {
  /** what it answers, for people */
  readonly route: string
  readonly project: string
  readonly service: string
  /** null: no release is live there */
  readonly live: Slot | null
  /** requests on their way now, to the live slot and to the other one */
  readonly in_flight: number
  readonly draining: number
  readonly maintenance: boolean
}

/** @throws unreachable (8) */
export async function proxyStatus({ docker, proxy }: HostProxy): Promise<ProxyStatus> {
  const { reference: image, state, startedAt: since } = proxy
  return { image, state, since, routes: state === 'running' ? await routeStatuses(docker) : [] }
}

async function routeStatuses(docker: Docker): Promise<RouteStatus[]> {
  const { projects, live, maintenance } = await readProxy(docker)
  const counts = (await requestsInFlight(docker)) ?? new Map<string, number>()
  return Object.keys(projects)
    .toSorted()
    .flatMap((project) =>
      (projects[project] ?? []).map((route): RouteStatus => {
        const slot = live[project]?.[route.service]
        const count = (each: Slot) => counts.get(slotAddress(project, route, each)) ?? 0
        return {
          route: describeRoute(route),
          project,
          service: route.service,
          live: slot ?? null,
          in_flight: slot === undefined ? 0 : count(slot),
          draining: slot === undefined ? 0 : count(slot === 'a' ? 'b' : 'a'),
          maintenance: maintenance.includes(project) && route.hosts.length > 0,
        }
      }),
    )
}

/** @returns it as lines for people. */
export function formatProxyStatus({ image, state, since, routes }: ProxyStatus): string[] {
  const runs =
    state === 'running' ? `runs since ${formatTime(since).slice(0, 'yyyy-mm-dd hh:mm'.length)}` : `is ${state}`
  const rows = routes.map((route) => [
    plainLine(route.route),
    route.project,
    route.service,
    route.maintenance ? 'maintenance' : (route.live ?? 'nothing'),
    String(route.in_flight),
    String(route.draining),
  ])
  const head = ['ROUTE', 'PROJECT', 'SERVICE', 'LIVE', 'IN FLIGHT', 'DRAINING']
  const align = ['left', 'left', 'left', 'left', 'right', 'right'] as const
  return [
    `proxy: ${plainLine(image)} ${runs}, ${routes.length === 1 ? '1 route' : `${routes.length} routes`}`,
    ...(rows.length === 0 ? [] : ['', ...table([head, ...rows], align)]),
  ]
}
