import type { ComposeModel, Service } from '../../compose/model.ts'
import { type Docker, openDocker } from '../../docker/client.ts'
import { isActive, isExcluded, isReady, listNodes, platformOfNode, type SwarmNode } from '../../docker/swarm/nodes.ts'
import { askSwarm } from '../../docker/swarm/stack.ts'
import type { Host, NodeHost, NodeHosts } from '../../hosts/host.ts'
import { readOwners } from '../../hosts/owners.ts'
import type { Emit } from '../../output/events.ts'
import { StagecraftError } from '../../util/errors.ts'
import { pruneBuilt } from '../built-here.ts'
import { type PrunePlan, pruneTags } from '../prune.ts'

/** The engine of a host of a Swarm. */
interface NodeEngine extends Pick<NodeHost, 'name' | 'node'> {
  readonly docker: Docker
}

/**
 * @param manager what it masks, they mask @param signal ends their commands
 * @returns the engines of the hosts of a Swarm that can be used; none if it has no hosts
 */
export async function nodeEngines(
  { nodes }: Pick<Host, 'nodes'>,
  manager: Pick<Docker, 'mask'>,
  signal?: AbortSignal,
): Promise<NodeEngine[]> {
  const { reached } = (await nodes?.()) ?? { reached: [] }
  return reached.map(({ name, node, exec }) => ({ name, node, docker: openDocker(exec, manager.mask, { signal }) }))
}

/** A node of a Swarm that must have images, since tasks may be placed on it, and that can be given them. */
export interface ImageNode {
  readonly name: string
  /** its engine */
  readonly docker: Docker
  /** the services that may run there */
  readonly services: readonly string[]
}

/** Whose images, and the manager that is asked. */
export interface NodeQuestion {
  readonly host: Pick<Host, 'nodes'>
  readonly model: ComposeModel
  /** whose images no registry has */
  readonly services: readonly string[]
  /** the manager's */
  readonly docker: Docker
  readonly emit: Emit
  readonly signal: AbortSignal
}

/**
 * Finds the nodes that must have the images of services. A node that is down gets no tasks until it is back: a warning names it.
 * @throws config (3) for a node that cannot be given them, because it is not among the hosts; unreachable (8) if a host may be it
 */
export async function findImageNodes(question: NodeQuestion): Promise<ImageNode[]> {
  const { host, model, services, docker, emit } = question
  const [nodes, hosts, dockerOf] = await Promise.all([listNodes(docker), host.nodes?.(), enginesOf(question)])
  const wanted = nodes
    .map((node) => ({ node, services: services.filter((service) => mayRunOn(model.services[service], node)) }))
    .filter((each) => each.services.length > 0)
  refuseOtherPlatforms(wanted)
  for (const { node, services: own } of wanted.filter((each) => !isReady(each.node)))
    emit({
      type: 'warning',
      message: `${node.name} is down: it does not get the image of ${own.join(', ')}`,
      hint: 'Once it is back, deploy again. Until then it refuses the tasks that are placed there, and Swarm places them again.',
    })
  const ready = wanted.filter(({ node }) => isReady(node))
  const missing = ready.filter(({ node }) => dockerOf(node) === undefined)
  if (missing.length > 0) throw notAmongHosts(missing, hosts)
  return ready.flatMap(({ node, services: own }) => {
    const engine = dockerOf(node)
    return engine ? [{ name: node.name, docker: engine, services: own }] : []
  })
}

/** @returns a function that gives the engine of a node. Without hosts only that of the manager is known */
async function enginesOf({ host, docker, signal }: NodeQuestion): Promise<(node: SwarmNode) => Docker | undefined> {
  if (host.nodes === undefined) {
    const { node: own } = await askSwarm(docker)
    return ({ id }) => (id === own ? docker : undefined)
  }
  const engines = await nodeEngines(host, docker, signal)
  return ({ id }) => engines.find(({ node }) => node === id)?.docker
}

function mayRunOn(service: Service | undefined, node: SwarmNode): boolean {
  const { constraints } = Object(service?.deploy?.['placement'])
  const all: unknown[] = Array.isArray(constraints) ? constraints : []
  return isActive(node) && !all.some((constraint) => isExcluded(node, String(constraint)))
}

type Wanted = readonly { readonly node: SwarmNode; readonly services: readonly string[] }[]

function refuseOtherPlatforms(wanted: Wanted): void {
  const [first] = wanted
  const other = wanted.find(({ node }) => first && platformOfNode(node) !== platformOfNode(first.node))
  if (first === undefined || other === undefined) return
  throw new StagecraftError(
    'config',
    `Cannot build for ${first.node.name} and ${other.node.name}: ${platformOfNode(first.node)} and ${platformOfNode(other.node)}`,
    { hint: `Keep ${other.services.join(', ')} to one platform: deploy.placement.constraints (node.platform.arch).` },
  )
}

function notAmongHosts(missing: Wanted, hosts: NodeHosts | undefined): StagecraftError {
  const names = missing.map(({ node }) => node.name).join(', ')
  const services = [...new Set(missing.flatMap((each) => each.services))].join(', ')
  const { failed } = hosts ?? { failed: [] }
  const [lost] = failed
  if (lost)
    return lost.with({
      message: `Cannot bring the image of ${services} to ${names}: not all hosts of the Swarm can be used`,
      detail: failed.map(({ message }) => message).join('\n'),
    })
  return new StagecraftError(
    'config',
    `Cannot run ${services} on ${names}: its image is built here, and ${hosts ? 'that is none of the hosts' : 'only this engine has it'}`,
    {
      hint:
        'List all nodes in `hosts:` (workers too), and they are sent the image. Or name a registry that all nodes reach: ' +
        'project.registry. Or keep the service to the nodes that are listed: deploy.placement.constraints. Nothing has been changed.',
    },
  )
}

/** Removes images that no release needs from the hosts of a Swarm that were sent them. @throws failed (5), unreachable (8) */
export async function pruneNodes(
  host: Pick<Host, 'nodes'>,
  plan: PrunePlan,
  mark: string,
  manager: Docker,
): Promise<void> {
  const owners = () => readOwners(manager, 'configs')
  for (const { docker } of await nodeEngines(host, manager)) {
    await pruneTags(docker, plan, { owners })
    await pruneBuilt(docker, plan, mark)
  }
}
