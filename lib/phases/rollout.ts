import { logKeeper, modelFile, writeModel } from '../bundle.ts'
import { type Stage, stagePlace } from '../compose-up.ts'
import type { Container } from '../docker.ts'
import { engineNow } from '../engine.ts'
import { StagecraftError } from '../errors.ts'
import { keepImages } from '../images.ts'
import { asBefore, type Journal, openRecorder, type Recorder } from '../journal.ts'
import { freeNetworks } from '../own-networks.ts'
import { isNothingToDo, type Plan } from '../plan.ts'
import { summarizePlans } from '../plan-format.ts'
import { plannedImages, plannedModel } from '../plan-model.ts'
import { orderPlan, removedServices, unpluggedServices } from '../plan-order.ts'
import { routedBefore } from '../plan-routes.ts'
import { inheritedVolumes } from '../plan-volumes.ts'
import { type Planning, planRollout } from '../planning.ts'
import { proveReachable } from '../plug.ts'
import { releaseId } from '../release-id.ts'
import { retire } from '../retire.ts'
import { type Change, openChange } from '../rollout-change.ts'
import { bringUp, isAside } from '../rollout-steps.ts'
import { undoAll } from '../rollout-undo.ts'
import { switchRoutes } from '../routing.ts'
import type { Run, Site } from '../run.ts'
import { secretPlaces } from '../secret-places.ts'
import { type Served, servedBefore } from '../served-before.ts'
import { onSites } from '../sites.ts'

/**
 * All or nothing (design 6): prepare creates what is new, runs jobs, and starts what rolls beside what serves; switch replaces
 * what cannot roll, then tells the proxy what is live; retire drains and removes what is gone. Each of them begins when the
 * one before has ended on all hosts. Until the switch has ended on all of them a failure puts back what served.
 */
export async function rollout(run: Run): Promise<string> {
  const changes = awaitLateJobs(await onSites(run, begin))
  const on = <R>(work: (change: Change) => Promise<R>, how?: { ordered: boolean }) =>
    onSites(run, (site) => work(changeOf(changes, site)), how)
  try {
    const prepared = await on(prepare, { ordered: true })
    const switched = await on(switchOver, { ordered: true })
    await commitAll(
      run,
      changes.map((change, at) => [change, switched[at] ?? prepared[at] ?? change.planning.containers]),
    )
  } catch (error) {
    throw await undoAll(run, changes, error)
  }
  await on(finish)
  return summarizePlans(changes.map(({ planning }) => planning.plan))
}

/** What waits for a job that comes with the switch on another host comes with the switch as well. */
function awaitLateJobs(changes: readonly Change[]): Change[] {
  const late = changes.flatMap(({ order }) =>
    order.switchOver.flatMap(({ service, action }) => (action === 'job' ? [service] : [])),
  )
  return changes.map((change) => {
    const also = Object.entries(change.site.awaits).flatMap(([service, jobs]) =>
      jobs.some((job) => late.includes(job)) ? [service] : [],
    )
    if (also.length === 0) return change
    const { planning, stage, site } = change
    return { ...change, order: orderPlan(planning.plan, stage.model, site.project.topology, also) }
  })
}

function changeOf(changes: readonly Change[], site: Site): Change {
  const change = changes.find((each) => each.site === site)
  if (change === undefined) throw new StagecraftError('bug', 'Cannot go on: a host has no plan')
  return change
}

/** Plans, and keeps what it takes to go back. Nothing that runs is changed. */
async function begin(site: Site): Promise<Change> {
  const planning = await planRollout({ ...site, version: site.bundle.version })
  const { plan } = planning
  site.emit({ type: 'plan', plan })
  for (const message of inheritedVolumes(planning.input, plan.services)) site.emit({ type: 'warning', message })
  for (const { service, action, why } of plan.services)
    if (action === 'hold' || (planning.input.rollback && planning.input.topology.jobs.includes(service)))
      site.emit({ type: 'service', service, step: action === 'hold' ? 'hold' : 'keep', note: why })
  const [stage, engineTime] = await Promise.all([
    recordTarget(site, planning),
    isNothingToDo(plan) ? undefined : engineNow(site.docker),
  ])
  const served = isNothingToDo(plan) ? undefined : await servedBefore(site, planning)
  const begun = { ...beginJournal(site, planning, served), ...at(engineTime) }
  const recorder = openRecorder(begun, (journal) => site.save({ journal }))
  if (isNothingToDo(plan)) site.seen = planning.containers
  return openChange(site, { stage, served, planning, recorder })
}

function at(engineTime: number | undefined): Pick<Journal, 'engine_time'> {
  return engineTime === undefined ? {} : { engine_time: new Date(engineTime).toISOString() }
}

async function finish({ site, routing }: Change): Promise<void> {
  const keepLog = logKeeper(site.project.stateFile, releaseId(site.bundle.id), site.clock)
  await retire({ ...routing, docker: site.restoring, keepLog }, site.bundle)
  if (site.bundle.journal) site.save({ journal: undefined, retiring: [] })
}

