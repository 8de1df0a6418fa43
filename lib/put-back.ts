import { isSameModel } from './bundle.ts'
import { actOptions, type Stage, toWaves, upArgs } from './compose-up.ts'
import type { ServiceConfig } from './config.ts'
import { type Container, listContainers, removeContainers } from './docker.ts'
import { engineNow } from './engine.ts'
import { errorText, StagecraftError } from './errors.ts'
import { table } from './format.ts'
import { gate } from './gate.ts'
import type { Before, Journal } from './journal.ts'
import { freeNetworks } from './own-networks.ts'
import { networksOf } from './plan-networks.ts'
import { drainFresh, plugBack, proveAnswers, routeBack } from './put-back-routes.ts'
import { gateTarget, type StepContext, wantedAsBefore } from './rollout-steps.ts'
import { unplugUnrouted } from './routing.ts'
import type { Topology } from './services.ts'

/** A rollout that did not come to its commit point, and what it takes to undo it. Its settings are those of what served. */
export interface Undo extends StepContext {
  /** the Compose project's name */
  readonly name: string
  readonly journal: Journal
  /** the file of the release's own model: a container made from it is new */
  readonly modelFile: string
  /** undefined: nothing served, or nothing is known about it */
  readonly served: Stage | undefined
  /** of the services, as the live release has them: at which path they are asked whether they answer */
  readonly settings: Readonly<Record<string, ServiceConfig>>
  /** of the environment, for a proxy that is gone; undefined: the default */
  readonly proxyImage: string | undefined
}

/** What undoing did. */
export interface PutBack {
  /** containers that were removed: they never served */
  readonly removed: number
  /** services that run again as they did before */
  readonly restored: readonly string[]
}

/**
 * Puts back what served before a rollout that failed or whose run died: removes what is new, by id, before anything is
 * asked of Compose, then brings the former definition of what was replaced up again. May be done twice.
 * @throws not-restored (6), with what runs where
 */
export async function putBack(undo: Undo, cause: unknown): Promise<PutBack> {
  const began = undo.clock.now()
  try {
    return await attempt(undo)
  } catch (error) {
    const isLate = undo.clock.now() - began > RETRY_WITHIN
    if (isLate || (error instanceof StagecraftError && error.kind !== 'failed'))
      throw await notRestored(undo, cause, error)
  }
  await undo.clock.sleep(IN_FLIGHT)
  return attempt(undo).catch(async (error: unknown) => {
    throw await notRestored(undo, cause, error)
  })
}

/** What a client that is gone had asked of the engine may get in the way once: milliseconds until it is asked again. */
const IN_FLIGHT = 2_000
/** An attempt that took longer failed for another reason. */
const RETRY_WITHIN = 30_000

async function attempt(undo: Undo): Promise<PutBack> {
  const { docker, name, journal } = undo
  const unrouted = await routeBack(undo)
  const { lost, started, removed } = await removeNew(undo)
  if (lost.length > 0) await restore(undo, lost)
  if (journal.routing) await plugBack(undo, journal.routing, lost)
  await proveWell(undo, [...lost, ...started])
  if (unrouted !== undefined) throw unrouted
  if (journal.routing) await unplugUnrouted(undo, await listContainers(docker, name), journal.routing)
  if (journal.routing) await proveAnswers(undo, journal.routing)
  if (journal.before.length === 0) await removeNetworks(undo)
  return { removed, restored: [...lost, ...started] }
}

/**
 * Removes what is new and starts again what was only stopped, in this order: the new may have taken a port.
 * @returns the services that it started again, and as `lost` those whose former containers are gone, unplugged from a
 * network that was removed, or in the network of one of these. Their new ones stay for now: Compose replaces them by the
 * old definition, and hands their anonymous volumes back.
 */
