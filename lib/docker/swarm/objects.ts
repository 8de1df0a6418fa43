import { type Command, type Docker, listLabels, type Operand, verb } from '../client.ts'
import { ofStack } from './labels.ts'

// Configs and secrets of a Swarm: every manager has them.

export const removeConfigs = verb(['config', 'rm'])
const removeSecrets = verb(['secret', 'rm'])
const create = verb(['config', 'create'], { unless: /already exists/i })

/** Creates a config that only has labels. It is no error if it exists. */
export async function createConfig(docker: Docker, [name = '']: readonly Operand[], options: Command) {
  return create(docker, [name, '-'], { ...options, input: '-' })
}

/** @returns for each config with a label its name, then the values of `labels` (as listVolumes does). @throws failed (5), unreachable (8) */
export function listConfigs(docker: Docker, label: string, labels: readonly string[]): Promise<string[][]> {
  return listLabels(docker, 'config', label, labels)
}

const KINDS = { configs: { word: 'config', remove: removeConfigs }, secrets: { word: 'secret', remove: removeSecrets } }

/** @returns the names of the configs, or secrets, of a stack. @throws failed (5), unreachable (8) */
export async function listObjects(docker: Docker, stack: string, kind: keyof typeof KINDS): Promise<string[]> {
  const args = [KINDS[kind].word, 'ls', '--filter', `label=${ofStack(stack)}`, '--format', '{{.Name}}']
  const { stdout } = await docker.run(`list ${kind}`, args, { readOnly: true })
  return stdout.split('\n').filter(Boolean)
}

/** Removes configs, or secrets, one by one: Swarm refuses those that a service uses. */
export async function removeObjects(docker: Docker, names: readonly string[], kind: keyof typeof KINDS): Promise<void> {
  for (const name of names) await KINDS[kind].remove(docker, [name])
}
