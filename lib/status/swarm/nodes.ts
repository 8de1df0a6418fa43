import type { Docker } from '../../docker/client.ts'
import { isReady, listNodes, type SwarmNode } from '../../docker/swarm/nodes.ts'
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

/** @returns how many of them Swarm hears from: `3 ready`, `2 of 3 ready` */
export function readyCount(nodes: readonly Pick<SwarmNode, 'state'>[]): string {
  const ready = nodes.filter(isReady).length
  return ready === nodes.length ? `${ready} ready` : `${ready} of ${nodes.length} ready`
}

/** @returns what keeps new tasks from a node: `n4 is down`, `n5 is drained`; undefined: nothing */
export function nodeProblem(node: Pick<SwarmNode, 'name' | 'state' | 'availability'>): string | undefined {
  const { name, state, availability } = node
  if (!isReady(node)) return `${name} is ${state}`
  const inactive = INACTIVE[availability]
  return inactive && `${name} is ${inactive}`
}

const INACTIVE: Readonly<Record<string, string>> = { drain: 'drained', pause: 'paused' }
