import { compare } from '../../util/format.ts'
import { type Docker, type SwarmNode, verb } from '../client.ts'
import { parseArray, parseWhatThereIs } from '../inspect.ts'

/** A task that runs: a container on a node. */
export interface RunningTask {
  /** `web.2`; of a global service `web.*` */
  readonly name: string
  readonly slot: number
  /** the id of its container, for the engine of its node */
  readonly container: string
  readonly node: SwarmNode
}

const ps = verb(['service', 'ps'], { readOnly: true, what: 'list tasks', unless: /no such service|not found/i })
const inspect = verb(['inspect', '--type', 'task'], { readOnly: true })

/** @returns the tasks of a service that run now, by their slots; none if there is no such service. @throws failed (5), unreachable (8) */
export async function listRunningTasks(docker: Docker, stack: string, service: string): Promise<RunningTask[]> {
  const flags = { 'no-trunc': true, filter: 'desired-state=running', format: '{{.ID}}\t{{.Node}}' }
  const { code, stdout } = await ps(docker, [`${stack}_${service}`], { flags })
  if (code !== 0) return []
  const names = new Map(
    stdout.split('\n').flatMap((line) => {
      const [id, node = ''] = line.split('\t')
      return id ? [[id, node] as const] : []
    }),
  )
  const result = await inspect(docker, [...names.keys()])
  const found = result.code === 0 ? parseArray(result.stdout || '[]') : parseWhatThereIs(result.stdout)
  const tasks = found.flatMap((json) => {
    const status = json.at('Status')
    const slot = json.at('Slot').number()
    const container = status.at('ContainerStatus', 'ContainerID').string()
    const node = { id: json.at('NodeID').string(), name: names.get(json.at('ID').string()) ?? '' }
    const name = `${service}.${slot || '*'}`
    return status.at('State').string() === 'running' && container !== '' ? [{ name, slot, container, node }] : []
  })
  return tasks.toSorted((a, b) => a.slot - b.slot || compare(a.node.name, b.node.name))
}
