import type { ComposeModel } from '../../lib/compose/model.ts'
import { classify } from '../../lib/compose/topology.ts'
import type { Answer } from './answer.ts'
import { configHash } from './compose-model.ts'
import { converge, ensureResources, type Source } from './compose-up.ts'
import { actOnEach } from './containers.ts'
import type { FakeEngine } from './engine.ts'
import { pullImage } from './images.ts'

/** `stagecraft dev` leaves it to Compose what becomes of existing containers, and in which order. */
export function isDev(words: readonly string[]): boolean {
  return words[0] === '-d' && words[1] === '--no-build'
}

/** `docker compose up -d` of all services, or of some with what they depend on. */
export function upDev(engine: FakeEngine, source: Source, words: readonly string[]): Answer {
  const { model } = source
  const { order, needs } = classify(model)
  const asked = words.includes('--') ? words.slice(words.indexOf('--') + 1) : order
  const wanted = new Set(asked)
  for (const service of order.toReversed())
    if (wanted.has(service)) for (const need of needs[service] ?? []) wanted.add(need.service)
  for (const service of order.filter((name) => wanted.has(name))) {
    const definition = model.services[service]
    if (definition === undefined) return { code: 1, stderr: `no such service: ${service}` }
    const image = definition.image ?? ''
    if (engine.state.tags[image] === undefined && engine.registry[image]) pullImage(engine, image, undefined)
    const wrong = ensureResources(engine, model, definition)
    if (wrong !== undefined) return { code: 1, stderr: wrong }
    const [own] = engine.containersOf(model.name).filter((one) => one.service === service && !one.labels)
    const anew = own !== undefined && (own.hash !== configHash(definition) || own.image !== engine.state.tags[image])
    const how = { definition, wanted: 1, anew, renew: false, half: false, noStart: false }
    const error = converge(engine, source, service, how)
    if (error !== undefined) return { code: 1, stderr: `Error response from daemon: ${error}` }
  }
  return { lines: [` Container ${model.name} Started`] }
}

/** `docker compose stop`. */
export function stopAll(engine: FakeEngine, { name, services }: ComposeModel): Answer {
  const own = engine.containersOf(name).filter(({ service }) => services[service] !== undefined)
  return actOnEach(
    engine,
    'stop',
    own.map(({ id }) => id),
  )
}
