import { isReady } from '../../docker/swarm/nodes.ts'
import { plainLine, table } from '../../util/format.ts'
import type { ServiceStatus } from '../services.ts'
import { type NodeStatus, nodeProblem, readyCount } from './nodes.ts'

/** On a Swarm a container is a task, whose name ends with its node. @returns on which node each task runs */
export function taskLines(services: readonly ServiceStatus[]): string[] {
  const rows = services.flatMap(({ service, containers }) => {
    const tasks = containers.map(({ name }) => name.replace(`${service}.`, '').replace('@', ' on '))
    // A global service has one on each node: they have no numbers.
    const shown = tasks.map((task) => task.replace(/^\* /, ''))
    return containers.some(({ name }) => name.includes('@')) ? [[service, shown.join(', ')]] : []
  })
  return rows.length === 0 ? [] : table([['SERVICE', 'TASKS'], ...rows]).map(plainLine)
}

/** @returns how many nodes are ready, and what is unusual about the others */
export function nodeLines(nodes: readonly NodeStatus[]): string[] {
  if (nodes.length === 0) return []
  const problems = nodes.flatMap((node) => {
    const problem = nodeProblem(node)
    const means = MEANS[node.availability]
    if (problem === undefined) return []
    return [isReady(node) && means ? `${problem}: ${means}` : problem]
  })
  return [plainLine(`nodes: ${[readyCount(nodes), ...problems].join('; ')}`)]
}

const MEANS: Readonly<Record<string, string>> = { drain: 'no task runs there', pause: 'it gets no new task' }
