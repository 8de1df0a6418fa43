import type { ComposeModel, Dependency, Service } from './compose.ts'

/** Another service that must be there before this one, and why. */
export interface Need {
  readonly service: string
  readonly condition: Dependency['condition']
  /** this one is made anew whenever that one is */
  readonly follows: boolean
  readonly why: string
}

/** What the plan and the rollout need to know about the services of a model beyond their definitions. */
export interface Topology {
  /** a service comes after everything it needs */
  readonly order: readonly string[]
  readonly needs: Readonly<Record<string, readonly Need[]>>
  readonly jobs: readonly string[]
}

/**
 * Order and gates are ours, since Compose acts with `--no-deps` on single services (design 5).
 * @param declaredJobs services that stagecraft.yml calls jobs
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

/** @returns how many containers a service is to have (Compose spec, `deploy.replicas` and `scale`). */
export function replicasOf(service: Service): number {
  return service.scale ?? service.deploy?.replicas ?? 1
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

export const NAMESPACES = ['network_mode', 'ipc', 'pid'] as const

/** @returns the service whose namespace `service:<name>` is. */
export function namespaceOwner(mode: string | undefined): string | undefined {
  return /^service:(.+)$/.exec(mode ?? '')?.[1]
}

/** @returns whether a service is in the network, IPC or process namespace of another one. */
export function usesNamespace(service: Service): boolean {
  return NAMESPACES.some((key) => namespaceOwner(service[key]) !== undefined)
}

/** @returns whether Compose's hash of a service holds the ids of other containers, so that it changes with them. */
export function isHashedWithOthers(service: Service): boolean {
  return usesNamespace(service) || (service.volumes_from ?? []).length > 0
}

/** Containers that use something of another container lose it when that one is made anew. */
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

/** Depth first, names in order: the same model gives the same order. Compose has already refused cycles. */
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
