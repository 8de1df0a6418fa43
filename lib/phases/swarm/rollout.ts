import type { Docker } from '../../docker/client.ts'
import { contentTag, keepImages } from '../../docker/images.ts'
import { removeNetwork } from '../../docker/networks.ts'
import { whileElecting } from '../../docker/swarm/election.ts'
import { listServices } from '../../docker/swarm/services.ts'
import { deployStack, removeServices } from '../../docker/swarm/stack.ts'
import { summarizePlans } from '../../plan/format.ts'
import type { Step } from '../../plan/input.ts'
import { plannedImages, plannedModel } from '../../plan/model.ts'
import { isNothingToDo, servicesOf } from '../../plan/stages.ts'
import { type Bundle, writeModel } from '../../record/bundle.ts'
import { asBefore, type Before, openRecorder, type Recorder } from '../../record/journal.ts'
import { secretPlaces } from '../../secrets/places.ts'
import { errorText, StagecraftError } from '../../util/errors.ts'
import type { HostRun, ReleaseRun } from '../host-run.ts'
import type { Phase } from '../loop.ts'
import { describeRollout } from '../rollout/describe.ts'
import type { Planning } from '../rollout/planning.ts'
import { STEPS } from '../rollout/steps.ts'
import { planStack } from './planning.ts'
import { patienceFor, type StackRelease, stageStack } from './stage.ts'
import { undoStack } from './undo.ts'
import { openWatch } from './watch.ts'

const BOTH = { describe: describeRollout, run: rollout }

/** All or nothing on a Swarm: it replaces the tasks, and a failure brings the whole stack back. */
export const STACK_ROLLOUT: Phase = { name: 'rollout', deploy: BOTH, rollback: BOTH }

async function rollout(run: ReleaseRun): Promise<string> {
  const [hostRun] = run.hostRuns
  const { request, tools, bundle, found } = hostRun
  const { rendering, images, digests } = found
  const known = { version: bundle.now.version, rendering, images, digests }
  const planning = await planStack(request, tools, known)
  const release = await record(hostRun, planning)
  const recorder = begin(hostRun, planning)
  try {
    await bringUp(hostRun, planning, release, recorder)
    await commit(hostRun, planning)
  } catch (error) {
    throw await undo(hostRun, recorder, error)
  }
  await retireStack(tools.undoDocker, bundle.now, tools.emit)
  if (bundle.now.journal) bundle.save({ journal: undefined, retiring: [] })
  return summarizePlans([planning])
}

/** Records everything that a later rollback to this release needs, before anything is changed. */
async function record({ request, tools, bundle, found }: HostRun, { plan, input }: Planning): Promise<StackRelease> {
  tools.emit({ type: 'plan', plan })
  const model = plannedModel(input, plan)
  const images = plannedImages(input, plan)
  for (const service of Object.keys(model.services))
    if (images[service] === undefined)
      throw new StagecraftError('failed', `Cannot start ${service}: the engine does not have its image`)
  // Of a Swarm with one node: what is built and not pushed is named by its content.
  const own = Object.entries(images).filter(
    ([name, { reference, id }]) => reference === contentTag(model.name, name, id),
  )
  await keepImages(tools.docker, model.name, Object.fromEntries(own), found.images.values())
  const { stateFile, environment } = request.project
  const { topology } = input
  writeModel(stateFile, bundle.now.id, model)
  bundle.save({
    ...{ images, topology, plan, content: found.rendering.content },
    ...secretPlaces(model, tools.docker.mask),
  })
  return { model, images, jobs: topology.jobs, services: environment.services, environment }
}

