import { plainLine, table } from '../../util/format.ts'
import type { ServiceStatus } from '../services.ts'
import type { NodeStatus } from './nodes.ts'

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
  const ready = nodes.filter(({ state }) => state === 'ready').length
  const count = ready === nodes.length ? `${ready} ready` : `${ready} of ${nodes.length} ready`
  const unusual = nodes.flatMap(({ name, state, availability }) => {
    if (state !== 'ready') return [`${name} is ${state}`]
    if (availability === 'drain') return [`${name} is drained: no task runs there`]
    return availability === 'pause' ? [`${name} is paused: it gets no new task`] : []
  })
  return [plainLine(`nodes: ${[count, ...unusual].join('; ')}`)]
}
