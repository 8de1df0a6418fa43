import { replaceInTurn, startBeside } from './beside.ts'
import type { ComposeModel } from './compose.ts'
import { actOptions, type Stage, toWaves, upArgs, type Wanted } from './compose-up.ts'
import type { Environment } from './config.ts'
import { type Container, type Docker, listContainers } from './docker.ts'
import { mayEnd } from './ending.ts'
import type { Emit, ServiceStep } from './events.ts'
import { type Clock, findFailure, type GateTarget, gate, type Tell } from './gate.ts'
import type { Before, Recorder } from './journal.ts'
import type { ServicePlan } from './plan.ts'
import type { Topology } from './services.ts'

/** What the steps need of a run. */
export interface StepContext {
  readonly docker: Docker
  readonly clock: Clock
  readonly emit: Emit
  readonly project: {
    readonly environment: Pick<Environment, 'services'>
    readonly topology: Topology
    readonly model?: ComposeModel
  }
  /** what is done with containers that were made beside others, before they are started */
  readonly onMade?: (containers: readonly Container[]) => Promise<void>
  /** told of the containers of a service that have been started */
  readonly onStarted?: (service: string, ids: readonly string[]) => void
  /** what is done with the new containers of a service as soon as they are ready */
  readonly onReady?: (service: string, ids: readonly string[], cancelled: () => boolean) => Promise<void>
}

/**
 * Starts services, wave by wave, and waits until they are ready. Containers that were there before need not prove themselves.
 * @returns the project's containers after the last start, or undefined if nothing was started
 */
export async function bringUp(
  context: StepContext,
  stage: Stage,
  members: readonly ServicePlan[],
  recorder: Recorder,
): Promise<readonly Container[] | undefined> {
  const { project } = context
  const old = new Set(recorder.journal.before.map(({ id }) => id))
  let open: GateTarget[] = []
  let containers: readonly Container[] | undefined
  for (const wave of toWaves(members, project.topology.needs)) {
    recorder.touch(wave.members.map(({ service }) => service))
    const passed = await upBeside(context, stage, wave.members, { recorder, open })
    open = open.filter((target) => !passed.includes(target))
    const now = await listContainers(context.docker, stage.model.name)
    const targets = wave.members.map(({ service }) => gateTarget(context, service, now, old))
    containers = now
    for (const { service, ids } of targets) context.onStarted?.(service, ids)
    recorder.made(targets.flatMap(({ ids }) => ids))
    await pass(
      context,
      targets.filter(({ service }) => wave.awaited.has(service)),
    )
    open = [...open, ...targets.filter(({ service }) => !wave.awaited.has(service))]
  }
  await pass(context, open)
  return containers
}

/**
 * Starts a wave. What is to be in the namespace of a container cannot be while that one is being started again: it is
 * waited for then, and the wave started once more.
 * @param open what was started before, and need not be ready yet @returns those of them that were waited for
 */
