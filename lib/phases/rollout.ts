import { modelFile, type ServingRelease, writeModel } from '../bundle.ts'
import type { ComposeModel } from '../compose.ts'
import type { Stage } from '../compose-up.ts'
import { type Container, inspectImages } from '../docker.ts'
import { StagecraftError } from '../errors.ts'
import { byPresentNames, keepImages } from '../images.ts'
import { asBefore, type Journal, openRecorder, type Recorder } from '../journal.ts'
import { hasLoose, isNothingToDo, type Plan, type ServicePlan } from '../plan.ts'
import { plannedImages, plannedModel } from '../plan-model.ts'
import { networksOf } from '../plan-networks.ts'
import { adoptedModel, type Planning, planRollout } from '../planning.ts'
import { putBack } from '../put-back.ts'
import { retire } from '../retire.ts'
import { bringUp, freeNetworks } from '../rollout-steps.ts'
import type { Run } from '../run.ts'
import { isLockLost } from './loop.ts'

/**
 * All or nothing (design 6): prepare creates what is new and runs jobs, switch replaces what changed, retire removes what
 * is gone. Until the switch has ended a failure puts back what served.
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
  try {
    const prepared = await prepare(run, stage, planning, recorder)
    const switched = await switchOver(run, stage, planning, recorder)
    commit(run, plan, recorder, switched ?? prepared ?? planning.containers)
  } catch (error) {
    if (!recorder.untouched && !isLockLost(run)) await undo(run, recorder.journal, served, error)
    throw error
  }
  await retire({ ...run, docker: run.restoring }, run.bundle)
  if (run.bundle.journal) run.save({ journal: undefined, retiring: [] })
  return summarize(plan.services, isNothingToDo(plan))
}

function beginJournal(run: Run, { plan, containers }: Planning, served: Served | undefined): Journal {
  const networks = (wanted: 'replace' | 'remove') =>
    plan.networks.flatMap(({ network, action }) => (action === wanted ? [network] : []))
  return {
    step: 'prepare',
    began_at: new Date(run.clock.now()).toISOString(),
    before: containers.map(asBefore),
    made: [],
    touched: [],
    replaced: networks('replace'),
    unused: networks('remove'),
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

async function prepare(run: Run, stage: Stage, { plan }: Planning, recorder: Recorder) {
  const late = waitForSwitch(run, stage, plan)
  const members = plan.services.filter((service) => isNew(service) && !late.has(service.service))
  return bringUp(run, stage, members, recorder)
}

async function switchOver(run: Run, stage: Stage, { plan, containers }: Planning, recorder: Recorder) {
  recorder.switch()
  const late = waitForSwitch(run, stage, plan)
  const members = plan.services.filter(
    ({ service, action }) => ['recreate', 'scale'].includes(action) || late.has(service),
  )
  const { replaced } = recorder.journal
  await freeNetworks(run.docker, plan.project, replaced, () =>
    recorder.touch([...members.map(({ service }) => service), ...unplugged(run, plan, replaced)]),
  )
  await freePorts(run, plan, containers, recorder)
  return bringUp(run, stage, members, recorder)
}

/** @returns services that are to be removed, and lose a network before that: a put-back must give it back to them. */
function unplugged({ serving }: Run, plan: Plan, replaced: readonly string[]): string[] {
  if (serving === undefined) return []
  const { model } = serving
  return removedServices(plan).filter((service) =>
    networksOf(model.services[service] ?? {}, model).some((network) => replaced.includes(network)),
  )
}

function isNew({ action }: ServicePlan): boolean {
  return action === 'create' || action === 'job'
}

/**
 * @returns what is new and must wait for the switch: it takes a port that something else still has, or is on a network
 * that is made anew, or needs such a service, or is in the namespace of one that is recreated: it would be left in the
 * old one's.
 */
function waitForSwitch({ project }: Run, { model }: Stage, { services, handovers, networks }: Plan): Set<string> {
  const replaced = networks.filter(({ action }) => action === 'replace').map(({ network }) => network)
  const late = new Set(handovers.map(({ to }) => to))
  const recreated = new Set(services.flatMap((plan) => (plan.action === 'recreate' ? [plan.service] : [])))
  for (const { service } of services.filter(isNew)) {
    const needs = project.topology.needs[service] ?? []
    const needsLate = needs.some((need) => late.has(need.service) || (need.follows && recreated.has(need.service)))
    const onReplaced = networksOf(model.services[service] ?? {}, model).some((name) => replaced.includes(name))
    if (needsLate || onReplaced) late.add(service)
  }
  return new Set(services.flatMap((plan) => (isNew(plan) && late.has(plan.service) ? [plan.service] : [])))
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
function commit(run: Run, plan: Plan, { journal }: Recorder, containers: readonly Container[]): void {
  run.checkLock()
  const hashes = Object.fromEntries(containers.map(({ service, configHash }) => [service, configHash]))
  const retiring = removedServices(plan)
  const isLeft = retiring.length > 0 || journal.unused.length > 0
  run.save({
    config_hashes: hashes,
    switched_at: new Date(run.clock.now()).toISOString(),
    journal: isLeft ? { ...journal, step: 'retire' } : undefined,
    ...(retiring.length > 0 ? { retiring } : {}),
  })
}

function removedServices({ services }: Plan): string[] {
  return services.flatMap(({ service, action }) => (action === 'remove' ? [service] : []))
}

/** A model that puts back what runs now, and where it is kept: as `<release>`, or as `<release>/<another model of it>`. */
interface Served {
  readonly id: string
  readonly stage: Stage
}

/** @returns the serving release's model, or what an adoption knows of it. Written before anything is changed. */
async function servedBefore(run: Run, planning: Planning): Promise<Served | undefined> {
  if (run.serving) return servingModel(run, run.serving)
  const model = adoptedModel(run.project, planning)
  return model && keepModel(run, `${run.bundle.id}/adopted`, model)
}

/** Where the engine has forgotten an image's digest meanwhile, a model that names it by content. */
async function servingModel(run: Run, { bundle, model, modelFile: file }: ServingRelease): Promise<Served> {
  const references = Object.values(bundle.images).map(({ reference }) => reference)
  const present = await inspectImages(run.docker, [...new Set(references)])
  const images = byPresentNames(bundle.project, bundle.images, present)
  const renamed = Object.entries(images).filter(([service, image]) => image !== bundle.images[service])
  if (renamed.length === 0)
    return { id: bundle.id, stage: { model, modelFile: file, directory: run.project.directory } }
  await keepImages(run.docker, bundle.project, Object.fromEntries(renamed))
  const services = { ...model.services }
  for (const [service, { reference }] of renamed) services[service] = { ...services[service], image: reference }
  return keepModel(run, `${run.bundle.id}/served`, { ...model, services })
}

function keepModel({ project }: Run, id: string, model: ComposeModel): Served {
  const { directory, stateFile } = project
  writeModel(stateFile, id, model)
  return { id, stage: { model, modelFile: modelFile(stateFile, id), directory } }
}

function summarize(services: readonly ServicePlan[], nothing: boolean): string {
  if (nothing) return hasLoose(services) ? 'nothing to do' : 'nothing to do: everything runs as it should'
  const counts = new Map<string, number>()
  for (const { action } of services) counts.set(action, (counts.get(action) ?? 0) + 1)
  const words = {
    create: 'created',
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
