import type { Bundle } from './bundle.ts'
import { lastLogLines, listContainers, removeContainers } from './docker.ts'
import { type DrainContext, drainSlots, runDrainHooks } from './drain.ts'
import type { Before } from './journal.ts'
import { isMissing, ownNetworks } from './own-networks.ts'
import { unplugUnrouted } from './routing.ts'

/**
 * Removes what the release that serves has no use for, as the journal of its rollout says: the former containers of what
 * rolled, once no request is on its way to them; the containers, by id, of services that are gone; networks. Nothing, where
 * it has no journal. May be done twice.
 */
export async function retire(
  context: DrainContext & { readonly keepLog?: (container: string, lines: string) => void },
  { journal, retiring = [], slots = {}, routes = [] }: Pick<Bundle, 'journal' | 'retiring' | 'slots' | 'routes'>,
): Promise<void> {
  if (journal === undefined) return
  const { docker, emit } = context
  const rolled = journal.rolling ?? []
  const going = await ownOf(
    context,
    journal.before.filter(({ service }) => rolled.includes(service) || retiring.includes(service)),
  )
  const old = going.flatMap(({ one, isRunning }) => (isRunning && rolled.includes(one.service) ? [one] : []))
  const left = routes.filter(({ service }) => old.some((container) => container.service === service))
  if (left.length > 0) await drainSlots(context, { routes: left, slots })
  await runDrainHooks(context, old)
  for (const service of rolled) emit({ type: 'service', service, step: 'remove', note: 'what was before' })
  for (const service of retiring) emit({ type: 'service', service, step: 'remove' })
  const containers = going.map(({ one }) => one)
  await removeContainers(docker, containers, async ({ id, name }) => {
    context.keepLog?.(name, await lastLogLines(docker, id, KEPT_LINES, true))
  })
  for (const network of await ownNetworks(docker, context.name, journal.unused)) {
    const result = await docker.try(['network', 'rm', network])
    if (result.code !== 0 && !isMissing(result))
      emit({ type: 'warning', message: `network ${network} is not used any more, but could not be removed` })
  }
  const unrouted = journal.routing?.routes.some(({ service }) => !routes.some((route) => route.service === service))
  if (unrouted) await unplugUnrouted(context, await listContainers(docker, context.name), { routes, slots })
}

/** Lines of log that stay of a container that goes. */
const KEPT_LINES = 100

/** A journal is read from a folder that others can write to: what goes is of this Compose project, as the engine says. */
async function ownOf({ docker, name }: DrainContext, wanted: readonly Before[]) {
  if (wanted.length === 0) return []
  const now = await listContainers(docker, name)
  return wanted.flatMap((one) => {
    const found = now.find(({ id }) => id === one.id)
    return found ? [{ one, isRunning: found.state === 'running' }] : []
  })
}
