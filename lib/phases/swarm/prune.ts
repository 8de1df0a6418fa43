import { objectNames } from '../../compose/stack/convert.ts'
import type { Docker } from '../../docker/client.ts'
import { listObjects, removeObjects } from '../../docker/swarm/objects.ts'
import { ownBundles } from '../../record/bundle/own.ts'
import { type Bundle, readModel } from '../../record/bundle.ts'
import type { State } from '../../record/releases.ts'

/** Names of configs and secrets of a stack. */
export interface Objects {
  readonly configs: readonly string[]
  readonly secrets: readonly string[]
}

type Own = Pick<Bundle, 'environment' | 'project'>

/**
 * @param gone releases whose bundles are removed too
 * @returns the configs and secrets of a stack that no kept release names: each has the hash of its content in its name
 * @throws failed (5), unreachable (8)
 */
export async function looseObjects(
  docker: Docker,
  state: Pick<State, 'file'>,
  { environment, project }: Own,
  gone: readonly string[] = [],
): Promise<Objects> {
  const kept = ownBundles(state.file, environment).filter(({ id }) => !gone.includes(id))
  const models = kept.flatMap(({ id }) => readModel(state.file, id) ?? [])
  const looseOf = async (kind: keyof Objects) => {
    const named = new Set(models.flatMap((model) => objectNames(model, kind)))
    return (await listObjects(docker, project, kind)).filter((name) => !named.has(name)).toSorted()
  }
  return { configs: await looseOf('configs'), secrets: await looseOf('secrets') }
}

/** Removes them. @returns what was removed. @throws failed (5), unreachable (8) */
export async function pruneObjects(docker: Docker, state: Pick<State, 'file'>, own: Own): Promise<Objects> {
  const loose = await looseObjects(docker, state, own)
  for (const kind of ['configs', 'secrets'] as const) await removeObjects(docker, loose[kind], kind)
  return loose
}
