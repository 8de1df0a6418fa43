import type { Docker } from '../docker/client.ts'
import type * as contract from '../output/contract/status.ts'
import { describeRoute, type Slot, slotAddress } from '../plan/routes/table.ts'
import { formatMinute, plainLine, table } from '../util/format.ts'
import type { Of } from '../util/schema.ts'
import { inFlightTo, readProxy, requestsInFlight } from './api.ts'
import type { HostProxy } from './container.ts'

/** A host's proxy and its routes. */
type ProxyStatus = Of<typeof contract.proxyStatus>

export type RouteStatus = Of<typeof contract.routeStatus>

/** @throws unreachable (8) */
export async function proxyStatus({ docker, proxy }: Pick<HostProxy, 'docker' | 'proxy'>): Promise<ProxyStatus> {
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
        const count = (each: Slot) => inFlightTo(counts, slotAddress(project, route, each))
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

/** @returns the status as lines for people. */
export function formatProxyStatus({ image, state, since, routes }: ProxyStatus): string[] {
  const runs = state === 'running' ? `running since ${formatMinute(since)}` : `is ${state}`
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
