import type { Docker } from '../../docker/client.ts'
import { listNodes } from '../../docker/swarm/nodes.ts'
import type * as contract from '../../output/contract/status.ts'
import type { Settings } from '../../project/settings.ts'
import type { Of } from '../../util/schema.ts'

/** A node of the Swarm that an environment is on. */
export type NodeStatus = Of<typeof contract.node>

/** @returns the nodes, in the order of their names; none if the environment is not on a Swarm. @throws failed (5), unreachable (8) */
export async function nodeStatuses(
  docker: Docker,
  { engine }: Pick<Settings['environment'], 'engine'>,
): Promise<NodeStatus[]> {
  if (engine !== 'swarm') return []
  const nodes = await listNodes(docker)
  return nodes.map(({ name, role, isLeader, state, availability, engine }) => ({
    ...{ name, role, state, availability, engine },
    ...(isLeader ? { leader: true as const } : {}),
  }))
}
