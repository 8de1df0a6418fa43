import { modelText } from '../../compose/load.ts'
import type { Stack } from '../../compose/stack/convert.ts'
import { errorText, StagecraftError } from '../../util/errors.ts'
import { type Docker, verb } from '../client.ts'
import { listObjects } from './objects.ts'

export { ofStack } from './labels.ts'

/** A label of a service of a stack that does one thing and ends: it is none of the release's. */
export const ONE_OFF = 'stagecraft.one-off'

/**
 * Creates or updates the services in a file, and what they use. Configs and secrets that Swarm has are used as they are: their names
 * have the hash of their content, which this machine may not have. Swarm begins to replace tasks: `convergence.ts` says when that has
 * ended, and how. Services of the stack that are not in the file stay as they are.
 * @throws failed (5), unreachable (8)
 */
export async function deployStack(docker: Docker, stack: string, file: Stack, what: string): Promise<void> {
  // Images are named by what never moves: nothing is to be resolved.
  const flags = ['--resolve-image', 'never', '--with-registry-auth']
  const known = await Promise.all(
    (['configs', 'secrets'] as const).map((kind) => useExisting(docker, stack, file, kind)),
  )
  const input = modelText(Object.assign({ ...file }, ...known))
  const args = ['stack', 'deploy', '--compose-file', '-', ...flags, stack]
  await docker.run(what, args, { input }).catch((error: unknown) => {
    throw lostContent(what, error) ?? error
  })
}

/** What stands for content that the Swarm should have is empty, and nobody may read it. */
const LOST = /failed to create (config|secret) (\S+): .*larger than 0|content\/[0-9a-f]{32}: permission denied/

function lostContent(what: string, error: unknown): StagecraftError | undefined {
  const [found, kind = 'a config or secret', name = ''] = LOST.exec(errorText(error)) ?? []
  if (found === undefined) return undefined
  const lost = `${kind} ${name}`.trim()
  return new StagecraftError(
    'failed',
    `Cannot ${what}: the Swarm does not have ${lost} any more, nor does this machine`,
    {
      hint: 'Somebody has removed it. Deploy that version again from its sources.',
    },
  )
}

async function useExisting(docker: Docker, stack: string, file: Stack, kind: 'configs' | 'secrets'): Promise<Stack> {
  const all: Readonly<Record<string, { readonly name?: string }>> = Object(file[kind])
  if (Object.keys(all).length === 0) return {}
  const there = new Set(await listObjects(docker, stack, kind))
  const used = Object.entries(all).map(([key, one]) => {
    const { name = '' } = one
    return [key, there.has(name) ? { external: true, name } : one] as const
  })
  return { [kind]: Object.fromEntries(used) }
}

/**
 * Sets numbers of tasks, by the service's name in the Compose file. Swarm begins to start, or stop, tasks.
 * @throws failed (5), unreachable (8)
 */
export async function scaleServices(
  docker: Docker,
  stack: string,
  counts: Readonly<Record<string, number>>,
  what: string,
): Promise<void> {
  const words = Object.entries(counts).map(([service, count]) => `${stack}_${service}=${count}`)
  if (words.length > 0) await docker.run(what, ['service', 'scale', '--detach', ...words])
}

/** Swarm replaces all tasks of a service by others of the same definition, as it would for a change. */
export const restartTasks = verb(['service', 'update'], { flags: { force: true, detach: true, quiet: true } })

const GONE = /not found|no such/i

/** It is no error if it is gone. Swarm stops the tasks. */
export const removeServices = verb(['service', 'rm'], { unless: GONE })
/** Removes all of a stack: services, networks, configs and secrets. Swarm stops the tasks. */
export const removeStack = verb(['stack', 'rm'], { unless: /nothing found in stack/i })
export const serviceLogs = verb(['service', 'logs'])

/** @returns the names of the nodes that Swarm takes for dead. @throws failed (5), unreachable (8) */
export async function listDownNodes(docker: Docker): Promise<Set<string>> {
  const args = ['node', 'ls', '--format', '{{.Hostname}}\t{{.Status}}']
  const { stdout } = await docker.run('list nodes', args, { readOnly: true })
  const rows = stdout.split('\n').map((line) => line.split('\t'))
  return new Set(rows.flatMap(([name = '', status]) => (status === 'Down' ? [name] : [])))
}

/** What an engine says about the Swarm that it is in. */
export interface SwarmPlace {
  readonly isManager: boolean
  /** it manages its Swarm: there is a majority of managers */
  readonly hasLeader: boolean
  /** why it does not; empty: it does */
  readonly error: string
  /** of the cluster; empty: not a manager */
  readonly cluster: string
  readonly node: string
  readonly nodes: number
}

const FIELDS = ['ControlAvailable', 'NodeID', 'Nodes', 'Error'].map((field) => `{{.Swarm.${field}}}`)
const ASK_SWARM = ['info', '--format', [...FIELDS, '{{with .Swarm.Cluster}}{{.ID}}{{end}}'].join('\t')]

/** @throws failed (5), unreachable (8) */
export async function askSwarm(docker: Docker): Promise<SwarmPlace> {
  const { stdout } = await docker.run('ask the engine about its Swarm', ASK_SWARM, { readOnly: true })
  return parseSwarm(stdout)
}

export function parseSwarm(stdout: string): SwarmPlace {
  const [manages = '', node = '', nodes = '', error = '', cluster = ''] = stdout.trimEnd().split('\t')
  return { isManager: manages === 'true', hasLeader: cluster !== '', error, cluster, node, nodes: Number(nodes) || 0 }
}