async function removeNew(undo: Undo) {
  const { journal, docker, emit } = undo
  const { jobs } = undo.project.topology
  await finishStops(undo)
  const now = await listContainers(docker, undo.name)
  const touched = journal.touched.filter((service) => !jobs.includes(service))
  const isGone = ({ id }: Before) => !now.some((container) => container.id === id)
  const lost = touched.filter((service) => {
    const own = hadBefore(undo, service)
    return (own.some(isGone) || (own.length > 0 && isUnplugged(undo, service))) && !isBack(undo, service, now)
  })
  const fresh = now.filter((container) => isNew(undo, container) && !lost.includes(container.service))
  await drainFresh(undo, fresh)
  await removeContainers(docker, fresh)
  const isStopped = ({ id }: Before) => now.some((container) => container.id === id && container.state !== 'running')
  const started: string[] = []
  if (journal.handover) await stopAll(undo, lost) // what is started again may want its port back
  for (const service of touched.filter((name) => !lost.includes(name))) {
    const stopped = hadBefore(undo, service).filter(
      (one) => ['running', 'restarting'].includes(one.state) && isStopped(one),
    )
    if (stopped.length === 0) continue
    emit({ type: 'service', service, step: 'restore' })
    await docker.run(`start ${service} again`, ['start', ...stopped.map(({ id }) => id)])
    started.push(service)
  }
  const known = orphans(now).filter((service) => undo.served?.model.services[service]) // what nobody knows was so before
  const bereft = [...followersOf([...lost, ...started], undo.project.topology), ...known]
  const followers = bereft.filter((name) => hadBefore(undo, name).length > 0)
  return { lost: [...new Set([...lost, ...followers])], started, removed: fresh.length }
}

/** @returns services in the namespace of a container that is gone: whoever undid before came as far as that one. */
function orphans(now: readonly Container[]): string[] {
  const isGone = (id: string) => !now.some((container) => container.id === id)
  return now.flatMap(({ service, shares }) => (shares.some(isGone) ? [service] : []))
}

/** From the switch on, networks that are made anew may be gone, and what was on them cut off. */
function isUnplugged({ journal, served }: Undo, service: string): boolean {
  if (journal.step === 'prepare' || journal.replaced.length === 0) return false
  const definition = served?.model.services[service]
  if (served === undefined || definition === undefined) return true
  return networksOf(definition, served.model).some((network) => journal.replaced.includes(network))
}

function hadBefore({ journal }: Undo, service: string): Before[] {
  return journal.before.filter((container) => container.service === service)
}

/** Made by this release: it was seen to be, or Compose's label says so. What somebody made by hand meanwhile is not ours. */
function isNew({ journal, modelFile }: Undo, { id, service, configFiles }: Container): boolean {
  if (!journal.touched.includes(service) || journal.before.some((one) => one.id === id)) return false
  return journal.made.includes(id) || isSameModel(configFiles, modelFile)
}

/** An earlier attempt at undoing came as far as this service: it runs, made anew from the model of what served. */
function isBack(undo: Undo, service: string, now: readonly Container[]): boolean {
  const own = now.filter((container) => container.service === service)
  const isAnew = ({ id, state, configFiles }: Container) =>
    state === 'running' &&
    isSameModel(configFiles, undo.served?.modelFile) &&
    !undo.journal.before.some((one) => one.id === id)
  if (isUnplugged(undo, service)) return false // the networks are made once more, and what is on them with them
  return own.length === hadBefore(undo, service).length && own.every(isAnew)
}

/**
 * The engine goes on stopping a container when the client that asked for it is gone: for up to its grace period it looks
 * as if it ran, and then it is dead (tried). Waits for those that are on their way, so that they can be started again.
 */
async function finishStops({ docker, journal, name }: Undo): Promise<void> {
  const own = journal.before.filter(({ service, state }) => journal.touched.includes(service) && state === 'running')
  if (own.length === 0) return
  const seconds = (ms: number) => (ms / 1000).toFixed(3)
  const since = Date.parse(journal.engine_time ?? '') || 0
  const until = await engineNow(docker).catch(() => undefined) // without an end the engine would go on telling
  if (until === undefined) return
  const span = ['--since', seconds(since), '--until', seconds(until)]
  const filters = ['--filter', 'type=container', '--filter', 'event=kill', '--format', '{{.ID}}']
  const events = await docker.try(['events', ...span, ...filters], { timeout: 30_000 })
  const asked = new Set(events.stdout.split('\n'))
  const stopping = own.flatMap(({ id }) => (asked.has(id) ? [id] : []))
  if (stopping.length === 0) return
  const now = await listContainers(docker, name) // the journal's word alone stops nothing
  const ours = stopping.filter((id) => now.some((container) => container.id === id))
  if (ours.length > 0) await docker.try(['stop', ...ours])
}

