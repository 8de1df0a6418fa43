import { type Bundle, logKeeper, modelFile, writeModel } from '../bundle.ts'
import type { Stage } from '../compose-up.ts'
import type { Container } from '../docker.ts'
import { StagecraftError } from '../errors.ts'
import { keepImages } from '../images.ts'
import { asBefore, type Journal, openRecorder, type Recorder } from '../journal.ts'
import { hasLoose, isNothingToDo, type Plan, type ServicePlan } from '../plan.ts'
import { plannedImages, plannedModel } from '../plan-model.ts'
import { orderPlan, removedServices, unpluggedServices } from '../plan-order.ts'
import { routedBefore } from '../plan-routes.ts'
import { type Planning, planRollout } from '../planning.ts'
import { proveReachable } from '../plug.ts'
import { putBack } from '../put-back.ts'
import { retire } from '../retire.ts'
import { type Change, openChange } from '../rollout-change.ts'
import { bringUp, freeNetworks } from '../rollout-steps.ts'
import { switchRoutes } from '../routing.ts'
import type { Run } from '../run.ts'
import { type Served, servedBefore } from '../served-before.ts'
import { isLockLost } from './loop.ts'

/**
 * All or nothing (design 6): prepare creates what is new, runs jobs, and starts what rolls beside what serves; switch replaces
 * what cannot roll, then tells the proxy what is live; retire drains and removes what is gone. Until the switch has ended a
 * failure puts back what served.
 */
export async function rollout(run: Run): Promise<string> {
  const planning = await planRollout({ ...run, version: run.bundle.version })
  const { plan } = planning
  run.emit({ type: 'plan', plan })
  for (const { service, action, why } of plan.services)
    if (action === 'hold') run.emit({ type: 'service', service, step: 'hold', note: why })
  const stage = await recordTarget(run, planning)
  const served = isNothingToDo(plan) ? undefined : await servedBefore(run, planning)
  const recorder = openRecorder(beginJournal(run, planning, served), (journal) => run.save({ journal }))
  const change = openChange(run, stage, planning, recorder)
  try {
    const prepared = await prepare(change)
    const switched = await switchOver(change)
    const before = run.bundle
    commit(change, switched ?? prepared ?? planning.containers)
    if (run.persist) await run.persist().catch((error: unknown) => notCommitted(run, before, error))
  } catch (error) {
    if (!recorder.untouched && !isLockLost(run)) await undo(run, recorder.journal, served, error)
    throw error
  }
  const keepLog = logKeeper(run.project.stateFile, run.bundle.id, run.clock)
  await retire({ ...change.routing, docker: run.restoring, keepLog }, run.bundle)
  if (run.bundle.journal) run.save({ journal: undefined, retiring: [] })
  return summarize(plan.services, isNothingToDo(plan))
}

function beginJournal(run: Run, { plan, input, containers }: Planning, served: Served | undefined): Journal {
  const networks = (wanted: 'replace' | 'remove') =>
    plan.networks.flatMap(({ network, action }) => (action === wanted ? [network] : []))
  const rolling = plan.services.flatMap(({ service, action }) => (action === 'rolling' ? [service] : []))
  return {
    step: 'prepare',
    began_at: new Date(run.clock.now()).toISOString(),
    before: containers.map(asBefore),
    made: [],
    touched: [],
    replaced: networks('replace'),
    unused: networks('remove'),
    ...(rolling.length > 0 ? { rolling } : {}),
    ...(plan.proxy ? { routing: routedBefore(input) } : {}),
    handover: plan.handovers.length > 0,
    ...(served ? { served: served.id } : {}),
  }
}

/** What is true afterwards is what the journal says: where it cannot be closed, the next command undoes once more. */
async function undo(run: Run, journal: Journal, served: Served | undefined, cause: unknown): Promise<void> {
  const { environment, topology, model, stateFile } = run.project
  await putBack(
    {
      ...{ journal, served: served?.stage, docker: run.restoring, clock: run.clock, emit: run.emit },
      name: model.name,
      modelFile: modelFile(stateFile, run.bundle.id),
      project: { environment, topology: run.serving?.bundle.topology ?? topology },
    },
    cause,
  )
  try {
    run.save({ journal: undefined })
  } catch {
    // the failure itself is about to be written, and that error told
  }
}

/** Everything needed to put this release back is written before anything is changed. */
async function recordTarget(run: Run, planning: Planning): Promise<Stage> {
  const model = plannedModel(planning.input, planning.plan)
  const images = plannedImages(planning.input, planning.plan)
  for (const service of Object.keys(model.services))
    if (images[service] === undefined)
      throw new StagecraftError('failed', `Cannot start ${service}: the engine does not have its image`)
  await keepImages(run.docker, model.name, images)
  const { stateFile, directory, topology } = run.project
  writeModel(stateFile, run.bundle.id, model)
  const withDigests = Object.entries(images).map(([service, image]) => {
    const digest = run.digests[service]
    return [service, digest === undefined ? image : { ...image, digest }] as const
  })
  run.save({ images: Object.fromEntries(withDigests), topology, content: run.rendering.content, plan: planning.plan })
  return { model, modelFile: modelFile(stateFile, run.bundle.id), directory }
}

