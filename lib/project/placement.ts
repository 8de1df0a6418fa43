import type { ComposeModel, Service } from '../compose/model.ts'
import { namespaceOwner, type Topology } from '../compose/topology.ts'
import { type HostAddress, hostKey } from '../config/host-address.ts'
import { resourceKeys } from '../plan/model.ts'
import { neededBy } from '../plan/stages.ts'
import { StagecraftError } from '../util/errors.ts'
import { namesHint } from '../util/nearest.ts'
import type { Project } from './settings.ts'

/** The part of a project on one of its hosts. */
export interface Placed {
  readonly project: Project
  /** services there that wait for jobs on other hosts, with these jobs */
  readonly awaits: Readonly<Record<string, readonly string[]>>
  /** databases that are migrated from there: each on the first host that has its service */
  readonly migrates: readonly string[]
  /** services that must be ready before databases are migrated, wherever: those there are created first */
  readonly needed: readonly string[]
}

/**
 * Places the services on the hosts (spec/core/hosts.md). A single host has all of them.
 * @throws config (3) for a service that cannot be placed, or would get its own data on each host
 */
export function placeOnHosts(project: Project): Placed[] {
  const named = project.environment.hosts ?? []
  const placement = new Map(
    Object.keys(project.model.services).map((service) => [service, hostsOf(project, service, named)]),
  )
  const databases = Object.entries(project.environment.databases ?? {})
  const needed = databases.flatMap(([, database]) =>
    database.migrations.strategy === 'pre_deploy' ? neededBy(database, project.topology) : [],
  )
  const isOne = named.length < 2 || project.environment.engine === 'swarm' // Swarm places the services itself
  if (isOne) return [{ project, awaits: {}, migrates: databases.map(([name]) => name), needed }]
  for (const [service, hosts] of placement) refuseImpossible(project, service, hosts, placement)
  const placed = project.hosts.map((host): Placed => {
    const services = [...placement].flatMap(([service, hosts]) =>
      hosts.some((one) => hostKey(one) === host.key) ? [service] : [],
    )
    const migrates = databases.flatMap(([name, { via, migrations }]) => {
      const service = migrations.engine === 'raw' ? via : migrations.service
      const first = service === undefined ? named[0] : placement.get(service)?.[0]
      return first !== undefined && hostKey(first) === host.key ? [name] : []
    })
    const awaits = awaited(project.topology, services)
    return { project: onHost({ ...project, host }, services), awaits, migrates, needed }
  })
  refuseWaitingForEachOther(placed)
  return placed
}

/** A job runs once: on the first of its hosts. @returns hosts of the environment */
function hostsOf(
  { environment, topology }: Project,
  service: string,
  named: readonly HostAddress[],
): readonly HostAddress[] {
  const asked = environment.services[service]?.hosts ?? named
  const wanted = asked.map(({ written }) => {
    const host = named.find((one) => one.written === written)
    if (host !== undefined) return host
    throw new StagecraftError('config', `Cannot place ${service} on ${written}: ${environment.name} has no such host`, {
      hint:
        named.length === 0
          ? `It runs on this machine's engine. Give ${environment.name} \`hosts:\` in stagecraft.yml, or leave them out of the service.`
          : namesHint(
              'Its hosts, as they are written in stagecraft.yml',
              written,
              named.map((one) => one.written),
            ),
    })
  })
  return topology.jobs.includes(service) ? wanted.slice(0, 1) : wanted
}

function refuseImpossible(
  { environment, model }: Project,
  service: string,
  hosts: readonly HostAddress[],
  placement: ReadonlyMap<string, readonly HostAddress[]>,
): void {
  const definition = model.services[service] ?? {}
  const data = dataOf(definition)
  if (hosts.length > 1 && data !== undefined && environment.services[service]?.hosts === undefined)
    throw new StagecraftError('config', `Cannot place ${service} on ${hosts.length} hosts: it keeps data (${data})`, {
      hint: `Each host would get its own data. Name its host: services.${service}.hosts in stagecraft.yml.`,
    })
  for (const other of joined(definition)) {
    const missing = hosts.find((host) => !placement.get(other)?.includes(host))
    if (missing === undefined) continue
    throw new StagecraftError('config', `Cannot place ${service} on ${missing.written}: it is joined to ${other}`, {
      hint: `Services that share a network, a namespace or volumes must be on the same hosts: give both the same \`hosts\` in stagecraft.yml.`,
    })
  }
}

/** @returns the data that a service would have separately on each host. A socket is no data. */
export function dataOf({ volumes = [] }: Service): string | undefined {
  for (const { type, source, read_only, target } of volumes) {
    if (type === 'volume' && source !== undefined && source !== '') return `volume ${source}`
    if (type === 'bind' && read_only !== true && !/\.sock$/.test(source ?? '')) return target
  }
  return undefined
}

/** @returns the services whose namespace or volumes a service uses */
function joined({ network_mode, ipc, pid, volumes_from = [] }: Service): string[] {
  const owners = [network_mode, ipc, pid].flatMap((mode) => namespaceOwner(mode) ?? [])
  const volumes = volumes_from.filter((from) => !from.startsWith('container:')).map((from) => from.split(':')[0] ?? '')
  return [...owners, ...volumes]
}

/** @returns the project on one host, without the services, secrets and other resources that it does not run */
function onHost(project: Project, services: readonly string[]): Project {
  const has = (service: string) => services.includes(service)
  const only = <T>(record: Readonly<Record<string, T>>) =>
    Object.fromEntries(Object.entries(record).filter(([service]) => has(service)))
  const { topology, environment, model } = project
  const needs = Object.entries(only(topology.needs)).map(
    ([service, all]) => [service, all.filter((need) => has(need.service))] as const,
  )
  return {
    ...project,
    model: withUsed({ ...model, services: only(model.services) }),
    environment: { ...environment, services: only(environment.services) },
    topology: {
      order: topology.order.filter(has),
      needs: Object.fromEntries(needs),
      jobs: topology.jobs.filter(has),
    },
  }
}

function withUsed(model: ComposeModel): ComposeModel {
  const result = { ...model }
  for (const kind of ['configs', 'secrets', 'networks', 'volumes'] as const) {
    const used = new Set(Object.values(model.services).flatMap((service) => resourceKeys(service, kind)))
    const kept = Object.entries(model[kind] ?? {}).filter(([key]) => used.has(key))
    if (model[kind] !== undefined) Object.assign(result, { [kind]: Object.fromEntries(kept) })
  }
  return result
}

function awaited({ needs }: Topology, services: readonly string[]): Record<string, string[]> {
  const found = services.map((service) => {
    const jobs = (needs[service] ?? []).filter(
      (need) => need.condition === 'service_completed_successfully' && !services.includes(need.service),
    )
    return [service, jobs.map((need) => need.service)] as const
  })
  return Object.fromEntries(found.filter(([, jobs]) => jobs.length > 0))
}

/** Hosts that wait for a job begin when the others are ready, so the job must be on a host that does not wait. */
function refuseWaitingForEachOther(placed: readonly Placed[]): void {
  const waiting = placed.filter(({ awaits }) => Object.keys(awaits).length > 0)
  for (const { project, awaits } of waiting) {
    const job = Object.values(awaits)
      .flat()
      .find((name) => waiting.some((other) => other.project.topology.jobs.includes(name)))
    if (job === undefined) continue
    throw new StagecraftError(
      'config',
      `Cannot order the hosts: ${project.host.name} waits for ${job}, whose host waits itself`,
      {
        hint: 'Place the jobs that other hosts wait for on one host: services.<name>.hosts in stagecraft.yml.',
      },
    )
  }
}
