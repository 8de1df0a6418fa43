import type { ComposeModel } from '../../compose/model.ts'
import type { Topology } from '../../compose/topology.ts'
import type { Environment } from '../../config/parse.ts'
import type { Docker } from '../../docker/client.ts'
import { composeUp, type ModelFile, type Replicas, type UpMode } from '../../docker/compose/up.ts'
import { listContainers } from '../../docker/containers.ts'
import { findFailure, gate, type OnStep } from '../../docker/gate.ts'
import { type Container, isUp } from '../../docker/inspect.ts'
import type { GateTarget } from '../../docker/readiness/verdict.ts'
import type { Emit, ServiceStep } from '../../output/events.ts'
import type { Plan, ServicePlan, Step } from '../../plan/input.ts'
import { mayEnd } from '../../plan/services/ending.ts'
import type { Wave } from '../../plan/waves.ts'
import type { Before, Recorder } from '../../record/journal.ts'
import type { Clock } from '../../system/clock.ts'
import { createAlongside, replaceInTurn, startAlongside } from './alongside.ts'
import type { Renewal } from './renewal.ts'

/** What the steps of a rollout work with. */
export interface StepContext {
  readonly docker: Docker
  readonly clock: Clock
  readonly emit: Emit
  readonly project: {
    readonly environment: Pick<Environment, 'services'>
    readonly topology: Topology
    readonly model?: ComposeModel
  }
  /** looks at the anonymous volumes of containers that are about to be recreated */
  readonly lookAtVolumes?: (members: readonly ServicePlan[]) => Promise<Renewal | undefined>
  /** called with containers that were created alongside others, before they are started */
  readonly onMade?: (containers: readonly Container[]) => Promise<void>
  /** called with the containers of a service that have been started */
  readonly onStarted?: (service: string, ids: readonly string[]) => void
  /** called with the new containers of a service as soon as they are ready */
  readonly onReady?: (service: string, ids: readonly string[], cancelled: () => boolean) => Promise<void>
}

/** What is brought up: a stage of the plan, from the release's model. */
interface Stage {
  readonly plan: Plan
  readonly modelFile: ModelFile
  readonly waves: readonly Wave<Step>[]
}

/**
 * Starts the services of a stage, wave by wave, and waits until their new containers are ready.
 * @returns the project's containers after the last start, or undefined if nothing was started
 * @throws failed (5) if one does not become ready
 */
export async function bringUp(
  context: StepContext,
  { plan, modelFile, waves }: Stage,
  recorder: Recorder,
): Promise<readonly Container[] | undefined> {
  const old = new Set(recorder.journal.before.map(({ id }) => id))
  let open: GateTarget[] = []
  let containers: readonly Container[] | undefined
  for (const { members, awaited } of waves) {
    recorder.touch(members.map(({ service }) => service))
    const start = () => up(context, modelFile, plan, members, recorder)
    const passed = await startWave(context, start, members, open)
    open = open.filter((target) => !passed.includes(target))
    const now = await listContainers(context.docker, modelFile.model.name)
    // What cron starts is only created.
    const started = members.filter(({ how }) => how !== 'scheduled')
    const targets = started.map(({ service }) => gateTarget(context, service, now, old))
    containers = now
    for (const { service, ids } of targets) context.onStarted?.(service, ids)
    recorder.made(targets.flatMap(({ ids }) => ids))
    await pass(
      context,
      targets.filter(({ service }) => awaited.includes(service)),
    )
    open = [...open, ...targets.filter(({ service }) => !awaited.includes(service))]
  }
  await pass(context, open)
  return containers
}

/**
 * Starts a wave. A container cannot join the namespace of one that is being restarted: if that happens, waits for the
 * owner and starts the wave once more.
 * @param open started before, not known to be ready @returns those of them that were waited for
 */
async function startWave(
  context: StepContext,
  start: () => Promise<void>,
  members: readonly Step[],
  open: readonly GateTarget[],
): Promise<readonly GateTarget[]> {
  const { docker, clock, project } = context
  const joined = members.flatMap(({ service }) =>
    (project.topology.needs[service] ?? []).flatMap((need) => (need.follows ? [need.service] : [])),
  )
  const owners = open.filter(({ service, ids }) => joined.includes(service) && ids.length > 0)
  try {
    await start()
    return []
  } catch (error) {
    const down = await findFailure(docker, owners, clock, () => {}).catch(() => undefined)
    if (down === undefined) return blame(context, open, error)
  }
  await pass(context, owners)
  await start().catch((error) => blame(context, open, error))
  return owners
}

