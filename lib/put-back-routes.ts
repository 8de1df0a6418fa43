import { type Container, listContainers } from './docker.ts'
import { drainSlots, runDrainHooks } from './drain.ts'
import { StagecraftError } from './errors.ts'
import { plugIntoSlots } from './plug.ts'
import { askLive } from './proxy-ask.ts'
import { findProxy } from './proxy-life.ts'
import type { Undo } from './put-back.ts'
import type { Routed } from './routes.ts'
import { plugServed, putRoutesBack } from './routing.ts'

/**
 * First of all requests go to what was live; those that are on their way to what is new may end there. A proxy that cannot be
 * started sends nobody anywhere: the containers are restored all the same.
 * @returns what kept it from being started
 */
export async function routeBack(undo: Undo): Promise<unknown> {
  const { routing, step } = undo.journal
  if (routing === undefined) return undefined
  try {
    if (!(await putRoutesBack(undo, routing)) || step === 'prepare') return undefined
  } catch (error) {
    if ((await findProxy(undo.docker))?.state === 'running') throw error
    return error ?? new Error('no reason')
  }
  await drainSlots({ ...undo, services: undo.project.environment.services }, routing)
  return undefined
}

/** Seconds that what was live has to answer the proxy: it has passed the gate. */
const ANSWER = 10

/**
 * Asks what was live before, through the proxy: that it runs does not say that it answers. A service that was not well before the
 * release is left out.
 * @throws failed (5) where one does not answer
 */
export async function proveAnswers(
  { journal, docker, name, settings }: Undo,
  { routes, slots }: Routed,
): Promise<void> {
  const wereWell = routes.filter(({ service }) => {
    const own = journal.before.filter((container) => container.service === service)
    return own.length > 0 && own.every(({ state, health }) => state === 'running' && health !== 'unhealthy')
  })
  const silent = await askLive({ docker, name, services: settings }, { routes: wereWell, slots }, ANSWER)
  const [first] = silent
  if (first === undefined) return
  const all = [...silent].map(([service, why]) => `${service}: ${why}`).join('\n')
  throw new StagecraftError(
    'failed',
    `Cannot reach ${[...silent.keys()].join(', ')} through the proxy: it was live before`,
    {
      detail: all,
    },
  )
}

/** What is back is plugged in at once, ready or not: nothing else serves. Networks that were made anew have callers again. */
export async function plugBack(undo: Undo, routing: Routed, lost: readonly string[]): Promise<void> {
  const { docker, name } = undo
  const containers = await listContainers(docker, name)
  const back = containers.filter(({ service }) => lost.includes(service))
  await plugIntoSlots(docker, name, back, routing.slots)
  await plugServed(
    docker,
    name,
    containers.filter((container) => !back.includes(container)),
    routing,
  )
  if (lost.length > 0) await putRoutesBack(undo, routing)
}

/** A proxy of the user's own may have found what is new already. */
export async function drainFresh(undo: Undo, fresh: readonly Container[]): Promise<void> {
  const { services } = undo.project.environment
  const beside = fresh.filter(({ service, state }) => undo.journal.rolling?.includes(service) && state === 'running')
  await runDrainHooks({ ...undo, services }, beside)
}
