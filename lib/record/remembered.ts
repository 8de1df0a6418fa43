import type { ComposeModel, Service } from '../compose/model.ts'
import type { Container } from '../docker/inspect.ts'
import { isSameModel, modelFile, modelRef } from './bundle/ref.ts'
import { readModel } from './bundle.ts'

/** Definitions of services whose containers were restored after a failed adoption. Its bundle keeps the models. */
interface Remembered {
  readonly services: Record<string, Service>
  /** the models that contain them */
  readonly models: readonly ComposeModel[]
}

/** @param stateFile next to the bundle of the release that failed, unless that was pruned */
export function remembered(stateFile: string, containers: readonly Container[]): Remembered {
  const services: Record<string, Service> = {}
  const models: ComposeModel[] = []
  for (const service of new Set(containers.map((container) => container.service))) {
    const files = containers.flatMap((container) => (container.service === service ? [container.configFiles] : []))
    const [, id] = /\/releases\/(rel-[\d-]+)\/adopted\/compose\.json$/.exec(files[0] ?? '') ?? []
    if (id === undefined) continue
    const ref = modelRef(id, 'adopted')
    if (!files.every((file) => isSameModel(file, modelFile(stateFile, ref)))) continue
    const model = readModel(stateFile, ref)
    const definition = model?.services[service]
    if (model === undefined || definition === undefined) continue
    services[service] = definition
    models.push(model)
  }
  return { services, models }
}

/** @returns the model with the networks, volumes, configs and secrets of remembered services added, but for keys that it has */
export function withRemembered(model: ComposeModel, { models }: Remembered): ComposeModel {
  const result = { ...model }
  for (const kind of ['networks', 'volumes', 'configs', 'secrets'] as const) {
    const all = Object.assign({}, ...models.map((one) => one[kind]), model[kind])
    if (Object.keys(all).length > 0) Object.assign(result, { [kind]: all })
  }
  return result
}
