import { childError, type Docker, verb } from '../client.ts'
import { type Json, parseArray } from '../inspect.ts'
import { platformName } from '../platforms.ts'

/** A node of a Swarm, from `docker node inspect`. */
export interface SwarmNode {
  readonly id: string
  /** its hostname */
  readonly name: string
  readonly role: 'manager' | 'worker'
  readonly isLeader: boolean
  /** of a manager: the leader reaches it */
  readonly isReachable: boolean
  /** `ready`, `down`, `unknown`, `disconnected` */
  readonly state: string
  /** `active`, `pause`, `drain` */
  readonly availability: string
  /** the version of its engine */
  readonly engine: string
  readonly os: string
  readonly arch: string
  readonly labels: Readonly<Record<string, unknown>>
  readonly engineLabels: Readonly<Record<string, unknown>>
}

const inspect = verb(['node', 'inspect'], { readOnly: true })

/** @returns the nodes of a Swarm, in the order of their names. @throws failed (5), unreachable (8) */
export async function listNodes(docker: Docker): Promise<SwarmNode[]> {
  const args = ['node', 'ls', '--format', '{{.ID}}']
  const { stdout } = await docker.run('list nodes', args, { readOnly: true })
  const result = await inspect(docker, stdout.split('\n').filter(Boolean))
  if (result.code !== 0) throw childError('inspect nodes', result)
  return parseArray(result.stdout)
    .map(parseNode)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

export function parseNode(json: Json): SwarmNode {
  const about = json.at('Description')
  return {
    id: json.at('ID').string(),
    name: about.at('Hostname').string(),
    role: json.at('Spec', 'Role').string() === 'manager' ? 'manager' : 'worker',
    isLeader: json.at('ManagerStatus', 'Leader').true(),
    isReachable: json.at('ManagerStatus', 'Reachability').string() === 'reachable',
    state: json.at('Status', 'State').string(),
    availability: json.at('Spec', 'Availability').string(),
    engine: about.at('Engine', 'EngineVersion').string(),
    os: about.at('Platform', 'OS').string(),
    arch: about.at('Platform', 'Architecture').string(),
    labels: json.at('Spec', 'Labels').record(),
    engineLabels: about.at('Engine', 'Labels').record(),
  }
}

/** @returns `os/arch` of a node, as engines say it */
export function platformOfNode({ os, arch }: SwarmNode): string {
  return platformName(`${os}/${arch}`)
}

/** After swarmkit, manager/constraint: `node.labels.disk == ssd`. */
const CONSTRAINT = /^\s*([a-z0-9._-]+)\s*(==|!=)\s*(.*?)\s*$/i

/** @returns whether a placement constraint keeps tasks from a node. One that is not understood keeps none */
export function isExcluded(node: SwarmNode, constraint: string): boolean {
  const [, key = '', operator, wanted = ''] = CONSTRAINT.exec(constraint) ?? []
  const value = factOf(node, key)
  if (value === undefined || operator === undefined) return false
  return (value.toLowerCase() === wanted.toLowerCase()) !== (operator === '==')
}

function factOf(node: SwarmNode, key: string): string | undefined {
  const [, kind, label = ''] = /^(node|engine)\.labels\.(.+)$/i.exec(key) ?? []
  if (kind !== undefined) {
    const labels = kind.toLowerCase() === 'node' ? node.labels : node.engineLabels
    return String(labels[label] ?? '')
  }
  const values: Readonly<Record<string, string>> = {
    'node.id': node.id,
    'node.hostname': node.name,
    'node.role': node.role,
    'node.platform.os': node.os,
    'node.platform.arch': node.arch,
  }
  return values[key.toLowerCase()]
}

/** @returns whether Swarm hears from a node */
export function isReady({ state }: Pick<SwarmNode, 'state'>): boolean {
  return state === 'ready'
}

/** @returns whether a node gets new tasks: it is neither drained nor paused */
export function isActive({ availability }: Pick<SwarmNode, 'availability'>): boolean {
  return availability === 'active'
}

/**
 * @param busy names of the nodes that have a live task of it
 * @returns the nodes on which a global service has, or gets, a task: those that fit, and those that keep theirs while they are paused
 */
export function nodesFor(
  nodes: readonly SwarmNode[],
  { constraints }: { readonly constraints: readonly string[] },
  busy: ReadonlySet<string>,
): SwarmNode[] {
  const fits = (node: SwarmNode) => isReady(node) && !constraints.some((constraint) => isExcluded(node, constraint))
  const keeps = ({ availability, name }: SwarmNode) => availability === 'pause' && busy.has(name)
  return nodes.filter((node) => fits(node) && (isActive(node) || keeps(node)))
}
