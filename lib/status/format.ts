import { listPaths } from '../compose/copied-paths.ts'
import { lockLines } from '../lock/messages.ts'
import type { Copy } from '../record/copies.ts'
import { statusText } from '../record/release-status.ts'
import { formatMinute, hostTable, plainLine } from '../util/format.ts'
import { certificateLines } from './certificates.ts'
import { databaseLines } from './databases.ts'
import { attention, type EnvironmentStatus, type Interrupted } from './environment.ts'
import { scheduleLines } from './schedules/format.ts'
import { type ContainerStatus, formatAge, type ServiceStatus } from './services.ts'
import { nodeLines, taskLines } from './swarm/format.ts'

/** @returns a status as lines for people. @param releaseLines the last releases, as `releases list` has them */
export function formatStatus(status: EnvironmentStatus, releaseLines: readonly string[], now: number): string[] {
  const { services = [], releases, lock } = status
  const rows = services.flatMap((service) => serviceRows(service, now).map((cells) => ({ host: service.host, cells })))
  const reasons = reasonLines(status)
  return [
    ...headlines(status),
    ...section(rows.length === 0 ? [] : hostTable(rows, HEADER, COLUMNS, isOnSeveral(status))),
    ...section(taskLines(services)),
    ...section(nodeLines(status.nodes)),
    ...reasons,
    ...(reasons.length === 0 || status.serving === undefined
      ? []
      : [`What a deploy would do about it: stagecraft plan --env ${plainLine(status.environment)}`]),
    ...section(scheduleLines(status.schedules)),
    ...section(databaseLines(status.databases)),
    ...section(certificateLines(status.certificates)),
    ...copyLines(status),
    ...(releases.length === 0 ? [] : ['', ...releaseLines]),
    '',
    ...lockLines(plainLine(status.environment), lock, now).map((line) => `lock: ${line}`),
  ]
}

/** @returns the verdict, and what is interrupted or under way */
export function headlines(status: EnvironmentStatus): string[] {
  return [verdict(status), ...status.interrupted.map(interruptedLine), ...underWayLines(status)]
}

/** @returns whether services and differences name their host */
export function isOnSeveral({ services = [], drift }: EnvironmentStatus): boolean {
  return [...services, ...drift].some(({ host }) => host !== undefined)
}

/** @returns what is not as released, with a heading; nothing, if all is */
export function reasonLines(status: EnvironmentStatus): string[] {
  if (status.drift.length === 0) return []
  const rows = status.drift.map(({ host, kind, name, why }) => ({
    host,
    cells: [kind === 'service' ? name : `${kind} ${name}`, why],
  }))
  const lines = hostTable(rows, undefined, [], isOnSeveral(status))
  return ['', 'Not as released:', ...lines.map((line) => `  ${plainLine(line)}`)]
}

function section(lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', ...lines]
}

/** Names files that have changed since the release: containers use its copies, so this is no drift. */
function copyLines({ copies }: EnvironmentStatus): string[] {
  if (copies.length === 0) return []
  const named = (here: Copy['here']) => copies.filter((copy) => copy.here === here).map(({ path }) => plainLine(path))
  const [changed, gone] = [named('differs'), named('gone')]
  return [
    '',
    `kept with the release: ${listPaths(copies.map(({ path }) => plainLine(path)))}`,
    ...(changed.length > 0
      ? [`changed here since: ${listPaths(changed)}; containers have what was released until the next deploy`]
      : []),
    ...(gone.length > 0 ? [`not here any more: ${listPaths(gone)}; containers have what was released`] : []),
  ]
}

const HEADER = ['SERVICE', 'VERSION', 'IMAGE', 'REPLICAS', 'HEALTH', 'RESTARTS', 'AGE']
const COLUMNS = ['left', 'left', 'left', 'right', 'left', 'right', 'right'] as const

