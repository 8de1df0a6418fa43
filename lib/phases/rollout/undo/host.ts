import type { Topology } from '../../../compose/topology.ts'
import { composeUp, type ModelFile, type Replicas, type UpMode } from '../../../docker/compose/up.ts'
import { listContainers, ofProject, removeRunningHooks } from '../../../docker/containers.ts'
import { engineNow } from '../../../docker/engine/facts.ts'
import { gate } from '../../../docker/gate.ts'
import { type Container, isWell } from '../../../docker/inspect.ts'
import { killedBetween, removeContainers, start, stop } from '../../../docker/lifecycle.ts'
import { removeNetworks } from '../../../docker/networks.ts'
import { removeComparison } from '../../../docker/volumes/untouched.ts'
import { networksOf } from '../../../plan/networks.ts'
import { toWaves } from '../../../plan/waves.ts'
import { freeNetworks } from '../../../proxy/own-networks.ts'
import { disconnectUnrouted } from '../../../proxy/routing.ts'
import { isSameModel } from '../../../record/bundle/ref.ts'
import type { Before } from '../../../record/journal.ts'
import { StagecraftError } from '../../../util/errors.ts'
import { leaveVolumes } from '../renewal.ts'
import { emitSteps, gateTarget, wantedAsBefore } from '../steps.ts'
import { notRestored, type Undone, type UndoRequest } from './request.ts'
import { drainNew, proveAnswers, reconnect, undoRoutes } from './routes.ts'
import { rejoinNetworks } from './schedules.ts'

/**
 * Restores the previous release after a rollout that failed or whose run died: removes new containers, by id, before
 * Compose is used, then recreates what was replaced from its old definition. May be repeated.
 * @throws not-restored (6), with a table of what is running
 */
