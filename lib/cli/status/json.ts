import type { status as statusSchema } from '../../output/contract/status.ts'
import { type Marks, releaseJson } from '../../record/release-json.ts'
import { type EnvironmentStatus, isAsReleased } from '../../status/environment.ts'
import type { Figures } from '../../status/figures.ts'
import type { ServiceStatus } from '../../status/services.ts'
import type { Of } from '../../util/schema.ts'

/** How many of the last releases are shown. */
export const LAST_RELEASES = 5

/** @returns a status as `--json` shows it. @param watched what only `--watch` knows */
export function statusJson(
  status: EnvironmentStatus,
  marks: Marks,
  watched?: Figures & { readonly at: string },
): Of<typeof statusSchema> {
  const { environment, serving, drift, interrupted, underWay, lock, silent, services = [], copies, databases } = status
  const { certificates } = status
  return {
    environment,
    ...(watched ? { at: watched.at } : {}),
    as_released: isAsReleased(status),
    serving: serving ?? null,
    ...(status.down === undefined ? {} : { down: status.down }),
    engine: silent.length === 0 ? 'ok' : status.services === undefined ? 'unreachable' : 'partly',
    ...(silent.some((host) => host !== '') ? { unreachable: silent } : {}),
    services: watched ? services.map((service) => withUsage(service, watched)) : services,
    ...(watched ? { routes: watched.routes } : {}),
    ...(status.nodes.length > 0 ? { nodes: status.nodes } : {}),
    drift,
    ...(status.schedules.length > 0 && !watched ? { schedules: status.schedules } : {}),
    ...(watched ? {} : { copies }),
    ...(databases.length > 0 ? { databases } : {}),
    ...(certificates.length > 0 ? { certificates } : {}),
    interrupted,
    ...(underWay ? { under_way: underWay.release.id } : {}),
    lock,
    releases: status.releases.slice(0, LAST_RELEASES).map((release) => releaseJson(release, marks)),
  }
}

function withUsage(service: NonNullable<EnvironmentStatus['services']>[number], { usage }: Figures): ServiceStatus {
  const containers = service.containers.map((container) => {
    const used = usage.get(container.id)
    return { ...container, ...(used ? { cpu_percent: used.cpu, memory_bytes: used.memory } : {}) }
  })
  return { ...service, containers }
}
