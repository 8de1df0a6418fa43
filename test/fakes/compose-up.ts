import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import type { ComposeModel, Service } from '../../lib/compose/model.ts'
import type { Answer } from './answer.ts'
import { namesAfterDashes } from './compose-arguments.ts'
import { configHash } from './compose-model.ts'
import { actOnEach, startContainer } from './containers.ts'
import type { FakeEngine } from './engine.ts'
import type { Behaviour, FakeContainer } from './engine-state.ts'

/** A model, and the file that it was read from. */
export type Source = { readonly model: ComposeModel; readonly file: string; readonly folder: string }

/** What `up` is to bring about for one service. */
type Convergence = {
  definition: Service
  wanted: number
  anew: boolean
  renew: boolean
  half: boolean
  noStart: boolean
}

function aliasesOf(settings: unknown): string[] {
  const aliases = typeof settings === 'object' && settings !== null && 'aliases' in settings ? settings.aliases : []
  return Array.isArray(aliases) ? aliases.map(String) : []
}

/** Stagecraft's one way to call `up`: whatever else there is would be a mistake. */
function parseUp(words: readonly string[]) {
  const rest = [...words]
  const noStart = rest[0] === '--no-start'
  const expected = [noStart ? '--no-start' : '-d', '--no-deps', '--no-build', '--pull', 'never']
  if (expected.some((word, index) => rest[index] !== word)) throw new Error(`unexpected: up ${words.join(' ')}`)
  const how = rest[expected.length] ?? ''
  if (!['--force-recreate', '--no-recreate'].includes(how)) throw new Error(`unexpected: up ${words.join(' ')}`)
  const scales = new Map<string, number>()
  const renew = rest[expected.length + 1] === '--renew-anon-volumes'
  let at = expected.length + (renew ? 2 : 1)
  for (; rest[at] === '--scale'; at += 2) {
    const [service = '', count] = (rest[at + 1] ?? '').split('=')
    scales.set(service, Number(count))
  }
  return { services: namesAfterDashes(rest.slice(at)), scales, anew: how === '--force-recreate', renew, noStart }
}

/** `command: ['exit', '3']` does that. */
function commandOf({ command }: Service): Behaviour {
  const [word, code] = Array.isArray(command) ? command : []
  return word === 'exit' ? { exit: Number(code ?? 0) } : {}
}

/** `docker compose up` of some services. */
export function composeUp(
  engine: FakeEngine,
  { model, file, folder }: Source,
  project: string,
  words: readonly string[],
  half: boolean,
): Answer {
  const { services, scales, ...how } = parseUp(words)
  if (project !== model.name) throw new Error(`-p ${project}, but the model is of ${model.name}`)
  for (const service of half ? services.slice(0, 1) : services) {
    const definition = model.services[service]
    if (definition === undefined) return { code: 1, stderr: `no such service: ${service}` }
    const wrong = ensureResources(engine, model, definition)
    if (wrong !== undefined) return { code: 1, stderr: wrong }
    const wanted = scales.get(service) ?? definition.scale ?? definition.deploy?.replicas ?? 1
    const error = converge(engine, { model, file, folder }, service, { definition, wanted, half, ...how })
    if (error !== undefined) return { code: 1, stderr: `Error response from daemon: ${error}` }
  }
  return { stderr: ` Container ${project} Started\n` }
}

/** @returns what is wrong. As Compose 2.40 does, not 2.26: a network that is not as the model says is refused. */
export function ensureResources(engine: FakeEngine, model: ComposeModel, service: Service): string | undefined {
  for (const name of networksOf(engine, model, service)) {
    const [key] = Object.entries(model.networks ?? {}).find(([, network]) => network?.name === name) ?? []
    const network = model.networks?.[key ?? '']
    const definition = JSON.stringify(network ?? {})
    const there = engine.state.networks[name]
    if (network?.external && !there) return `network ${name} declared as external, but could not be found`
    if (there && !network?.external && there.definition !== definition)
      return `network ${name} was found but has to be recreated`
    if (!there) engine.state.networks[name] = { project: model.name, definition }
  }
  for (const mount of service.volumes ?? []) {
    const volume = model.volumes?.[mount.source ?? '']
    const name = volume?.name ?? `${model.name}_${mount.source}`
    if (mount.type === 'volume' && mount.source && !engine.state.volumes.includes(name)) engine.state.volumes.push(name)
    if (mount.type === 'bind' && mount.bind?.['create_host_path'] !== true && !existsSync(mount.source ?? ''))
      return `bind source path does not exist: ${mount.source}`
  }
  for (const kind of ['configs', 'secrets'] as const)
    for (const { source } of service[kind] ?? []) {
      const file = model[kind]?.[source]
      if (file === undefined || !existsSync(file.file ?? '')) return `${kind}: ${source} has no file`
    }
  return undefined
}

