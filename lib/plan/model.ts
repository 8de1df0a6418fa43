import type { ComposeModel, Service } from '../compose/model.ts'
import type { ReleasedImage } from '../docker/images.ts'
import type { Action, Plan, PlanInput } from './input.ts'

/** @returns the model that will run: services that are not touched stay exactly as in the live release. */
export function plannedModel(input: PlanInput, plan: Plan): ComposeModel {
  const services: Record<string, Service> = {}
  for (const { service, action } of plan.services) {
    const before = input.serving?.model.services[service]
    const now = input.target.model.services[service]
    if (now === undefined) continue
    const image = input.images[service]?.reference
    const keeps = before !== undefined && keepsOwn(input, service, action)
    services[service] = keeps ? { ...before, ...keptReplicas(now) } : { ...now, ...(image ? { image } : {}) }
  }
  const model = { ...input.target.model, services }
  return withHeldFiles(model, input)
}

/** A rollback leaves jobs out, but its model has the target's definition of them. */
function keepsOwn({ rollback, topology }: PlanInput, service: string, action: Action): boolean {
  if (rollback && topology.jobs.includes(service)) return false
  return action === 'hold' || action === 'unchanged'
}

function keptReplicas(now: Service): Service {
  return { ...(now.scale === undefined ? {} : { scale: now.scale }), ...(now.deploy ? { deploy: now.deploy } : {}) }
}

/** A held service still refers to the configs, secrets, networks and volumes of the release that made it. */
function withHeldFiles(model: ComposeModel, input: PlanInput): ComposeModel {
  const before = input.serving?.model
  if (before === undefined) return model
  const result = { ...model }
  for (const kind of ['configs', 'secrets', 'networks', 'volumes'] as const) {
    const all = { ...before[kind], ...model[kind] }
    const used = new Set(Object.values(model.services).flatMap((service) => resourceKeys(service, kind)))
    const kept = Object.entries(all).filter(([key]) => model[kind]?.[key] !== undefined || used.has(key))
    if (kept.length > 0) Object.assign(result, { [kind]: Object.fromEntries(kept) })
  }
  return result
}

/** @returns the keys of the configs, secrets, networks or volumes that a service refers to. */
export function resourceKeys(service: Service, kind: 'configs' | 'secrets' | 'networks' | 'volumes'): string[] {
  if (kind === 'networks') return Object.keys(service.networks ?? {})
  if (kind === 'volumes')
    return (service.volumes ?? []).flatMap((mount) => (mount.type === 'volume' && mount.source ? [mount.source] : []))
  return (service[kind] ?? []).map(({ source }) => source)
}

/** @returns the images of the services in the model that will run: an untouched service keeps its image. */
export function plannedImages(input: PlanInput, plan: Plan): Record<string, ReleasedImage> {
  const images: Record<string, ReleasedImage> = {}
  for (const { service, action } of plan.services) {
    const kept = keepsOwn(input, service, action) ? input.serving?.bundle.images[service] : undefined
    const image = kept ?? input.images[service]
    if (image && input.target.model.services[service]) images[service] = image
  }
  return images
}
