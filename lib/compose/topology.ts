import type { ComposeModel, Dependency, Service } from './model.ts'

/** A service that must be started before another one, and why. */
export interface Need {
  readonly service: string
  readonly condition: Dependency['condition']
  /** the service that needs it is recreated whenever it is */
  readonly follows: boolean
  readonly why: string
}

/** How the services of a model depend on each other, and which are jobs. */
export interface Topology {
  /** a service comes after everything it needs */
  readonly order: readonly string[]
  readonly needs: Readonly<Record<string, readonly Need[]>>
  readonly jobs: readonly string[]
}

/**
 * Stagecraft does order and gates itself: Compose acts with `--no-deps` on single services.
 * @param declaredJobs services with `job: true` in stagecraft.yml
 */
export function classify(model: ComposeModel, declaredJobs: readonly string[] = []): Topology {
  const names = Object.keys(model.services).toSorted()
  const needs: Record<string, Need[]> = {}
  for (const name of names)
    needs[name] = needsOf(model.services[name] ?? {}).filter((need) => names.includes(need.service))
  const awaited = Object.values(needs)
    .flat()
    .filter((need) => need.condition === 'service_completed_successfully')
  const jobs = new Set([...declaredJobs.filter((name) => names.includes(name)), ...awaited.map((need) => need.service)])
  return { order: sortByNeeds(names, needs), needs, jobs: [...jobs].toSorted() }
}

/** @returns how many containers the model gives a service (Compose spec, `deploy.replicas` and `scale`). */
export function replicasOf(service: Service): number {
  return service.scale ?? service.deploy?.replicas ?? 1
}

/** @returns whether a service has a task on each node of a Swarm that fits, and no number of replicas */
export function isOnEachNode({ deploy }: Service): boolean {
  return String(deploy?.['mode'] ?? '').startsWith('global')
}

function needsOf(service: Service): Need[] {
  const needs = new Map<string, Need>()
  for (const [name, dependency] of Object.entries(service.depends_on ?? {}))
    needs.set(name, {
      service: name,
      condition: dependency.condition,
      follows: dependency.restart === true,
      why: `depends on ${name}${dependency.restart === true ? ' with restart: true' : ''}`,
    })
  for (const shared of sharedWith(service)) {
    const condition = needs.get(shared.service)?.condition ?? 'service_started'
    needs.set(shared.service, { ...shared, condition, follows: true })
  }
  return [...needs.values()]
}

/** Keys that can put a service into a namespace of another one. */
export const NAMESPACES = ['network_mode', 'ipc', 'pid'] as const

const ADDRESSES = ['ipv4_address', 'ipv6_address', 'link_local_ips', 'mac_address']

/** @returns the key of a service's settings on a network that gives it a fixed address there */
export function fixedAddress(settings: unknown): string | undefined {
  return ADDRESSES.find((key) => typeof settings === 'object' && settings !== null && key in settings)
}

/** @returns the service that `service:<name>` names. */
export function namespaceOwner(mode: string | undefined): string | undefined {
  return /^service:(.+)$/.exec(mode ?? '')?.[1]
}

/** @returns whether a service uses the network, IPC or process namespace of another one. */
export function usesNamespace(service: Service): boolean {
  return NAMESPACES.some((key) => namespaceOwner(service[key]) !== undefined)
}

/** @returns whether Compose's hash of a service contains ids of other containers, so that it changes with them. */
export function isHashedWithOthers(service: Service): boolean {
  return usesNamespace(service) || (service.volumes_from ?? []).length > 0
}

/** A container that uses something of another container loses it when that one is recreated. */
function sharedWith(service: Service): { service: string; why: string }[] {
  const shared: { service: string; why: string }[] = []
  for (const key of NAMESPACES) {
    const owner = namespaceOwner(service[key])
    if (owner) shared.push({ service: owner, why: `uses the ${key === 'network_mode' ? 'network' : key} of ${owner}` })
  }
  for (const from of service.volumes_from ?? []) {
    const [owner = ''] = from.split(':')
    if (!from.startsWith('container:')) shared.push({ service: owner, why: `uses the volumes of ${owner}` })
  }
  for (const link of service.links ?? []) {
    const [owner = ''] = link.split(':')
    shared.push({ service: owner, why: `is linked to ${owner}` })
  }
  return shared
}

/** Depth first, in order of name: the same model gives the same order. Compose has already refused cycles. */
function sortByNeeds(names: readonly string[], needs: Readonly<Record<string, readonly Need[]>>): string[] {
  const order: string[] = []
  const seen = new Set<string>()
  const visit = (name: string) => {
    if (seen.has(name)) return
    seen.add(name)
    for (const need of needs[name] ?? []) visit(need.service)
    order.push(name)
  }
  for (const name of names) visit(name)
  return order
}
