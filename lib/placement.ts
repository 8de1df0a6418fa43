import type { ComposeModel, Service } from './compose.ts'
import { StagecraftError } from './errors.ts'
import { resourceKeys } from './plan-model.ts'
import type { Project } from './project.ts'
import { namespaceOwner, type Topology } from './services.ts'

/** What of a project is on one of its hosts. */
export interface Placed {
  readonly project: Project
  /** services there that wait for jobs on other hosts, and for which */
  readonly awaits: Readonly<Record<string, readonly string[]>>
}

/**
 * Says which services are on which host (spec/core/hosts.md). Where there is one host it has all of them. Pure.
 * @throws config (3) for what cannot be placed, or would get a database on each host
 */
export function placeOnHosts(project: Project): Placed[] {
  const named = project.environment.hosts ?? []
  const placement = new Map(
    Object.keys(project.model.services).map((service) => [service, hostsOf(project, service, named)]),
  )
  if (named.length < 2) return [{ project, awaits: {} }]
  for (const [service, hosts] of placement) refuseImpossible(project, service, hosts, placement)
  const placed = project.hosts.map((host): Placed => {
    const services = [...placement].flatMap(([service, hosts]) => (hosts.includes(host.name ?? '') ? [service] : []))
    return { project: onHost({ ...project, host }, services), awaits: awaited(project.topology, services) }
  })
  refuseWaitingForEachOther(placed)
  return placed
}

/** A job runs once: on the first host of those that it is placed on. */
function hostsOf({ environment, topology }: Project, service: string, named: readonly string[]): readonly string[] {
  const wanted = environment.services[service]?.hosts ?? named
  for (const host of wanted)
    if (!named.includes(host))
      throw new StagecraftError('config', `Cannot place ${service} on ${host}: ${environment.name} has no such host`, {
        hint:
          named.length === 0
            ? `It runs on this machine's engine. Give ${environment.name} \`hosts:\` in stagecraft.yml, or leave them out of the service.`
            : `As they are written in stagecraft.yml, its hosts are: ${named.join(', ')}.`,
      })
  return topology.jobs.includes(service) ? wanted.slice(0, 1) : wanted
}

function refuseImpossible(
  { environment, model }: Project,
  service: string,
  hosts: readonly string[],
  placement: ReadonlyMap<string, readonly string[]>,
): void {
  const definition = model.services[service] ?? {}
  const data = dataOf(definition)
  if (hosts.length > 1 && data !== undefined && environment.services[service]?.hosts === undefined)
    throw new StagecraftError('config', `Cannot place ${service} on ${hosts.length} hosts: it keeps data (${data})`, {
      hint: `Each host would get data of its own. Say where it is: services.${service}.hosts in stagecraft.yml.`,
    })
  for (const other of joined(definition)) {
    const missing = hosts.find((host) => !placement.get(other)?.includes(host))
    if (missing === undefined) continue
    throw new StagecraftError('config', `Cannot place ${service} on ${missing}: it is joined to ${other}`, {
      hint: `What shares a network, a namespace or volumes is on the same hosts: give both the same \`hosts\` in stagecraft.yml.`,
    })
  }
}

/** @returns what a service would have another one of on each host. A socket is no data. */
function dataOf({ volumes = [] }: Service): string | undefined {
  for (const { type, source, read_only, target } of volumes) {
    if (type === 'volume' && source !== undefined && source !== '') return `volume ${source}`
    if (type === 'bind' && read_only !== true && !/\.sock$/.test(source ?? '')) return target
  }
  return undefined
}

/** @returns the services whose namespace or volumes a service uses. */
function joined({ network_mode, ipc, pid, volumes_from = [] }: Service): string[] {
  const owners = [network_mode, ipc, pid].flatMap((mode) => namespaceOwner(mode) ?? [])
  const volumes = volumes_from.filter((from) => !from.startsWith('container:')).map((from) => from.split(':')[0] ?? '')
  return [...owners, ...volumes]
}

/** The project as it is on one host: nothing of what it does not run, secrets above all, is taken there. */
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

/** Hosts that wait begin when the others are ready: what they wait for must be on one of those. */
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