function networksOf(_engine: FakeEngine, model: ComposeModel, service: Service): string[] {
  return Object.keys(service.networks ?? {}).map((key) => model.networks?.[key]?.name ?? `${model.name}_${key}`)
}

export function converge(
  engine: FakeEngine,
  { model, file, folder }: Source,
  service: string,
  { definition, wanted, anew, renew, half, noStart }: Convergence,
): string | undefined {
  const own = engine.containersOf(model.name).filter((container) => container.service === service)
  const there = own.filter(({ hook, labels }) => hook === undefined && labels === undefined)
  const isFirst = anew || there.length === 0
  let hooked = false
  const begin = (container: FakeContainer) => {
    const error = isFirst && !hooked ? runPreStart(engine, container) : undefined
    hooked = true
    return error ?? startContainer(engine, container)
  }
  const surplus = there.slice(wanted)
  actOnEach(
    engine,
    'rm',
    surplus.map(({ id }) => id),
  )
  for (const old of there.slice(0, wanted)) {
    if (!anew) {
      if (!noStart) startContainer(engine, old)
      continue
    }
    const made = createContainer(engine, { model, file, folder }, service, definition, { old, renew })
    if (typeof made === 'string') return made
    actOnEach(engine, 'rm', [old.id])
    if (half) return 'stopped halfway'
    const error = begin(made)
    if (error !== undefined) return error
  }
  for (let number = there.length; number < wanted; number++) {
    const made = createContainer(engine, { model, file, folder }, service, definition, {})
    if (typeof made === 'string') return made
    if (half) return 'stopped halfway'
    const error = noStart ? undefined : begin(made)
    if (error !== undefined) return error
  }
  return undefined
}

/** As Compose 5.3 does: before any container of the service starts, and the container of a hook that fails stays. */
function runPreStart(engine: FakeEngine, container: FakeContainer): string | undefined {
  const { pre_start: hooks } = container.definition
  if (!Array.isArray(hooks)) return undefined
  engine.state.containers = engine.state.containers.filter((one) => !(one.hook && one.service === container.service))
  engine.preStarted.push(container.service)
  const failed = hooks.find(({ command }) => (commandOf({ command }).exit ?? 0) !== 0)
  if (failed === undefined) return undefined
  const behaviour = commandOf({ command: failed.command })
  const id = createHash('sha256')
    .update(`hook ${++engine.state.count}`)
    .digest('hex')
  engine.state.containers.push({
    ...container,
    id,
    name: `hook-${id.slice(0, 4)}`,
    hook: 'pre_start',
    behaviour,
    state: 'started',
    startedAt: engine.state.now,
  })
  return `service "${container.service}" pre_start[0] exited with code ${behaviour.exit} (hook container ${id.slice(0, 12)} retained for inspection)`
}

export function createContainer(
  engine: FakeEngine,
  { model, file, folder }: Source,
  service: string,
  definition: Service,
  { old, renew }: { old?: FakeContainer; renew?: boolean },
): FakeContainer | string {
  const image = engine.state.tags[definition.image ?? ''] ?? definition.image ?? ''
  const found = engine.state.images[image]
  if (found === undefined) return `No such image: ${definition.image}`
  const owner = /^service:(.+)$/.exec(definition.network_mode ?? '')?.[1]
  const joined = owner && engine.containersOf(model.name).find((container) => container.service === owner)?.id
  if (owner && !joined) return `cannot join network of a non running container`
  const id = createHash('sha256')
    .update(`container ${++engine.state.count}`)
    .digest('hex')
  const taken = new Set(engine.containersOf(model.name).map(({ name }) => name))
  let number = 1
  while (taken.has(`${model.name}-${service}-${number}`)) number++
  const container: FakeContainer = {
    id,
    name: definition.container_name ?? old?.name ?? `${model.name}-${service}-${number}`,
    service,
    project: model.name,
    image,
    definition,
    ...{ file, folder },
    // Compose hashes the id of the container that `service:x` comes to.
    hash: configHash(joined ? { ...definition, network_mode: `container:${joined}` } : definition),
    behaviour: engine.behave({ service, content: found.content, definition }) ?? commandOf(definition),
    ...{ networks: networksOf(engine, model, definition), aliases: {} },
    joined: joined || undefined,
    anonymous: (renew ? undefined : old?.anonymous) ?? `volume of ${id.slice(0, 6)}`,
    state: 'created',
    startedAt: 0,
  }
  for (const [at, network] of container.networks.entries())
    container.aliases[network] = [container.name, service, ...aliasesOf(Object.values(definition.networks ?? {})[at])]
  engine.state.containers.push(container)
  engine.state.filled[container.anonymous] ??= found.content
  return container
}