/** A container that cannot start may only lack the owner of its namespace: then the owner's failure is the reason. */
async function blame(
  { docker, clock, emit }: StepContext,
  open: readonly GateTarget[],
  error: unknown,
): Promise<never> {
  const cause = await findFailure(docker, open, clock, emitSteps(emit)).catch(() => undefined)
  throw cause ?? error
}

async function up(
  context: StepContext,
  modelFile: ModelFile,
  plan: Plan,
  members: readonly Step[],
  recorder: Recorder,
): Promise<void> {
  const { docker, emit, project, onMade = async () => {} } = context
  const { services } = project.environment
  const { before } = recorder.journal
  const made = (...how: Step['how'][]) => members.filter((member) => how.includes(member.how))
  const plans = members.flatMap(({ service }) => plan.services.find((each) => each.service === service) ?? [])
  const byCompose = made('up', 'scale').map(({ service }) => service)
  const renewal = await context.lookAtVolumes?.(plans.filter(({ service }) => byCompose.includes(service)))
  for (const { service, action, why } of plans)
    emit({ type: 'service', service, step: STEPS[action] ?? 'create', note: why })
  const run = async (wanted: readonly Replicas[], mode: UpMode) => {
    const names = wanted.map(({ service }) => service).join(', ')
    if (wanted.length > 0) await composeUp(docker, `start ${names}`, modelFile, wanted, mode)
  }
  const renewed = (await renewal?.stop()) ?? []
  const { renew = [], recreate = [] } = Object.groupBy(made('up'), ({ service }) =>
    renewed.includes(service) ? 'renew' : 'recreate',
  )
  await run(renew, 'renew-volumes')
  await renewal?.finish()
  await run(recreate, 'recreate')
  await run(made('scale'), 'keep')
  const how = { docker, stage: modelFile, services, recorder, onMade }
  const scheduled = made('scheduled')
  if (scheduled.length > 0) await createAlongside(how, scheduled, before)
  const added = made('alongside')
  if (added.length > 0) await startAlongside(how, added, before) // these services still have the containers of `before`
  for (const member of made('aside')) {
    const old = before.filter((one) => one.service === member.service && isUp(one))
    await startAlongside({ ...how, stopFirst: old.map(({ id }) => id) }, [member], before)
  }
  for (const member of made('in-turn')) {
    const target = gateTarget(context, member.service, [], new Set())
    const old = before.filter(({ service }) => service === member.service)
    await replaceInTurn(how, member, old, (ids) => pass(context, [{ ...target, ids }]))
  }
}

/** What an action begins with. */
export const STEPS: Partial<Record<ServicePlan['action'], ServiceStep>> = {
  rolling: 'rolling',
  recreate: 'recreate',
  scale: 'scale',
  job: 'run',
  schedule: 'schedule',
}

/** Waits for services, and calls `onReady` for each at once: a recreated service has downtime until then. */
async function pass(
  { docker, clock, emit, onReady = async () => {} }: StepContext,
  targets: readonly GateTarget[],
): Promise<void> {
  const onStep = emitSteps(emit)
  const put: Promise<unknown>[] = []
  let over = false
  const putToUse = (service: string, ids: readonly string[]) =>
    onReady(service, ids, () => over).then(
      () => undefined,
      (error: unknown) => error ?? new Error('no reason'),
    )
  try {
    await gate(docker, targets, clock, (service, step, note) => {
      onStep(service, step, note)
      const ids = targets.find((target) => target.service === service)?.ids ?? []
      if (step === 'ready') put.push(putToUse(service, ids))
    })
  } catch (error) {
    over = true
    await Promise.all(put)
    throw error
  }
  const failed = (await Promise.all(put)).find((error) => error !== undefined)
  if (failed !== undefined) throw failed
}

/** @returns what emits the gate's reports */
export function emitSteps(emit: Emit): OnStep {
  return (service, step, note) => {
    if (step === 'progress') emit({ type: 'progress', service, message: note ?? '' })
    else emit({ type: 'service', service, step, ...(note === undefined ? {} : { note }) })
  }
}

export function gateTarget(
  { project }: Pick<StepContext, 'project'>,
  service: string,
  containers: readonly Container[],
  old: ReadonlySet<string>,
  settings = project.environment.services,
): GateTarget {
  const { rollout } = settings[service] ?? { rollout: {} }
  return {
    service,
    ids: containers.filter((container) => container.service === service && !old.has(container.id)).map(({ id }) => id),
    job: project.topology.jobs.includes(service),
    mayEnd: mayEnd(project.model?.services[service]),
    healthTimeout: rollout.health_timeout,
    minReady: rollout.min_ready,
  }
}

/** @returns a service with the number of containers that it had. */
export function wantedAsBefore(service: string, before: readonly Before[]): Replicas {
  return { service, replicas: before.filter((container) => container.service === service).length }
}
