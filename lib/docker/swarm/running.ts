import { compare } from '../../util/format.ts'
import type { Docker, NodeName } from '../client.ts'
import { inspectTasks, tasksOfService } from './tasks.ts'

/** A task that runs: a container on a node. */
export interface RunningTask {
  /** `web.2`; of a global service `web.*` */
  readonly name: string
  readonly slot: number
  /** the id of its container, for the engine of its node */
  readonly container: string
  readonly node: NodeName
}

/** @returns the tasks of a service that run now, by their slots; none if there is no such service. @throws failed (5), unreachable (8) */
export async function listRunningTasks(docker: Docker, stack: string, service: string): Promise<RunningTask[]> {
  const nodes = await tasksOfService(docker, `${stack}_${service}`, { filter: 'desired-state=running' })
  const found = await inspectTasks(docker, [...nodes.keys()])
  const tasks = found.flatMap((json) => {
    const status = json.at('Status')
    const slot = json.at('Slot').number()
    const container = status.at('ContainerStatus', 'ContainerID').string()
    const node = { id: json.at('NodeID').string(), name: nodes.get(json.at('ID').string()) ?? '' }
    const name = `${service}.${slot || '*'}`
    return status.at('State').string() === 'running' && container !== '' ? [{ name, slot, container, node }] : []
  })
  return tasks.toSorted((a, b) => a.slot - b.slot || compare(a.node.name, b.node.name))
}
