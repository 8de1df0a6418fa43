import { keepImages, remoteName } from '../../docker/images.ts'
import { plannedImages, plannedModel } from '../../plan/model.ts'
import { buildMark } from '../../project/built-here.ts'
import { type Bundle, writeModel } from '../../record/bundle.ts'
import { asBefore, type Before, openRecorder, type Recorder } from '../../record/journal.ts'
import { secretPlaces } from '../../secrets/places.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { HostRun, ReleaseRun } from '../host-run.ts'
import { maskWork } from '../rollout/begin.ts'
import type { Planning } from '../rollout/planning.ts'
import { findLacks, supply } from './kept-images.ts'
import { planStack } from './planning.ts'
import type { StackRelease } from './stage.ts'

/** A rollout on a Swarm that is under way. */
export interface StackRollout {
  readonly hostRun: HostRun
  readonly planning: Planning
  readonly release: StackRelease
  readonly recorder: Recorder
}

const BEGUN = new WeakMap<ReleaseRun, Promise<StackRollout>>()

/**
 * Plans the rollout, and records what it takes to undo it, once: before the migrations if there are any, otherwise in its own phase.
 * Changes nothing that runs. @throws config (3), failed (5), unreachable (8)
 */
export function openStackRollout(run: ReleaseRun): Promise<StackRollout> {
  const begun = BEGUN.get(run) ?? begin(run)
  BEGUN.set(run, begun)
  return begun
}

/** @returns the rollout that has begun, if it has */
export function begunStackRollout(run: ReleaseRun): Promise<StackRollout> | undefined {
  return BEGUN.get(run)
}

async function begin(run: ReleaseRun): Promise<StackRollout> {
  const [hostRun] = run.hostRuns
  const { request, tools, bundle, found } = hostRun
  const { rendering, images, digests, onNodes = digests } = found
  const planning = await planStack(request, tools, { version: bundle.now.version, rendering, images, onNodes })
  if (run.kind === 'deploy') await supplyKept(run, planning)
  const release = await record(hostRun, planning)
  return { hostRun, planning, release, recorder: openJournal(hostRun, planning) }
}

/** A service that is left as it is keeps its image, which a node that is new may lack. */
async function supplyKept({ project, builder, hostRuns: [hostRun], tools }: ReleaseRun, planning: Planning) {
  const { found } = hostRun
  const { host, model } = project
  const kept = Object.entries(plannedImages(planning.input, planning.plan)).filter(
    ([service, { reference }]) => found.onNodes?.[service] !== undefined && found.onNodes[service] !== reference,
  )
  if (host.nodes === undefined || kept.length === 0) return
  const keeping = { host, model, images: Object.fromEntries(kept), docker: hostRun.tools.docker, builder, ...tools }
  const all = { ...keeping, mark: buildMark(project), exec: host.local }
  await supply(await findLacks(all), all)
}

/** Records everything that a later rollback to this release needs, before anything is changed. */
async function record({ request, tools, bundle, found }: HostRun, { plan, input }: Planning): Promise<StackRelease> {
  tools.emit({ type: 'plan', plan })
  const model = plannedModel(input, plan)
  const images = plannedImages(input, plan)
  for (const service of Object.keys(model.services))
    if (images[service] === undefined)
      throw new StagecraftError('failed', `Cannot start ${service}: the engine does not have its image`)
  const { stateFile, environment, host } = request.project
  // Without hosts this engine alone has what it has built. Elsewhere it is tagged where it was sent.
  const own = Object.entries(images).filter(([, image]) => image.built && remoteName(image) === undefined)
  if (host.nodes === undefined)
    await keepImages(tools.docker, model.name, Object.fromEntries(own), found.images.values())
  const { topology } = input
  writeModel(stateFile, bundle.now.id, model)
  bundle.save({
    ...{ images, topology, content: found.rendering.content, plan: maskWork(plan, tools.docker.mask) },
    ...keptBy(plan, request.serving?.bundle),
    ...secretPlaces(model, tools.docker.mask),
  })
  return { model, images, jobs: topology.jobs, services: environment.services, environment, id: bundle.now.id }
}

/** Who has scaled a service is remembered as long as its number stays. */
function keptBy({ services }: Planning['plan'], before: Bundle | undefined): Pick<Bundle, 'scaled'> {
  const all = Object.entries(before?.scaled ?? {})
  const kept = all.filter(([name, { replicas }]) =>
    services.some((one) => one.service === name && one.replicas === replicas),
  )
  return kept.length > 0 ? { scaled: Object.fromEntries(kept) } : {}
}

function openJournal({ request, tools, bundle }: HostRun, { plan, containers }: Planning): Recorder {
  const { retire } = plan.stages
  const journal = {
    step: 'switch' as const,
    began_at: new Date(tools.clock.now()).toISOString(),
    before: containers.map(beforeOf),
    ...{ made: [], touched: [], replaced: [], unused: retire.networks, handover: false },
    ...(request.serving ? { served: request.serving.bundle.id } : {}),
  }
  return openRecorder(journal, (journal) => bundle.save({ journal }))
}

/** A replica that no node runs yet has no task. */
function beforeOf(container: Planning['containers'][number], at: number): Before {
  return { ...asBefore(container), id: container.id || `none-${at}` }
}