export async function undoRollout(undo: UndoRequest, cause: unknown): Promise<Undone> {
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

/** Milliseconds before a second attempt: what a client that died had asked of the engine may have been in the way. */
const IN_FLIGHT = 2_000
/** An attempt that took longer failed for another reason. */
const RETRY_WITHIN = 30_000

async function attempt(undo: UndoRequest): Promise<Undone> {
  const { docker, name, journal } = undo
  if (journal.renewed) await removeComparison(docker, name)
  const unrouted = await undoRoutes(undo)
  const { lost, started, removed } = await removeNew(undo)
  if (lost.length > 0) await restore(undo, lost)
  await rejoinNetworks(undo)
  if (journal.routing) await reconnect(undo, journal.routing, lost)
  await proveWell(undo, [...lost, ...started])
  if (unrouted !== undefined) throw unrouted
  if (journal.routing) await disconnectUnrouted(undo, await listContainers(docker, name), journal.routing)
  if (journal.routing) await proveAnswers(undo, journal.routing)
  // After a first deploy that failed only volumes are left, which may hold data.
  if (journal.before.length === 0) await removeNetworks(docker, ofProject(name))
  return { removed, restored: [...lost, ...started] }
}

/**
 * Removes new containers, then starts old ones that were only stopped: a new one may have taken their port.
 * @returns the services that it started again, and as `lost` those whose old containers are gone, disconnected from a
 * removed network, or in the namespace of one of these. Their new containers stay for now: Compose replaces them by the
 * old definition, and hands their anonymous volumes back, unless these were renewed.
 */
async function removeNew(undo: UndoRequest) {
  const { journal, docker, emit } = undo
  const { jobs } = undo.project.topology
  await removeRunningHooks(docker, undo.name)
  await finishStops(undo)
  const now = await listContainers(docker, undo.name)
  const touched = journal.touched.filter((service) => !jobs.includes(service))
  const isGone = ({ id }: Before) => !now.some((container) => container.id === id)
  const lost = touched.filter((service) => {
    const own = hadBefore(undo, service)
    return (own.some(isGone) || (own.length > 0 && isCutOff(undo, service))) && !isRestored(undo, service, now)
  })
  const made = now.filter((container) => isNew(undo, container) && !lost.includes(container.service))
  await drainNew(undo, made)
  await removeContainers(docker, made)
  const isStopped = ({ id }: Before) => now.some((container) => container.id === id && container.state !== 'running')
  const started: string[] = []
  if (journal.handover) await stopAll(undo, lost) // a container that is started again may need its port
  for (const service of touched.filter((name) => !lost.includes(name))) {
    const stopped = hadBefore(undo, service).filter(
      (one) => ['running', 'restarting'].includes(one.state) && isStopped(one),
    )
    if (stopped.length === 0) continue
    emit({ type: 'service', service, step: 'restore' })
    await start(docker, stopped, { what: `start ${service} again` })
    started.push(service)
  }
  const known = orphans(now).filter((service) => undo.served?.model.services[service]) // unknown ones were so before
  const bereft = [...followersOf([...lost, ...started], undo.project.topology), ...known]
  const followers = bereft.filter((name) => hadBefore(undo, name).length > 0)
  return { lost: [...new Set([...lost, ...followers])], started, removed: made.length }
}

/** @returns services in the namespace of a container that is gone, as an interrupted undo leaves them. */
function orphans(now: readonly Container[]): string[] {
  const isGone = (id: string) => !now.some((container) => container.id === id)
  return now.flatMap(({ service, shares }) => (shares.some(isGone) ? [service] : []))
}

/** From the switch on, networks that are recreated may be gone, and containers disconnected from them. */
function isCutOff({ journal, served }: UndoRequest, service: string): boolean {
  if (journal.step === 'prepare' || journal.replaced.length === 0) return false
  const definition = served?.model.services[service]
  if (served === undefined || definition === undefined) return true
  return networksOf(definition, served.model).some((network) => journal.replaced.includes(network))
}

function hadBefore({ journal }: UndoRequest, service: string): Before[] {
  return journal.before.filter((container) => container.service === service)
}

/** @returns whether this release made a container, by the journal or Compose's label. Others were made by hand. */
function isNew({ journal, modelFile }: UndoRequest, { id, service, configFiles }: Container): boolean {
  if (!journal.touched.includes(service) || journal.before.some((one) => one.id === id)) return false
  return journal.made.includes(id) || isSameModel(configFiles, modelFile)
}

/** @returns whether an earlier undo has recreated this service from the previous release's model, and it runs. */
function isRestored(undo: UndoRequest, service: string, now: readonly Container[]): boolean {
  const own = now.filter((container) => container.service === service)
  const isRecreated = ({ id, state, configFiles }: Container) =>
    state === 'running' &&
    isSameModel(configFiles, undo.served?.modelFile) &&
    !undo.journal.before.some((one) => one.id === id)
  if (isCutOff(undo, service)) return false // its networks are recreated once more, and it with them
  return own.length === hadBefore(undo, service).length && own.every(isRecreated)
}

/**
 * Waits for containers that the engine is stopping, so that they can be started again. The engine continues a stop when
 * its client is gone: the container looks as if it were running for up to its grace period, and then ends.
 */
async function finishStops({ docker, journal, name }: UndoRequest): Promise<void> {
  const own = journal.before.filter(({ service, state }) => journal.touched.includes(service) && state === 'running')
  if (own.length === 0) return
  const since = Date.parse(journal.engine_time ?? '') || 0
  const until = await engineNow(docker).catch(() => undefined) // without an end `docker events` would never return
  if (until === undefined) return
  const asked = await killedBetween(docker, since, until)
  const stopping = own.flatMap(({ id }) => (asked.has(id) ? [id] : []))
  if (stopping.length === 0) return
  const now = await listContainers(docker, name) // never stop a container on the journal's word alone
  const ours = stopping.filter((id) => now.some((container) => container.id === id))
  await stop(docker, ours)
}

/** @returns the services that use a namespace or volumes of these, and lose them when these stop or are recreated. */
function followersOf(services: readonly string[], { order, needs, jobs }: Topology): string[] {
  const all = new Set(services)
  for (const service of order)
    if (!jobs.includes(service) && (needs[service] ?? []).some((need) => need.follows && all.has(need.service)))
      all.add(service)
  return [...all].filter((service) => !services.includes(service))
}

async function restore(undo: UndoRequest, lost: readonly string[]): Promise<void> {
  const { docker, emit, journal, served } = undo
  const unknown = lost.filter((service) => served?.model.services[service] === undefined)
  if (served === undefined || unknown.length > 0)
    throw new StagecraftError(
      'failed',
      `Cannot restore ${unknown.join(', ')}: it was not deployed by Stagecraft before`,
    )
  await freeNetworks(docker, undo.name, journal.replaced)
  if (journal.handover) await stopAll(undo, lost) // it frees ports that go back to another service
  const members = lost.map((service) => wantedAsBefore(service, journal.before))
  for (const wave of toWaves(members, undo.project.topology.needs)) {
    for (const { service } of wave.members) emit({ type: 'service', service, step: 'restore' })
    const isRenewed = ({ service }: Replicas) => journal.renewed?.includes(service) === true
    for (const mode of ['renew-volumes', 'recreate'] as const) {
      const members = wave.members.filter((member) => isRenewed(member) === (mode === 'renew-volumes'))
      await bringBack(undo, served, members, mode)
    }
  }
}

async function bringBack(
  undo: UndoRequest,
  served: ModelFile,
  members: readonly Replicas[],
  mode: UpMode,
): Promise<void> {
  const { docker, name, emit } = undo
  if (members.length === 0) return
  const names = members.map(({ service }) => service)
  const failed = mode === 'recreate' ? [] : await listContainers(docker, name)
  const own = failed.filter(({ service }) => names.includes(service))
  const tidy = await leaveVolumes(docker, name, own)
  await composeUp(docker, `restore ${names.join(', ')}`, served, members, mode)
  await tidy(emit)
}

/**
 * Restored services that were well before must pass the same gate as new ones, with as long as the previous release gave them: the
 * new one may be quicker.
 */
async function proveWell(undo: UndoRequest, services: readonly string[]): Promise<void> {
  if (services.length === 0) return
  const now = await listContainers(undo.docker, undo.name)
  const wereWell = services.filter((service) => hadBefore(undo, service).every(isWell))
  // Nothing is known of what ran before the first release.
  const settings = { ...undo.project.environment.services, ...undo.settings }
  const targets = wereWell.map((service) => gateTarget(undo, service, now, new Set(), settings))
  const emit = emitSteps(undo.emit)
  await gate(
    undo.docker,
    targets,
    undo.clock,
    (service, step, note) => step === 'progress' && emit(service, step, note),
  )
}

async function stopAll({ docker, name }: UndoRequest, services: readonly string[]): Promise<void> {
  const containers = await listContainers(docker, name)
  const own = containers.filter(({ service }) => services.includes(service))
  await stop(docker, own, { what: `stop ${services.join(', ')}` })
}
