import { type NodeName, openDocker } from '../docker/client.ts'
import { askSwarm } from '../docker/swarm/stack.ts'
import type { Exec } from '../system/exec.ts'
import { errorText, StagecraftError } from '../util/errors.ts'
import type { Host } from './host.ts'

/**
 * Finds the engine of a node of a Swarm, which alone reaches the containers there: that of the manager, or of another of the hosts.
 * @param exec runs docker for the manager @param what is asked of the node, for the error
 * @throws unreachable (8) if the node is none of the hosts, or does not answer
 */
export async function engineOfNode(
  { nodes, attach }: Pick<Host, 'nodes' | 'attach'>,
  exec: Exec,
  node: NodeName,
  what: string,
): Promise<Pick<Host, 'exec' | 'attach'>> {
  if ((await askSwarm(openDocker(exec, (text) => text))).node === node.id) return { exec, attach }
  const { reached, failed } = (await nodes?.()) ?? { reached: [], failed: [] }
  const found = reached.find((one) => one.node === node.id)
  if (found) return found
  throw new StagecraftError('unreachable', `Cannot ${what}: it is on node ${node.name}, which is none of the hosts`, {
    detail: failed.length > 0 ? failed.map(errorText).join('\n') : undefined,
    hint: `A container is reached through the engine of its node. Add ${node.name} to \`hosts:\` in stagecraft.yml, after the managers: it may be a worker.`,
  })
}
