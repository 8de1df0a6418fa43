import type { EngineName } from '../../config/engine.ts'
import type { Docker } from '../../docker/client.ts'
import { listContainers, ofProject } from '../../docker/containers.ts'
import type { ReleasedImage } from '../../docker/images.ts'
import type { Container } from '../../docker/inspect.ts'
import { listReplicas } from '../../docker/swarm/replicas.ts'
import { ofStack } from '../../docker/swarm/stack.ts'

/** Whose containers: a Compose project on one engine, or a stack of a Swarm. */
interface Whose {
  readonly engine?: EngineName
}

/**
 * @param images of the live release, which says what the names of images mean @returns what runs of a project, whatever places it
 * @throws failed (5), unreachable (8)
 */
export function listRunning(
  { engine }: Whose,
  docker: Docker,
  project: string,
  images: Readonly<Record<string, ReleasedImage>> = {},
): Promise<Container[]> {
  if (engine !== 'swarm') return listContainers(docker, project)
  const ids = Object.values(images).map(({ reference, id }) => [reference, id] as const)
  return listReplicas(docker, project, new Map(ids))
}

/** @returns the label, with its value, that networks of a project have */
export function labelOf({ engine }: Whose, project: string): string {
  return engine === 'swarm' ? ofStack(project) : ofProject(project)
}
