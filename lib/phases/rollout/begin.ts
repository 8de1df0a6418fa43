import type { Docker } from '../../docker/client.ts'
import { type ModelFile, stagePlace } from '../../docker/compose/up.ts'
import { engineNow } from '../../docker/engine/facts.ts'
import { keepImages } from '../../docker/images.ts'
import type { Plan } from '../../plan/input.ts'
import { plannedImages, plannedModel } from '../../plan/model.ts'
import { routedBefore } from '../../plan/routes/change.ts'
import { awaitLateJobs, isNothingToDo } from '../../plan/stages.ts'
import { modelFile } from '../../record/bundle/ref.ts'
import { writeModel } from '../../record/bundle.ts'
import { asBefore, type Journal, openRecorder } from '../../record/journal.ts'
import { secretPlaces } from '../../secrets/places.ts'
import { StagecraftError } from '../../util/errors.ts'
import { onEachHost } from '../each-host.ts'
import type { HostRun, ReleaseRun } from '../host-run.ts'
import { type Baseline, findBaseline } from './baseline.ts'
import { type HostRollout, openHostRollout } from './host-rollout.ts'
import { type Planning, planRollout } from './planning.ts'
import { keepUntouched } from './untouched.ts'

/** Plans the rollout on each host. Changes nothing that runs. */
async function planAll(run: ReleaseRun): Promise<Planning[]> {
  const plannings = await onEachHost(run, ({ request, tools, bundle, found: { rendering, images } }) =>
    planRollout(request, tools, { version: bundle.now.version, rendering, images }),
  )
  return awaitLateJobs(plannings)
}

const BEGUN = new WeakMap<ReleaseRun, Promise<HostRollout[]>>()

/** Begins the rollout on each host, once: before the migrations if there are any, otherwise in its own phase. */
export function openRollout(run: ReleaseRun): Promise<HostRollout[]> {
  const begun = BEGUN.get(run) ?? beginAll(run)
  BEGUN.set(run, begun)
  return begun
}

/** @returns the rollout that has begun, if it has */
export function begunRollout(run: ReleaseRun): Promise<HostRollout[]> | undefined {
  return BEGUN.get(run)
}

async function beginAll(run: ReleaseRun): Promise<HostRollout[]> {
  const plannings = await planAll(run)
  return onEachHost(run, (hostRun, at) => begin(hostRun, certain(plannings[at])))
}

/** @throws bug: there is one for each host */
export function certain<T>(value: T | undefined): T {
  if (value === undefined) throw new StagecraftError('bug', 'Cannot continue: a host has no plan')
  return value
}

/** Records what a host's rollout does, and what it takes to undo it. Changes nothing that runs. */
async function begin(hostRun: HostRun, planning: Planning): Promise<HostRollout> {
  const { tools, bundle, found } = hostRun
  const { plan } = planning
  tools.emit({ type: 'plan', plan })
  const { rollback, topology } = planning.input
  for (const { service, action, why } of plan.services)
    if (action === 'hold' || (rollback && action === 'unchanged' && topology.jobs.includes(service)))
      tools.emit({ type: 'service', service, step: action === 'hold' ? 'hold' : 'keep', note: why })
  const [{ stage, served }, engineTime] = await Promise.all([
    recordModels(hostRun, planning),
    isNothingToDo(plan) ? undefined : engineNow(tools.docker),
  ])
  const begun = { ...beginJournal(tools.clock.now(), planning, served), ...at(engineTime) }
  const recorder = openRecorder(begun, (journal) => bundle.save({ journal }))
  // Migrations take their time: what was seen before them may have ended or been removed since.
  if (isNothingToDo(plan) && !hostRun.request.project.environment.databases) found.containers = planning.containers
  return openHostRollout(hostRun, { stage, served, planning, recorder })
}

/** Records the model of the release, and finds or makes the one that restores what runs now. */
async function recordModels(hostRun: HostRun, planning: Planning): Promise<Pick<HostRollout, 'stage' | 'served'>> {
  const stage = await recordTarget(hostRun, planning)
  keepUntouched(hostRun, planning, stage.model)
  return { stage, served: isNothingToDo(planning.plan) ? undefined : await findBaseline(hostRun, planning) }
}

function at(engineTime: number | undefined): Pick<Journal, 'engine_time'> {
  return engineTime === undefined ? {} : { engine_time: new Date(engineTime).toISOString() }
}

/** @param now milliseconds of this machine's clock */
function beginJournal(now: number, { plan, input, containers }: Planning, served: Baseline | undefined): Journal {
  const { switch: change, retire } = plan.stages
  return {
    step: 'prepare',
    began_at: new Date(now).toISOString(),
    before: containers.map(asBefore),
    made: [],
    touched: [],
    replaced: change.networks,
    unused: retire.networks,
    ...(retire.old.length > 0 ? { rolling: retire.old } : {}),
    ...(plan.proxy ? { routing: routedBefore(input) } : {}),
    handover: change.stop.length > 0,
    ...(served ? { served: served.ref } : {}),
  }
}

/** A command of a migration may hold a secret. */
export function maskWork(plan: Plan, mask: Docker['mask']): Plan {
  const { migrations } = plan
  return migrations ? { ...plan, migrations: migrations.map((each) => ({ ...each, work: mask(each.work) })) } : plan
}

/** Records everything that a later rollback to this release needs, before anything is changed. */
async function recordTarget({ request, tools, bundle, found }: HostRun, planning: Planning): Promise<ModelFile> {
  const { docker } = tools
  const model = plannedModel(planning.input, planning.plan)
  const images = plannedImages(planning.input, planning.plan)
  for (const service of Object.keys(model.services))
    if (images[service] === undefined)
      throw new StagecraftError('failed', `Cannot start ${service}: the engine does not have its image`)
  await keepImages(docker, model.name, images, found.images.values())
  const { stateFile } = request.project
  const { topology } = planning.input
  const awaits = request.target ? (request.target.bundle.awaits ?? {}) : request.awaits
  writeModel(stateFile, bundle.now.id, model)
  const withDigests = Object.entries(images).map(([service, image]) => {
    const digest = found.digests[service]
    return [service, digest === undefined ? image : { ...image, digest }] as const
  })
  bundle.save({
    images: Object.fromEntries(withDigests),
    topology,
    content: found.rendering.content,
    plan: maskWork(planning.plan, docker.mask),
    ...(Object.keys(awaits).length > 0 ? { awaits } : {}),
    ...secretPlaces(model, docker.mask),
  })
  return { model, modelFile: modelFile(stateFile, bundle.now.id), ...stagePlace(request.project) }
}
