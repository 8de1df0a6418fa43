import { objectNames } from '../../compose/stack/convert.ts'
import type { Docker } from '../../docker/client.ts'
import { listObjects, removeObjects } from '../../docker/swarm/objects.ts'
import { ownBundles } from '../../record/bundle/own.ts'
import { type Bundle, readModel } from '../../record/bundle.ts'
import type { State } from '../../record/releases.ts'

/** Removes configs and secrets of a stack that no kept release names: each has the hash of its content in its name. */
export async function pruneObjects(
  docker: Docker,
  state: Pick<State, 'file'>,
  { environment, project }: Pick<Bundle, 'environment' | 'project'>,
): Promise<void> {
  const models = ownBundles(state.file, environment).flatMap(({ id }) => readModel(state.file, id) ?? [])
  for (const kind of ['configs', 'secrets'] as const) {
    const kept = new Set(models.flatMap((model) => objectNames(model, kind)))
    const loose = (await listObjects(docker, project, kind)).filter((name) => !kept.has(name))
    await removeObjects(docker, loose, kind)
  }
}