function beginJournal(site: Site, { plan, input, containers }: Planning, served: Served | undefined): Journal {
  const networks = (wanted: 'replace' | 'remove') =>
    plan.networks.flatMap(({ network, action }) => (action === wanted ? [network] : []))
  const rolling = plan.services.flatMap((each) => (each.action === 'rolling' || isAside(each) ? [each.service] : []))
  return {
    step: 'prepare',
    began_at: new Date(site.clock.now()).toISOString(),
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

/** Everything needed to put this release back is written before anything is changed. */
async function recordTarget(site: Site, planning: Planning): Promise<Stage> {
  const model = plannedModel(planning.input, planning.plan)
  const images = plannedImages(planning.input, planning.plan)
  for (const service of Object.keys(model.services))
    if (images[service] === undefined)
      throw new StagecraftError('failed', `Cannot start ${service}: the engine does not have its image`)
  await keepImages(site.docker, model.name, images, site.images.values())
  const { stateFile } = site.project
  const { topology } = planning.input
  writeModel(stateFile, site.bundle.id, model)
  const withDigests = Object.entries(images).map(([service, image]) => {
    const digest = site.digests[service]
    return [service, digest === undefined ? image : { ...image, digest }] as const
  })
  site.save({
    images: Object.fromEntries(withDigests),
    topology,
    content: site.rendering.content,
    plan: planning.plan,
    ...secretPlaces(model, site.docker.mask),
  })
  return { model, modelFile: modelFile(stateFile, site.bundle.id), ...stagePlace(site.project) }
}

async function prepare({ order, stage, planning, recorder, routing, proxyReady, steps }: Change) {
  const { plan, containers } = planning
  const ready = proxyReady()
  const { prepare: members } = order
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

async function switchOver({ site, stage, order, planning, recorder, routing, steps }: Change) {
  recorder.switch()
  const { plan, containers } = planning
  const members = order.switchOver
  const { replaced } = recorder.journal
  await freeNetworks(site.docker, plan.project, replaced, () => {
    const unplugged = unpluggedServices(plan, site.serving?.model, replaced)
    recorder.touch([...members.map(({ service }) => service), ...unplugged])
  })
  await freePorts(site, plan, containers, recorder)
  const switched = await bringUp(steps, stage, members, recorder)
  const before = recorder.journal.routing
  if (before && !isNothingToDo(plan)) {
    site.checkLock()
    recorder.routes()
    await site.persist?.() // what undoes it must be known before
    // No signal ends this: the proxy would go on with it, and the undo must come after.
    const routes = await switchRoutes({ ...routing, docker: site.restoring }, before)
    site.bundle = { ...site.bundle, routes, slots: routing.slots } // written with the commit point
    const moved = Object.keys(routing.slots).filter((name) => routing.slots[name] !== before.slots[name])
    for (const service of moved)
      site.emit({ type: 'service', service, step: 'switch', note: 'requests go to the new release' })
  }
  return switched
}

async function freePorts(
  site: Site,
  { handovers }: Plan,
  containers: readonly Container[],
  recorder: Recorder,
): Promise<void> {
  for (const service of new Set(handovers.map(({ from }) => from))) {
    recorder.touch([service])
    const ids = containers.filter((container) => container.service === service).map(({ id }) => id)
    if (ids.length > 0) await site.docker.run(`stop ${service}`, ['stop', ...ids])
  }
}

/**
 * The commit point, one atomic write: from here on this release serves. Compose's hashes tell later what was changed by
 * hand.
 */
function commit({ site, planning: { plan }, recorder, gaps }: Change, containers: readonly Container[]): void {
  site.checkLock()
  const { journal } = recorder
  const { rolling = [], before, unused, routing } = journal
  const old = new Set(before.flatMap(({ id, service }) => (rolling.includes(service) ? [id] : [])))
  const hashes = containers.flatMap(({ id, service, configHash }) => (old.has(id) ? [] : [[service, configHash]]))
  const retiring = removedServices(plan)
  const unrouted = routing !== undefined && plan.routes.some(({ action }) => action === 'remove')
  const isLeft = retiring.length > 0 || unused.length > 0 || rolling.length > 0 || unrouted
  const measured = { ...site.serving?.bundle.gaps, ...gaps }
  const { routes = site.serving?.bundle.routes, slots = site.serving?.bundle.slots } = site.bundle
  site.save({
    config_hashes: Object.fromEntries(hashes),
    switched_at: new Date(site.clock.now()).toISOString(),
    journal: isLeft ? { ...journal, step: 'retire' } : undefined,
    ...(Object.keys(measured).length > 0 ? { gaps: measured } : {}),
    ...(routes && slots ? { routes, slots } : {}),
    ...(retiring.length > 0 ? { retiring } : {}),
  })
}

/** The first host's bundle decides, and is written last. What the next run does not find has not happened. */
async function commitAll(run: Run, changes: readonly (readonly [Change, readonly Container[]])[]): Promise<void> {
  const before = run.sites.map(({ bundle }) => bundle)
  try {
    for (const [change, containers] of changes.toReversed()) commit(change, containers)
    // Where nothing was changed there is nothing that another run would have to know before the end.
    if (changes.some(([{ planning }]) => !isNothingToDo(planning.plan))) await run.persist?.()
  } catch (error) {
    for (const [at, site] of run.sites.entries()) {
      site.bundle = before[at] ?? site.bundle
      site.save({}) // the undo takes it there, if it can: never the commit point
    }
    throw error
  }
}