function verdict(status: EnvironmentStatus): string {
  const { serving, services, drift, releases, silent } = status
  const environment = plainLine(status.environment)
  if (releases.length === 0) return `nothing has been deployed to ${environment} yet`
  if (status.forgetting)
    return `${environment}: down, and its history is being removed; if that was interrupted, the next command finishes it`
  if (status.down !== undefined)
    return `${environment}: down since ${formatMinute(status.down)}; \`stagecraft deploy\` or \`stagecraft rollback\` brings it back`
  const what = serving
    ? `${plainLine(serving.version)} (${serving.id}) live since ${formatMinute(serving.since)}`
    : 'no release is live yet'
  if (services === undefined) return `${environment}: ${what}; what runs is unknown: the engine does not answer`
  if (silent.length > 0)
    return `${environment}: ${what}; what runs on ${silent.join(', ')} is unknown: it cannot be reached`
  if (serving === undefined) return `${environment}: ${what}`
  const needy = attention(status)
  if (drift.length === 0 && needy.length > 0)
    return `${environment}: ${what}, as released; ${needy.join(' and ')} ${needy.length === 1 ? 'needs' : 'need'} attention (below)`
  if (drift.length === 0) return `${environment}: ${what}, as released`
  const changed = services.filter((service) => service.drift.length > 0).length
  const all = services.length === 1 ? '1 service' : `${services.length} services`
  if (changed === 0) return `${environment}: ${what}; its services are as released, but something else is not`
  return `${environment}: ${what}; ${changed} of ${all} ${changed === 1 ? 'is' : 'are'} not as released`
}

function interruptedLine({ id, version, next, ...status }: Interrupted): string {
  const became = statusText(status)
  const what = status.status === 'interrupted' ? `was ${became}` : `${became}, and left something behind`
  const will = next === 'undo' ? 'undoes' : 'finishes'
  return `${plainLine(version)} (${id}) ${what}: the next deploy, rollback or prune ${will} it`
}

function underWayLines({ underWay }: EnvironmentStatus): string[] {
  if (underWay === undefined) return []
  const { release, status } = underWay
  return [`${plainLine(release.version)} (${release.id}) is under way: ${statusText(status)}`]
}

/** @returns a row for each image that it runs: an interrupted rollout may have left two. */
function serviceRows(service: ServiceStatus, now: number): string[][] {
  const { containers, wanted, job, held } = service
  const name = held ? `${service.service} (held)` : service.service
  const images = [...new Set(containers.map(({ image }) => image.id))]
  if (images.length === 0)
    return [[name, '-', '-', job ? 'job' : `0/${wanted}`, job ? 'has run' : wanted > 0 ? 'gone' : '-', '-', '-']]
  return images.map((id) => {
    const own = containers.filter(({ image }) => image.id === id)
    const running = own.filter(({ state }) => state === 'running').length
    const restarts = own.reduce((sum, container) => sum + container.restarts, 0)
    const [first] = own
    return [
      plainLine(name),
      plainLine(first?.version ?? '-'),
      plainLine(shortImage(first?.image.name ?? '-')),
      job ? 'job' : `${running}/${wanted}`,
      [...new Set(own.map(healthOf))].toSorted().join(', '),
      String(restarts),
      age(job ? own : own.filter(({ state }) => state === 'running'), now),
    ]
  })
}

/** @returns the health, or the engine's state if there is no healthcheck or the container is not running. */
export function healthOf({ state, health, exit_code }: ContainerStatus): string {
  if (state === 'exited') return `exited (${exit_code})`
  return state === 'running' && health !== 'none' ? health : state
}

/** @returns a built image without project and service, which the row has, or by the start of its id: a line of a terminal holds 80 columns */
function shortImage(name: string): string {
  return name.replace(/^.*:(sc-[0-9a-f]{12})$/, '$1').replace(/^sha256:([0-9a-f]{12})[0-9a-f]+$/, 'sc-$1')
}

/** @returns the time since the latest start of these containers; `-` if none has started. */
function age(containers: readonly ContainerStatus[], now: number): string {
  const starts = containers.flatMap(({ started_at }) => started_at ?? []).toSorted()
  const last = starts.at(-1)
  return last === undefined ? '-' : formatAge(now - Date.parse(last))
}
