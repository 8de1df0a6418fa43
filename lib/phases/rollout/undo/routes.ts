import { listContainers } from '../../../docker/containers.ts'
import { type Container, isServiceWell } from '../../../docker/inspect.ts'
import type { RoutingTable } from '../../../plan/routes/table.ts'
import { askLive, silentLines } from '../../../proxy/ask.ts'
import { findProxy } from '../../../proxy/container.ts'
import { drainSlots, runDrainHooks } from '../../../proxy/drain.ts'
import { connectLive, restoreRoutes } from '../../../proxy/routing.ts'
import { attachToSlots } from '../../../proxy/slots.ts'
import { StagecraftError } from '../../../util/errors.ts'
import type { UndoRequest } from './request.ts'

/**
 * Restores the routes and slots from before the release; requests in flight to new containers may finish. A proxy that
 * cannot be started routes nothing, so the containers are restored all the same.
 * @returns the error that kept the proxy from starting; undefined if there was none
 */
export async function undoRoutes(undo: UndoRequest): Promise<unknown> {
  const { routing, step } = undo.journal
  if (routing === undefined) return undefined
  try {
    if (!(await restoreRoutes(undo, routing)) || step === 'prepare') return undefined
  } catch (error) {
    if ((await findProxy(undo.docker))?.state === 'running') throw error
    return error ?? new Error('no reason')
  }
  await drainSlots({ ...undo, services: undo.project.environment.services }, routing)
  return undefined
}

/** Seconds that restored containers have to answer the proxy: they have passed the gate. */
const ANSWER = 10

/**
 * Asks the slots that were live before through the proxy: a container may run and not answer. Services that were not
 * well before the release are left out.
 * @throws failed (5) if one does not answer
 */
export async function proveAnswers(
  { journal, docker, name, settings }: UndoRequest,
  { routes, slots }: RoutingTable,
): Promise<void> {
  const wereWell = routes.filter(({ service }) => isServiceWell(service, journal.before))
  const silent = await askLive({ docker, name, services: settings }, { routes: wereWell, slots }, ANSWER)
  const [first] = silent
  if (first === undefined) return
  throw new StagecraftError(
    'failed',
    `Cannot reach ${[...silent.keys()].join(', ')} through the proxy: it was reachable before`,
    {
      detail: silentLines(silent),
    },
  )
}

/** Connects restored containers at once, ready or not: nothing else is live. Recreated networks get the proxy again. */
export async function reconnect(undo: UndoRequest, routing: RoutingTable, lost: readonly string[]): Promise<void> {
  const { docker, name } = undo
  const containers = await listContainers(docker, name)
  const restored = containers.filter(({ service }) => lost.includes(service))
  await attachToSlots(docker, name, restored, routing, containers)
  await connectLive(
    docker,
    name,
    containers.filter((container) => !restored.includes(container)),
    routing,
  )
  if (lost.length > 0) await restoreRoutes(undo, routing)
}

/** Runs the drain hooks of new containers: a proxy of the user's own may have found them already. */
export async function drainNew(undo: UndoRequest, made: readonly Container[]): Promise<void> {
  const { services } = undo.project.environment
  const rolled = made.filter(({ service, state }) => undo.journal.rolling?.includes(service) && state === 'running')
  await runDrainHooks({ ...undo, services }, rolled)
}