async function prepare({ run, stage, planning, recorder, routing, proxyReady, steps }: Change) {
  const { plan, containers } = planning
  const ready = proxyReady()
  const { prepare: members } = orderPlan(plan, stage.model, run.project.topology)
  // Also where one of the two fails, the other has ended before anything is undone.
  const [brought] = await Promise.allSettled([bringUp(steps, stage, members, recorder), ready])
  if (brought.status === 'rejected') throw brought.reason
  await ready
  const prepared = brought.value
  // What stays as it is, but is routed anew: it must answer there before anything is switched.
  for (const { service, action } of plan.routes) {
    const stays = plan.services.some(
      (each) => each.service === service && ['unchanged', 'hold', 'scale'].includes(each.action),
    )
    if (!stays || action === 'keep' || action === 'remove') continue
    const running = containers.filter((container) => container.service === service && container.state === 'running')
    recorder.routes()
    await proveReachable(
      routing,
      service,
      running.map(({ id }) => id),
    )
  }
  return prepared
}

async function switchOver({ run, stage, planning, recorder, routing, steps }: Change) {
  recorder.switch()
  const { plan, containers } = planning
  const members = orderPlan(plan, stage.model, run.project.topology).switchOver
  const { replaced } = recorder.journal
  await freeNetworks(run.docker, plan.project, replaced, () => {
    const unplugged = unpluggedServices(plan, run.serving?.model, replaced)
    recorder.touch([...members.map(({ service }) => service), ...unplugged])
  })
  await freePorts(run, plan, containers, recorder)
  const switched = await bringUp(steps, stage, members, recorder)
  const before = recorder.journal.routing
  if (before && !isNothingToDo(plan)) {
    run.checkLock()
    recorder.routes()
    // No signal ends this: the proxy would go on with it, and the undo must come after.
    const routes = await switchRoutes({ ...routing, docker: run.restoring }, before)
    run.bundle = { ...run.bundle, routes, slots: routing.slots } // written with the commit point
    const moved = Object.keys(routing.slots).filter((name) => routing.slots[name] !== before.slots[name])
    for (const service of moved)
      run.emit({ type: 'service', service, step: 'switch', note: 'requests go to the new release' })
  }
  return switched
}

async function freePorts(
  run: Run,
  { handovers }: Plan,
  containers: readonly Container[],
  recorder: Recorder,
): Promise<void> {
  for (const service of new Set(handovers.map(({ from }) => from))) {
    recorder.touch([service])
    const ids = containers.filter((container) => container.service === service).map(({ id }) => id)
    if (ids.length > 0) await run.docker.run(`stop ${service}`, ['stop', ...ids])
  }
}

/**
 * The commit point, one atomic write: from here on this release serves. Compose's hashes tell later what was changed by
 * hand.
 */
function commit({ run, planning: { plan }, recorder, gaps }: Change, containers: readonly Container[]): void {
  run.checkLock()
  const { journal } = recorder
  const { rolling = [], before, unused, routing } = journal
  const old = new Set(before.flatMap(({ id, service }) => (rolling.includes(service) ? [id] : [])))
  const hashes = containers.flatMap(({ id, service, configHash }) => (old.has(id) ? [] : [[service, configHash]]))
  const retiring = removedServices(plan)
  const unrouted = routing !== undefined && plan.routes.some(({ action }) => action === 'remove')
  const isLeft = retiring.length > 0 || unused.length > 0 || rolling.length > 0 || unrouted
  const measured = { ...run.serving?.bundle.gaps, ...gaps }
  const { routes = run.serving?.bundle.routes, slots = run.serving?.bundle.slots } = run.bundle
  run.save({
    config_hashes: Object.fromEntries(hashes),
    switched_at: new Date(run.clock.now()).toISOString(),
    journal: isLeft ? { ...journal, step: 'retire' } : undefined,
    ...(Object.keys(measured).length > 0 ? { gaps: measured } : {}),
    ...(routes && slots ? { routes, slots } : {}),
    ...(retiring.length > 0 ? { retiring } : {}),
  })
}

/** What the next run does not find has not happened: what served before is put back. */
function notCommitted(run: Run, before: Bundle, error: unknown): never {
  run.bundle = before
  run.save({}) // the undo takes it there, if it can: never the commit point
  throw error
}

function summarize(services: readonly ServicePlan[], nothing: boolean): string {
  if (nothing) return hasLoose(services) ? 'nothing to do' : 'nothing to do: everything runs as it should'
  const counts = new Map<string, number>()
  for (const { action } of services) counts.set(action, (counts.get(action) ?? 0) + 1)
  const words = {
    create: 'created',
    rolling: 'rolled',
    recreate: 'recreated',
    scale: 'scaled',
    job: 'run',
    remove: 'removed',
    hold: 'held',
    unchanged: 'unchanged',
  }
  return Object.entries(words)
    .flatMap(([action, word]) => (counts.get(action) ? [`${counts.get(action)} ${word}`] : []))
    .join(', ')
}
