import { isSameModel, modelFile, readModel } from './bundle.ts'
import type { ComposeModel, Service } from './compose.ts'
import type { Container } from './docker.ts'

/** What is known of services whose containers an adoption brought back that failed: it kept what they were made from. */
export interface Remembered {
  readonly services: Record<string, Service>
  /** the models that they are from */
  readonly models: readonly ComposeModel[]
}

/** @param stateFile has the bundle of the release that failed, with what it adopted, unless that was pruned */
export function remembered(stateFile: string, containers: readonly Container[]): Remembered {
  const services: Record<string, Service> = {}
  const models: ComposeModel[] = []
  for (const service of new Set(containers.map((container) => container.service))) {
    const files = containers.flatMap((container) => (container.service === service ? [container.configFiles] : []))
    const [, id] = /\/releases\/(rel-[\d-]+\/adopted)\/compose\.json$/.exec(files[0] ?? '') ?? []
    if (id === undefined || !files.every((file) => isSameModel(file, modelFile(stateFile, id)))) continue
    const model = readModel(stateFile, id)
    const definition = model?.services[service]
    if (model === undefined || definition === undefined) continue
    services[service] = definition
    models.push(model)
  }
  return { services, models }
}

/** @returns a model with the networks, volumes and files that remembered services name, where it has no such key itself. */
export function withRemembered(model: ComposeModel, { models }: Remembered): ComposeModel {
  const result = { ...model }
  for (const kind of ['networks', 'volumes', 'configs', 'secrets'] as const) {
    const all = Object.assign({}, ...models.map((one) => one[kind]), model[kind])
    if (Object.keys(all).length > 0) Object.assign(result, { [kind]: all })
  }
  return result
}
