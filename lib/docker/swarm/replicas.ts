import type { Docker } from '../client.ts'
import type { Container } from '../inspect.ts'
import { listNodes, nodesFor, type SwarmNode } from './nodes.ts'
import { listServices, type SwarmService } from './services.ts'
import { exitCodeOf, hasFailed, isLive, isOfLastRun, newestFirst, openTasks, type Task } from './tasks.ts'

/**
 * What runs of a stack, as containers of a Compose project: the plan and the status judge both alike. There is one for each replica
 * that a service is to have, also if no node runs it.
 * @param images the id of each image, by the name in the definition of a service
 * @throws failed (5), unreachable (8)
 */
export async function listReplicas(
  docker: Docker,
  stack: string,
  images: ReadonlyMap<string, string> = new Map(),
): Promise<Container[]> {
  const [services, tasks] = await Promise.all([listServices(docker, stack), openTasks(docker, stack).look()])
  const nodes = services.some(({ mode }) => mode === 'global') ? await listNodes(docker) : []
  const byService = Map.groupBy(tasks, ({ service }) => service)
  return services.flatMap((service) => {
    const own = byService.get(service.id) ?? []
    return replicasOf(service, own, nodes).map((task) => asContainer(service, task, own, images))
  })
}

/** A replica without a task has, of a global service, a node. */
type Replica = Task | Pick<Task, 'node'> | undefined

/** @returns the task of each replica: the live one, else the newest; undefined: Swarm has planned none */
function replicasOf(service: SwarmService, tasks: readonly Task[], nodes: readonly SwarmNode[]): Replica[] {
  const { mode, wanted } = service
  const sorted = newestFirst(tasks)
  if (mode === 'job') return sorted.filter((task) => isOfLastRun(task, service)).slice(0, wanted)
  const live = sorted.filter(isLive)
  if (wanted === undefined) {
    const busy = new Set(live.map(({ node }) => node))
    const without = nodesFor(nodes, service, busy).filter(({ name }) => !busy.has(name))
    return [...live, ...without.map(({ name }) => ({ node: name }))].toSorted((a, b) => (a.node < b.node ? -1 : 1))
  }
  const slots = Map.groupBy(live, ({ slot }) => slot)
  const found = [...slots.entries()].toSorted(([a], [b]) => a - b).map(([, own]) => own[0])
  return Array.from({ length: wanted }, (_, at) => found[at])
}

function asContainer(
  { service, hash, image, hasHealthcheck, template }: SwarmService,
  replica: Replica,
  tasks: readonly Task[],
  images: ReadonlyMap<string, string>,
): Container {
  const { id = '', slot = 0, node = '', state = 'pending', error = '', at = '' }: Partial<Task> = replica ?? {}
  const isRunning = state === 'running'
  const failed = lastRun(tasks, { slot, node, template }).filter(hasFailed)
  return {
    id,
    name: [`${service}.${slot || '*'}`, node].filter(Boolean).join('@'),
    service,
    image: images.get(image) ?? image,
    configHash: hash,
    ...{ configFiles: '', workingFolder: '' },
    state: STATES[state] ?? 'created',
    exitCode: exitCodeOf({ error }) ?? (state === 'failed' ? 1 : 0),
    oomKilled: false,
    health: !hasHealthcheck ? 'none' : isRunning ? 'healthy' : state === 'starting' ? 'starting' : 'none',
    ...{ healthTime: 0, failingTime: 0, healthOutput: '', failedProbes: 0, mostProbes: 0 },
    restarts: failed.length,
    startedAt: isRunning ? at : '',
    finishedAt: '',
    error,
    ...{ shares: [], anonymous: [], networks: {} },
  }
}

/** @returns the tasks of a replica since its definition last changed: what an update ended before is no crash */
function lastRun(tasks: readonly Task[], { slot, node, template }: Pick<Task, 'slot' | 'node' | 'template'>): Task[] {
  const own = newestFirst(tasks.filter((one) => one.slot === slot && (slot > 0 || one.node === node)))
  const other = own.findIndex((one) => one.template !== template)
  return other < 0 ? own : own.slice(0, other)
}

/** The states of a task that has, or had, a container. */
const STATES: Readonly<Record<string, Container['state']>> = {
  starting: 'running',
  running: 'running',
  complete: 'exited',
  failed: 'exited',
  rejected: 'exited',
  shutdown: 'exited',
  orphaned: 'dead',
}
