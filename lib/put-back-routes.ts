import { type Container, listContainers } from './docker.ts'
import { drainSlots, runDrainHooks } from './drain.ts'
import { plugIntoSlots } from './plug.ts'
import type { Undo } from './put-back.ts'
import type { Routed } from './routes.ts'
import { plugServed, putRoutesBack } from './routing.ts'

/** First of all requests go to what served; those that are on their way to what is new may end there. */
export async function routeBack(undo: Undo): Promise<void> {
  const { routing, step } = undo.journal
  if (routing === undefined || !(await putRoutesBack(undo, routing)) || step === 'prepare') return
  await drainSlots({ ...undo, services: undo.project.environment.services }, routing)
}

/** What is back is plugged in at once, ready or not: nothing else serves. Networks that were made anew have callers again. */
export async function plugBack({ docker, clock, name }: Undo, routing: Routed, lost: readonly string[]): Promise<void> {
  const containers = await listContainers(docker, name)
  const back = containers.filter(({ service }) => lost.includes(service))
  await plugIntoSlots(docker, name, back, routing.slots)
  await plugServed(
    docker,
    name,
    containers.filter((container) => !back.includes(container)),
    routing,
  )
  if (lost.length > 0) await putRoutesBack({ docker, clock, name }, routing)
}

/** A proxy of the user's own may have found what is new already. */
export async function drainFresh(undo: Undo, fresh: readonly Container[]): Promise<void> {
  const { services } = undo.project.environment
  const beside = fresh.filter(({ service, state }) => undo.journal.rolling?.includes(service) && state === 'running')
  await runDrainHooks({ ...undo, services }, beside)
}
