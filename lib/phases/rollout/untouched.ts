import type { ComposeModel, Service } from '../../compose/model.ts'
import { resourceKeys } from '../../plan/model.ts'
import { readBundle, readModel, writeBundle, writeModel } from '../../record/bundle.ts'
import type { HostRun } from '../host-run.ts'
import type { Planning } from './planning.ts'

/**
 * The first release leaves services as they run that match the Compose file. The release that keeps what ran gets the same
 * definition of them, so that a rollback leaves them too. Also of those that match it, but not by their image, if their
 * containers do not show all of it. Written before anything is changed.
 * @param released the model of the first release @throws state (9)
 */
export function keepUntouched({ request, bundle }: HostRun, { plan, input }: Planning, released: ComposeModel): void {
  const { project, adopted: { ref, restorable = [] } = {} } = request
  if (ref === undefined) return
  const { stateFile } = project
  const [kept, model] = [readBundle(stateFile, ref), readModel(stateFile, ref)]
  const matches = (service: string) =>
    input.containers.every((one) => one.service !== service || input.adoptable[service]?.includes(one.configHash))
  const known = plan.services.filter(({ service, action }) => {
    const isKnown = action === 'unchanged' || (!restorable.includes(service) && matches(service))
    return isKnown && model?.services[service] && released.services[service]
  })
  if (kept === undefined || model === undefined || known.length === 0) return
  const services: Record<string, Service> = { ...model.services }
  const images = { ...kept.images }
  for (const { service, action } of known) {
    const image = action === 'unchanged' ? bundle.now.images[service] : kept.images[service]
    if (image === undefined) continue
    services[service] = { ...released.services[service], image: image.reference }
    images[service] = image
  }
  const names = known.map(({ service }) => service)
  writeModel(stateFile, ref, withResources({ ...model, services }, released, names))
  writeBundle(stateFile, { ...kept, images, content: bundle.now.content })
}

/** Adds what these services refer to. */
function withResources(model: ComposeModel, released: ComposeModel, services: readonly string[]): ComposeModel {
  const result = { ...model }
  for (const kind of ['configs', 'secrets', 'networks', 'volumes'] as const) {
    const used = services.flatMap((service) => resourceKeys(released.services[service] ?? {}, kind))
    const own = used.map((key) => [key, released[kind]?.[key] ?? null])
    if (own.length > 0) Object.assign(result, { [kind]: { ...model[kind], ...Object.fromEntries(own) } })
  }
  return result
}