/** @returns the services that lose what they use of others (a network, volumes) when those are made anew or stop. */
function followersOf(services: readonly string[], { order, needs, jobs }: Topology): string[] {
  const all = new Set(services)
  for (const service of order)
    if (!jobs.includes(service) && (needs[service] ?? []).some((need) => need.follows && all.has(need.service)))
      all.add(service)
  return [...all].filter((service) => !services.includes(service))
}

async function restore(undo: Undo, lost: readonly string[]): Promise<void> {
  const { docker, emit, journal, served } = undo
  const unknown = lost.filter((service) => served?.model.services[service] === undefined)
  if (served === undefined || unknown.length > 0)
    throw new StagecraftError(
      'failed',
      `Cannot put back ${unknown.join(', ')}: it was not deployed by Stagecraft before`,
    )
  await freeNetworks(docker, undo.name, journal.replaced)
  if (journal.handover) await stopAll(undo, lost) // ports pass back
  const members = lost.map((service) => wantedAsBefore(service, journal.before))
  for (const wave of toWaves(members, undo.project.topology.needs)) {
    for (const { service } of wave.members) emit({ type: 'service', service, step: 'restore' })
    const names = wave.members.map(({ service }) => service).join(', ')
    await docker.run(`put back ${names}`, upArgs(served, wave.members, 'anew'), actOptions(served))
  }
}

/** What was well before must pass the same gate as what is new. */
async function proveWell(undo: Undo, services: readonly string[]): Promise<void> {
  if (services.length === 0) return
  const now = await listContainers(undo.docker, undo.name)
  const wereWell = services.filter((service) => hadBefore(undo, service).every(isWell))
  const targets = wereWell.map((service) => gateTarget(undo, service, now, new Set()))
  await gate(undo.docker, targets, undo.clock, () => {})
}

async function stopAll({ docker, name }: Undo, services: readonly string[]): Promise<void> {
  const containers = await listContainers(docker, name)
  const ids = containers.filter(({ service }) => services.includes(service)).map(({ id }) => id)
  if (ids.length > 0) await docker.run(`stop ${services.join(', ')}`, ['stop', ...ids])
}

function isWell({ state, health }: Before): boolean {
  return state === 'running' && health !== 'unhealthy'
}

/** After a first deploy that failed nothing is left but volumes, which may hold data. */
async function removeNetworks({ docker, name }: Undo): Promise<void> {
  const list = await docker.try(['network', 'ls', '-q', '--filter', `label=com.docker.compose.project=${name}`])
  for (const id of list.stdout.split('\n').filter(Boolean)) await docker.try(['network', 'rm', id])
}

async function notRestored({ docker, name: project }: Undo, cause: unknown, error: unknown): Promise<StagecraftError> {
  const rows = await listContainers(docker, project).then(
    (containers) =>
      containers.map(({ service, name, state, health, image }) => [service, name, state, health, image.slice(7, 19)]),
    () => [['the engine does not say']],
  )
  const detail = [
    errorText(cause),
    '',
    errorText(error),
    '',
    'What runs now:',
    ...table([['service', 'container', 'state', 'health', 'image'], ...rows]).map((line) => `  ${line}`),
  ]
  return new StagecraftError(
    'not-restored',
    'Cannot put back what served before: the rollout failed, and so did undoing it',
    {
      cause: error,
      detail: detail.join('\n'),
      hint: 'Mend what the second error names, then deploy again, or start what is missing by hand.',
    },
  )
}
