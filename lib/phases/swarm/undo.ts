import { whileElecting } from '../../docker/swarm/election.ts'
import { deployStack, removeServices, removeStack } from '../../docker/swarm/stack.ts'
import type { Emit } from '../../output/events.ts'
import { listRunning } from '../../project/engine/running.ts'
import type { Journal } from '../../record/journal.ts'
import { StagecraftError } from '../../util/errors.ts'
import { wantedAsBefore } from '../rollout/steps.ts'
import { cannotRestore, type Undone } from '../rollout/undo/request.ts'
import { patienceFor, type StackRelease, stageStack } from './stage.ts'
import { openWatch, type Watching } from './watch.ts'

/** A rollout on a Swarm before its commit point, and what it takes to undo it. */
export interface StackUndo extends Watching {
  readonly journal: Journal
  /** the live release; undefined: there is none */
  readonly served: StackRelease | undefined
}

/**
 * The whole stack goes back to the live release: what the rollout has changed is deployed as it was, and what it has created is
 * removed. Swarm keeps the tasks that are still the old ones. May be repeated.
 * @throws not-restored (6), with a table of what is running
 */
export async function undoStack(undo: StackUndo, cause: unknown): Promise<Undone> {
  try {
    return await attempt(undo)
  } catch (error) {
    if (error instanceof StagecraftError && error.kind !== 'failed') throw error
    throw await notRestored(undo, cause, error)
  }
}

async function attempt(undo: StackUndo): Promise<Undone> {
  const { docker, clock, stack, journal, served, emit } = undo
  const { before, touched } = journal
  const had = (service: string) => before.some((one) => one.service === service)
  const jobs = served?.jobs ?? []
  if (before.length === 0 && served === undefined) {
    await whileElecting(clock, () => removeStack(docker, [stack], { what: `remove stack ${stack}` }))
    return { removed: touched.length, restored: [] }
  }
  const known = touched.filter((service) => served?.model.services[service] !== undefined)
  const restored = known.filter((service) => had(service) && !jobs.includes(service))
  const made = touched.filter((service) => !known.includes(service) || (!had(service) && !jobs.includes(service)))
  const remove = (service: string) => removeServices(docker, [`${stack}_${service}`], { what: `remove ${service}` })
  for (const service of made) await whileElecting(clock, () => remove(service))
  if (served === undefined || restored.length === 0) return { removed: made.length, restored: [] }
  const watch = await openWatch(undo)
  sayRestored(emit, restored)
  const deploy = (names: readonly string[], nudges = 0) => {
    const wanted = names.map((service) => wantedAsBefore(service, before))
    return deployStack(docker, stack, stageStack(served, wanted, nudges), `restore ${names.join(', ')}`)
  }
  await whileElecting(clock, () => deploy(restored))
  const wasWell = (service: string) =>
    before
      .filter((one) => one.service === service)
      .every(({ state, health }) => state === 'running' && health !== 'unhealthy')
  await watch.until(
    restored.filter(wasWell),
    (service) => patienceFor(served, service),
    (service, attempt) => deploy([service], attempt),
  )
  return { removed: made.length, restored }
}

function sayRestored(emit: Emit, services: readonly string[]): void {
  for (const service of services) emit({ type: 'service', service, step: 'restore' })
}

async function notRestored(
  { docker, stack }: Pick<StackUndo, 'docker' | 'stack'>,
  cause: unknown,
  error: unknown,
): Promise<StagecraftError> {
  const rows = await listRunning({ engine: 'swarm' }, docker, stack).then(
    (tasks) => tasks.map(({ name, state, health, image }) => [name, state, health, image]),
    () => [['the Swarm does not answer']],
  )
  return cannotRestore(cause, error, { running: [['task', 'state', 'health', 'image'], ...rows] })
}
