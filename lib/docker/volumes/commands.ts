import { type Docker, listLabels, verb } from '../client.ts'

/**
 * @param label that the volumes have
 * @param labels whose values are wanted; empty: the volume does not have one
 * @returns for each volume its name, then those values
 * @throws failed (5), unreachable (8)
 */
export function listVolumes(docker: Docker, label: string, labels: readonly string[]): Promise<string[][]> {
  return listLabels(docker, 'volume', label, labels)
}

/** @returns whether the engine has a volume. @throws failed (5), unreachable (8) */
export async function hasVolume(docker: Docker, volume: string): Promise<boolean> {
  return (await inspect(docker, [volume], { what: `inspect volume ${volume}` })).code === 0
}

/** The manager of a Swarm also looks among the Swarm's volumes, and has other words. */
const inspect = verb(['volume', 'inspect'], { readOnly: true, unless: /no such volume|volume \S+ not found/i })
export const createVolume = verb(['volume', 'create'])
/** The engine refuses if a container uses one. */
export const removeVolumes = verb(['volume', 'rm'])
