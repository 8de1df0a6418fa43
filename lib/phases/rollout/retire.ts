import { listContainers } from '../../docker/containers.ts'
import { lastLogLines, removeContainers } from '../../docker/lifecycle.ts'
import { NO_NETWORK, removeNetwork } from '../../docker/networks.ts'
import { type DrainContext, drainSlots, runDrainHooks } from '../../proxy/drain.ts'
import { ownNetworks } from '../../proxy/own-networks.ts'
import { disconnectUnrouted } from '../../proxy/routing.ts'
import type { Bundle } from '../../record/bundle.ts'
import type { Before } from '../../record/journal.ts'

/**
 * Removes what the live release does not need, as the journal of its rollout says: old containers of rolled services
 * (once they are drained) and of removed ones, by id, and unused networks. May be repeated.
 */
export async function retire(
  context: DrainContext & { readonly keepLog?: (container: string, lines: string) => void },
  { journal, retiring = [], slots = {}, routes = [] }: Pick<Bundle, 'journal' | 'retiring' | 'slots' | 'routes'>,
): Promise<void> {
  if (journal === undefined) return
  const { docker, emit } = context
  const rolled = journal.rolling ?? []
  const left = journal.before.filter(({ service }) => rolled.includes(service) || retiring.includes(service))
  const ran = left.filter(({ service, state }) => state === 'running' && rolled.includes(service))
  const routed = routes.filter(({ service }) => ran.some((one) => one.service === service))
  const [going] = await Promise.all([ownOf(context, left), drainSlots(context, { routes: routed, slots })])
  const old = going.flatMap(({ one, isRunning }) => (isRunning && rolled.includes(one.service) ? [one] : []))
  await runDrainHooks(context, old)
  const containers = going.map(({ one }) => one)
  await removeContainers(docker, containers, async ({ id, name }) => {
    context.keepLog?.(name, await lastLogLines(docker, id, KEPT_LINES, true))
  })
  for (const service of [...rolled, ...retiring]) {
    const count = containers.filter((one) => one.service === service).length
    emit({ type: 'service', service, step: 'remove', note: `${count} old ${count === 1 ? 'container' : 'containers'}` })
  }
  for (const network of await ownNetworks(docker, context.name, journal.unused)) {
    const { code, stderr } = await removeNetwork(docker, [network])
    if (code !== 0 && !NO_NETWORK.test(stderr))
      emit({ type: 'warning', message: `network ${network} is not used any more, but could not be removed` })
  }
  const unrouted = journal.routing?.routes.some(({ service }) => !routes.some((route) => route.service === service))
  if (unrouted) await disconnectUnrouted(context, await listContainers(docker, context.name), { routes, slots })
}

/** Lines of log that are kept of a removed container. */
const KEPT_LINES = 100

/** Others may be able to write the journal, so the engine decides which containers are of this project. */
async function ownOf({ docker, name }: DrainContext, wanted: readonly Before[]) {
  if (wanted.length === 0) return []
  const now = await listContainers(docker, name)
  return wanted.flatMap((one) => {
    const found = now.find(({ id }) => id === one.id)
    return found ? [{ one, isRunning: found.state === 'running' }] : []
  })
}