async function upBeside(
  context: StepContext,
  stage: Stage,
  members: readonly ServicePlan[],
  { recorder, open }: { readonly recorder: Recorder; readonly open: readonly GateTarget[] },
): Promise<readonly GateTarget[]> {
  const start = () => up(context, stage, members, recorder)
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

/** What could not start may only have missed what it joins, and that one's end is the reason to tell. */
async function blame(
  { docker, clock, emit }: StepContext,
  open: readonly GateTarget[],
  error: unknown,
): Promise<never> {
  const cause = await findFailure(docker, open, clock, telling(emit)).catch(() => undefined)
  throw cause ?? error
}

async function up(
  context: StepContext,
  stage: Stage,
  members: readonly ServicePlan[],
  recorder: Recorder,
): Promise<void> {
  const { docker, emit, project, onMade = async () => {} } = context
  const { services } = project.environment
  const { before } = recorder.journal
  const aside = members.filter(isAside)
  const inTurn = members.filter((member) => member.gap?.inTurn && !isAside(member))
  const beside = members.flatMap((member) => toBeside(member, services, before) ?? [])
  const rest = members.filter(
    (member) =>
      !aside.includes(member) && !inTurn.includes(member) && !beside.some(({ service }) => service === member.service),
  )
  for (const { service, action, why } of members)
    emit({ type: 'service', service, step: STEPS[action] ?? 'create', note: why })
  const run = async (wanted: readonly ServicePlan[], how: 'anew' | 'keep') => {
    if (wanted.length === 0) return
    const names = wanted.map(({ service }) => service).join(', ')
    await docker.run(`start ${names}`, upArgs(stage, wanted, how), actOptions(stage))
  }
  await run(
    rest.filter(({ action }) => action !== 'scale'),
    'anew',
  )
  await run(
    rest.filter(({ action }) => action === 'scale'),
    'keep',
  )
  const how = { docker, stage, services, recorder, onMade }
  if (beside.length > 0) await startBeside(how, beside, before) // nothing else has made any of these services
  for (const member of aside) {
    const old = before.filter(({ service, state }) => service === member.service && RUNS.includes(state))
    await startBeside({ ...how, stopFirst: old.map(({ id }) => id) }, [member], before)
  }
  for (const member of inTurn) {
    const target = gateTarget(context, member.service, [], new Set())
    const old = before.filter(({ service }) => service === member.service)
    await replaceInTurn(how, member, old, (ids) => pass(context, [{ ...target, ids }]))
  }
}

const RUNS: readonly Before['state'][] = ['running', 'restarting', 'paused']

/** @returns whether the old containers of a service stay, stopped, until the release is live. */
export function isAside({ action, aside }: ServicePlan): boolean {
  return action === 'recreate' && aside === true
}

/** @returns how many containers a service gets beside those it has; undefined: Compose makes it what it is to be. */
function toBeside(
  { service, action, replicas }: ServicePlan,
  services: Environment['services'],
  before: readonly Before[],
): Wanted | undefined {
  const internal = services[service]?.expose?.internal === true
  if (action === 'rolling' || (action === 'create' && internal)) return { service, replicas }
  const there = before.filter((container) => container.service === service).length
  return action === 'scale' && internal && replicas > there ? { service, replicas: replicas - there } : undefined
}

const STEPS: Partial<Record<ServicePlan['action'], ServiceStep>> = {
  rolling: 'rolling',
  recreate: 'recreate',
  scale: 'scale',
  job: 'run',
}

/** What is ready is put to use at once, also while others are still waited for: a service that was recreated has a gap. */
async function pass(
  { docker, clock, emit, onReady = async () => {} }: StepContext,
  targets: readonly GateTarget[],
): Promise<void> {
  const tell = telling(emit)
  const put: Promise<unknown>[] = []
  let over = false
  const putToUse = (service: string, ids: readonly string[]) =>
    onReady(service, ids, () => over).then(
      () => undefined,
      (error: unknown) => error ?? new Error('no reason'),
    )
  try {
    await gate(docker, targets, clock, (service, step, note) => {
      tell(service, step, note)
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

function telling(emit: Emit): Tell {
  return (service, step, note) => emit({ type: 'service', service, step, ...(note === undefined ? {} : { note }) })
}

export function gateTarget(
  { project }: Pick<StepContext, 'project'>,
  service: string,
  containers: readonly Container[],
  old: ReadonlySet<string>,
): GateTarget {
  const { rollout } = project.environment.services[service] ?? { rollout: {} }
  return {
    service,
    ids: containers.filter((container) => container.service === service && !old.has(container.id)).map(({ id }) => id),
    job: project.topology.jobs.includes(service),
    mayEnd: mayEnd(project.model?.services[service]),
    healthTimeout: rollout.health_timeout,
    minReady: rollout.min_ready,
  }
}

/** @returns what `compose up` is to bring back to the number there was. */
export function wantedAsBefore(service: string, before: readonly Before[]): Wanted {
  return { service, replicas: before.filter((container) => container.service === service).length }
}