function begin({ request, tools, bundle }: HostRun, { plan, containers }: Planning): Recorder {
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

/** What is new, or rolls, comes first: if that fails, nothing that has downtime was touched. */
async function bringUp(hostRun: HostRun, { plan }: Planning, release: StackRelease, recorder: Recorder): Promise<void> {
  const { docker, clock, emit, checkLock } = hostRun.tools
  const stages = [plan.stages.prepare.waves, plan.stages.switch.waves]
  if (stages.flat().length === 0) return
  const watch = await openWatch({ docker, clock, emit, stack: plan.project })
  const patience = (service: string) => patienceFor(release, service)
  const deploy = (members: readonly Step[], nudges = 0) => {
    const what = `deploy ${members.map(({ service }) => service).join(', ')}`
    return deployStack(docker, plan.project, stageStack(release, members, nudges), what)
  }
  const all = stages.flat().flatMap(({ members }) => members)
  const nudge = (name: string, attempt: number) =>
    deploy(
      all.filter(({ service }) => service === name),
      attempt,
    )
  for (const waves of stages) {
    const open: string[] = []
    for (const { members, awaited } of waves) {
      const names = members.map(({ service }) => service)
      checkLock()
      recorder.touch(names)
      for (const { service, action, why } of plan.services)
        if (names.includes(service)) emit({ type: 'service', service, step: STEPS[action] ?? 'create', note: why })
      await whileElecting(clock, () => deploy(members))
      await watch.until(awaited, patience, nudge)
      open.push(...names.filter((name) => !awaited.includes(name)))
    }
    await watch.until(open, patience, nudge)
  }
}

/** The commit point, one atomic write: the release is live. What Swarm has of each service shows later what was changed by hand. */
async function commit({ request, tools, bundle }: HostRun, { plan }: Planning): Promise<void> {
  const { docker, clock, checkLock } = tools
  const before = request.serving?.bundle.config_hashes ?? {}
  const isChanged = servicesOf([...plan.stages.prepare.waves, ...plan.stages.switch.waves])
  const now = isNothingToDo(plan) ? [] : await whileElecting(clock, () => listServices(docker, plan.project))
  const kept = Object.entries(before).filter(([service]) => !isChanged.includes(service))
  const hashes = now.flatMap(({ service, hash }) => (isChanged.includes(service) ? [[service, hash] as const] : []))
  const { removed: retiring, networks } = plan.stages.retire
  checkLock()
  bundle.save({
    config_hashes: Object.fromEntries([...kept, ...hashes]),
    switched_at: new Date(clock.now()).toISOString(),
    journal:
      retiring.length + networks.length > 0 && bundle.now.journal
        ? { ...bundle.now.journal, step: 'retire' }
        : undefined,
    ...(retiring.length > 0 ? { retiring } : {}),
  })
  if (!isNothingToDo(plan)) await tools.persist?.()
}

/** Removes services and networks that the live release does not have. May be repeated. @throws failed (5), unreachable (8) */
export async function retireStack(
  docker: Docker,
  { project, retiring = [], journal }: Bundle,
  emit: HostRun['tools']['emit'],
): Promise<void> {
  for (const service of retiring) {
    emit({ type: 'service', service, step: 'remove' })
    await removeServices(docker, [`${project}_${service}`], { what: `remove ${service}` })
  }
  for (const network of journal?.unused ?? [])
    await removeNetwork(docker, [network], { what: `remove network ${network}` }).catch((error: unknown) =>
      emit({ type: 'warning', message: errorText(error), hint: `Once no task uses it: docker network rm ${network}` }),
    )
}

/** @returns the error to end with: not-restored (6) unless the live release is restored, else `cause` */
async function undo({ request, tools, bundle }: HostRun, recorder: Recorder, cause: unknown): Promise<unknown> {
  if (recorder.untouched) return cause
  const { undoDocker: docker, clock, emit } = tools
  const { serving, project } = request
  const served = serving && releaseOf(serving, project.environment)
  try {
    await undoStack({ docker, clock, emit, stack: bundle.now.project, journal: recorder.journal, served }, cause)
  } catch (error) {
    return error
  }
  try {
    bundle.save({ journal: undefined })
  } catch {
    // recording the failure comes next, and reports the same error
  }
  return cause
}

/** @returns a release of the record as Swarm is to run it */
export function releaseOf(
  { model, bundle }: { readonly model: StackRelease['model']; readonly bundle: Bundle },
  environment: StackRelease['environment'],
): StackRelease {
  const { images, topology, services = {} } = bundle
  return { model, images, jobs: topology.jobs, services, environment }
}
