import { listPaths } from './content-text.ts'
import type { Copy } from './copies.ts'
import { formatTime, plainLine, table } from './format.ts'
import { lockLines } from './lock-text.ts'
import { statusText } from './release-status.ts'
import type { EnvironmentStatus, Interrupted } from './status.ts'
import { type ContainerStatus, formatAge, type ServiceStatus } from './status-services.ts'

/** @returns a status as lines for people. @param releaseLines the last releases, as `releases list` has them */
export function formatStatus(status: EnvironmentStatus, releaseLines: readonly string[], now: number): string[] {
  const { services = [], drift, releases, lock } = status
  const headline = [verdict(status), ...status.interrupted.map(interruptedLine), ...underWayLines(status)]
  const several = services.some(({ host }) => host !== undefined)
  const onHost = (host: string | undefined, cells: readonly string[]) =>
    several ? [plainLine(host ?? ''), ...cells] : [...cells]
  const rows = services.flatMap((service) => serviceRows(service, now).map((cells) => onHost(service.host, cells)))
  const reasons = table(
    drift.map(({ host, kind, name, why }) => onHost(host, [kind === 'service' ? name : `${kind} ${name}`, why])),
  )
  return [
    ...headline,
    ...(rows.length === 0
      ? []
      : [
          '',
          ...(several
            ? table([['HOST', ...HEADER], ...rows], ['left', ...COLUMNS])
            : table([HEADER, ...rows], COLUMNS)),
        ]),
    ...(reasons.length === 0 ? [] : ['', 'Not as released:', ...reasons.map((line) => `  ${plainLine(line)}`)]),
    ...(reasons.length === 0 || status.serving === undefined
      ? []
      : [`What a deploy would do about it: stagecraft plan --env ${plainLine(status.environment)}`]),
    ...copyLines(status),
    ...(releases.length === 0 ? [] : ['', ...releaseLines]),
    '',
    ...lockLines(plainLine(status.environment), lock, now).map((line) => `lock: ${line}`),
  ]
}

/** Containers have the copies of the release, whatever became of the files since: that is no fault, but good to know. */
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

const HEADER = ['SERVICE', 'VERSION', 'IMAGE', 'REPLICAS', 'HEALTH', 'RESTARTS', 'SINCE']
const COLUMNS = ['left', 'left', 'left', 'right', 'left', 'right', 'left'] as const

function verdict(status: EnvironmentStatus): string {
  const { serving, services, drift, releases, silent } = status
  const environment = plainLine(status.environment)
  if (releases.length === 0) return `nothing has been deployed to ${environment} yet`
  const what = serving
    ? `${plainLine(serving.version)} (${serving.id}) serves since ${minute(serving.since)}`
    : 'nothing serves: no release has got so far'
  if (services === undefined) return `${environment}: ${what}; what runs is not known: the engine does not answer`
  if (silent.length > 0)
    return `${environment}: ${what}; what runs on ${silent.join(', ')} is not known: it cannot be reached`
  if (serving === undefined) return `${environment}: ${what}`
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

/** A row for each image that it runs: a rollout that was interrupted may have left two. */
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
      plainLine(first?.image.name ?? '-'),
      job ? 'job' : `${running}/${wanted}`,
      [...new Set(own.map(healthOf))].toSorted().join(', '),
      String(restarts),
      since(job ? own : own.filter(({ state }) => state === 'running'), now),
    ]
  })
}

/** One word; where there is no healthcheck, or it does not count, the engine's state. */
function healthOf({ state, health, exit_code }: ContainerStatus): string {
  if (state === 'exited') return `exited (${exit_code})`
  return state === 'running' && health !== 'none' ? health : state
}

/** Since when all of them have run: the start of the youngest. What has stopped runs since never; a job is told by its run. */
function since(containers: readonly ContainerStatus[], now: number): string {
  const starts = containers.flatMap(({ started_at }) => started_at ?? []).toSorted()
  const last = starts.at(-1)
  return last === undefined ? '-' : `${minute(last)} (${formatAge(now - Date.parse(last))})`
}

function minute(timestamp: string): string {
  return formatTime(timestamp).slice(0, 'yyyy-mm-dd hh:mm'.length)
}
