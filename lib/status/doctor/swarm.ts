import { askRegistry } from '../../docker/build.ts'
import type { Docker } from '../../docker/client.ts'
import { isReady, listNodes, type SwarmNode } from '../../docker/swarm/nodes.ts'
import { askSwarm } from '../../docker/swarm/stack.ts'
import { GET_A_MANAGER, whyNoManager } from '../../hosts/swarm/errors.ts'
import type { Settings } from '../../project/settings.ts'
import { liveBundle } from '../../record/bundle.ts'
import { releasesOf } from '../../record/releases.ts'
import { errorText } from '../../util/errors.ts'
import { nodeProblem, readyCount } from '../swarm/nodes.ts'
import { bad, type Check, ok } from './check.ts'

/**
 * Checks the Swarm of an environment: its managers and nodes, each of `hosts:`, and the registry of the live release's images.
 * @param docker of a manager
 */
export async function swarmChecks(settings: Settings, docker: Docker): Promise<Check[]> {
  const { isManager, hasLeader, cluster, error } = await askSwarm(docker)
  if (!isManager || !hasLeader)
    return [bad('swarm', [whyNoManager({ isManager }), error].filter(Boolean).join('\n'), GET_A_MANAGER)]
  const nodes = await listNodes(docker)
  const each = await hostChecks(settings, nodes)
  const registry = await registryCheck(settings, docker)
  const managers = nodes.filter(({ role }) => role === 'manager')
  return [ok('swarm', cluster), ...each, quorum(managers), ready(nodes), engines(nodes), ...registry]
}

/** Each of `hosts:` that can be reached: what it is in the Swarm. */
async function hostChecks({ host }: Settings, all: readonly SwarmNode[]): Promise<Check[]> {
  const { reached, failed } = (await host.nodes?.()) ?? { reached: [], failed: [] }
  const known = reached.map(({ name, node: id }) => {
    const node = all.find((one) => one.id === id)
    if (node === undefined)
      return bad(
        name,
        'it is not in this Swarm',
        'On a manager: docker swarm join-token manager. Or leave it out of `hosts:`.',
      )
    return ok(name, node.role === 'manager' ? 'a manager' : 'a worker: it is only sent images')
  })
  const others = failed.map((error) =>
    bad('hosts', errorText(error), error.hint ?? 'Check that sshd and Docker run there.'),
  )
  return [...known, ...others]
}

/** A Swarm accepts changes as long as more than half of its managers are reachable. */
function quorum(managers: readonly SwarmNode[]): Check {
  const all = managers.length
  const lost = managers.filter(({ isReachable }) => !isReachable).map(({ name }) => name)
  const majority = Math.floor(all / 2) + 1
  const spare = all - lost.length - majority
  const found = `${all - lost.length} of ${all} reachable: ${spare === 0 ? 'none' : spare} of them may fail`
  if (lost.length > 0)
    return bad('managers', found, `Bring back ${lost.join(', ')}, or remove it: docker node demote, docker node rm.`)
  if (all === 1) return ok('managers', '1: without it nothing can be changed; 3 tolerate the loss of one')
  return ok('managers', all % 2 === 0 ? `${found}; ${all - 1} would do as well` : found)
}

function ready(nodes: readonly SwarmNode[]): Check {
  const down = nodes.filter((node) => !isReady(node))
  const problems = [...down, ...nodes.filter(isReady)].flatMap((node) => nodeProblem(node) ?? [])
  const found = [readyCount(nodes), ...problems].join('; ')
  if (down.length === 0) return ok('nodes', found)
  return bad('nodes', found, 'Start the engine there, or remove the node: docker node rm.')
}

function engines(nodes: readonly SwarmNode[]): Check {
  const versions = Map.groupBy(nodes, ({ engine }) => engine)
  if (versions.size === 1) return ok('engines', `${[...versions.keys()].join()} on all nodes`)
  const found = [...versions].map(([version, own]) => `${version} on ${own.map(({ name }) => name).join(', ')}`)
  return ok('engines', found.toSorted().join('; '))
}

/** Nodes pull with the login of this machine: what the live release needs has to be there for it. */
async function registryCheck({ config, stateFile, environment }: Settings, docker: Docker): Promise<Check[]> {
  const { registry } = config.project
  if (registry === undefined) return []
  const live = liveBundle(stateFile, releasesOf(stateFile, environment.name))
  const image = Object.values(live?.images ?? {}).find(({ built, reference }) => built && reference.includes('@'))
  if (image === undefined) return [ok('registry', `${registry}: not asked, no image of a live release is there`)]
  const problem = await askRegistry(docker, image.reference)
  if (problem === undefined) return [ok('registry', `${registry} has the images of the live release`)]
  return [
    bad(
      'registry',
      `${registry} does not give ${image.reference}\n${problem}`,
      `Log in here: docker login ${registry.split('/')[0]}`,
    ),
  ]
}
