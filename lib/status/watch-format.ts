import { lockLines } from '../lock/messages.ts'
import type { Style } from '../output/lines.ts'
import { type Align, formatBytes, type HostRow, hostTable, plainLine } from '../util/format.ts'
import { type EnvironmentStatus, isAsReleased } from './environment.ts'
import type { Figures } from './figures.ts'
import { headlines, healthOf, isOnSeveral, reasonLines } from './format.ts'
import { type ContainerStatus, formatAge, type ServiceStatus } from './services.ts'
import { nodeLines } from './swarm/format.ts'

const CONTAINERS = ['CONTAINER', 'VERSION', 'HEALTH', 'RESTARTS', 'AGE', 'CPU', 'MEMORY']
const CONTAINERS_ALIGN = ['left', 'left', 'left', 'right', 'right', 'right', 'right'] as const
const ROUTES = ['ROUTE', 'SERVICE', 'LIVE', 'IN FLIGHT', 'DRAINING']
const ROUTES_ALIGN = ['left', 'left', 'left', 'right', 'right'] as const

/** @returns what `status --watch` shows of an environment: less than `status`, and a row for each container. */
export function formatWatched(status: EnvironmentStatus, figures: Figures, now: number, paint: Style): string[] {
  const { services = [], lock } = status
  const section = (head: readonly string[], align: readonly Align[], rows: readonly HostRow[]) => {
    if (rows.length === 0) return []
    const [first = '', ...others] = hostTable(rows, head, align, isOnSeveral(status))
    return ['', paint('quiet', first), ...others]
  }
  const [verdict = '', ...others] = headlines(status)
  const containers = services.flatMap((service) =>
    containerRows(service, figures, now).map((cells) => ({ host: service.host, cells })),
  )
  const routes = figures.routes.map(({ host, route, service, maintenance, live, in_flight, draining }) => ({
    host,
    cells: [
      ...[plainLine(route), plainLine(service), maintenance ? 'maintenance' : (live ?? 'nothing')],
      ...[String(in_flight), String(draining)],
    ],
  }))
  const nodes = nodeLines(status.nodes)
  return [
    // Two lines: on 80 columns its end, which matters most, would be cut.
    ...verdict.split('; ').map((line) => paint(isAsReleased(status) ? 'good' : 'bad', line)),
    ...others.map((line) => paint('notable', line)),
    ...section(CONTAINERS, CONTAINERS_ALIGN, containers),
    ...section(ROUTES, ROUTES_ALIGN, routes),
    ...(nodes.length > 0 ? ['', ...nodes] : []),
    ...reasonLines(status).map((line) => (line === '' ? line : paint('bad', line))),
    ...(lock.locked || lock.hold ? ['', ...lockLines(plainLine(status.environment), lock, now)] : []),
  ]
}

function containerRows(service: ServiceStatus, { usage }: Figures, now: number): string[][] {
  const { containers, wanted, job, service: name } = service
  if (containers.length === 0) return job || wanted === 0 ? [] : [[plainLine(name), '-', 'gone', '-', '-', '-', '-']]
  return containers.map((container) => {
    const used = usage.get(container.id)
    const isUp = container.state === 'running' && container.started_at !== undefined
    return [
      plainLine(shortName(container, name)),
      plainLine(container.version ?? '-'),
      healthOf(container),
      String(container.restarts),
      isUp ? formatAge(now - Date.parse(container.started_at ?? '')) : '-',
      used ? `${used.cpu.toFixed(1)}%` : '-',
      used ? formatBytes(used.memory) : '-',
    ]
  })
}

/** @returns the name of a container without that of its Compose project: `web-1` of `shop-web-1` */
function shortName({ name }: ContainerStatus, service: string): string {
  const at = name.lastIndexOf(`-${service}-`)
  return at < 0 ? name : name.slice(at + 1)
}
