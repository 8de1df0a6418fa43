import type { Docker } from '../client.ts'
import type { Container } from '../inspect.ts'
import { listServices, type SwarmService } from './services.ts'
import { exitCodeOf, hasFailed, isLive, newestFirst, openTasks, type Task } from './tasks.ts'

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
  return services.flatMap((service) => {
    const own = tasks.filter((task) => task.service === service.id)
    return replicasOf(service, own).map((task) => asContainer(service, task, own, images))
  })
}

/** @returns the task of each replica: the live one, else the newest; undefined: Swarm has planned none */
function replicasOf({ mode, wanted, iteration }: SwarmService, tasks: readonly Task[]): (Task | undefined)[] {
  const sorted = newestFirst(tasks)
  if (mode === 'job') return sorted.filter((task) => task.iteration === iteration).slice(0, wanted)
  const live = sorted.filter(isLive)
  if (wanted === undefined) return live
  const slots = Map.groupBy(live, ({ slot }) => slot)
  const found = [...slots.entries()].toSorted(([a], [b]) => a - b).map(([, own]) => own[0])
  return Array.from({ length: wanted }, (_, at) => found[at])
}

function asContainer(
  { service, hash, image, hasHealthcheck, template }: SwarmService,
  task: Task | undefined,
  tasks: readonly Task[],
  images: ReadonlyMap<string, string>,
): Container {
  const { id = '', slot = 0, node = '', state = 'pending', error = '', at = '' } = task ?? {}
  const isRunning = state === 'running'
  const same = tasks.filter((one) => one.slot === slot && one.template === template)
  const failed = same.filter(hasFailed)
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
