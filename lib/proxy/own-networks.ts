import type { Docker } from '../docker/client.ts'
import { inspectContainers, listContainers, ofProject } from '../docker/containers.ts'
import { endpointsOf, ensureDisconnected, listNetworks, removeNetwork } from '../docker/networks.ts'
import { StagecraftError } from '../util/errors.ts'
import { findProxy } from './container.ts'

/**
 * Filters network names that come from a model or a journal, which others may be able to write.
 * @returns those that belong to this Compose project, according to the engine
 */
export async function ownNetworks(docker: Docker, project: string, networks: readonly string[]): Promise<string[]> {
  if (networks.length === 0) return []
  const own = new Set(await listNetworks(docker, ofProject(project)))
  return networks.filter((network) => own.has(network))
}

/** Removes networks. Containers are only disconnected: Compose hands their anonymous volumes on. @throws failed (5) */
export async function freeNetworks(
  docker: Docker,
  project: string,
  networks: readonly string[],
  onFirst: () => void = () => {},
): Promise<void> {
  for (const network of await ownNetworks(docker, project, networks)) {
    const ids = await endpointsOf(docker, network)
    if (ids === undefined) continue
    await refuseStrangers(docker, project, network, ids)
    onFirst()
    for (const id of ids) await ensureDisconnected(docker, [network, id], { what: `clear network ${network}` })
    await removeNetwork(docker, [network], { what: `remove network ${network}` })
  }
}

/** Containers that are not of this project are not disconnected. */
async function refuseStrangers(
  docker: Docker,
  project: string,
  network: string,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return
  const proxy = await findProxy(docker) // the switch connects it again
  const own = new Set([proxy?.id, ...(await listContainers(docker, project)).map(({ id }) => id)])
  const strange = ids.filter((id) => !own.has(id))
  const stranger = (await inspectContainers(docker, strange))[0]?.id // undefined if it is gone by now
  if (stranger === undefined) return
  throw new StagecraftError(
    'failed',
    `Cannot recreate network ${network}: container ${stranger.slice(0, 12)} is on it, which is not a service of ${project}`,
    { hint: `docker network disconnect ${network} ${stranger.slice(0, 12)}, deploy again, and connect it afterwards.` },
  )
}
