import { actFlags } from '../../compose/load.ts'
import type { ComposeModel } from '../../compose/model.ts'
import { withoutShell } from '../../compose/released/variables.ts'
import { replicasOf } from '../../compose/topology.ts'
import type { Docker } from '../client.ts'

/** A model in a file, and where Compose acts on it. */
export interface ModelFile {
  readonly model: ComposeModel
  readonly modelFile: string
  /** the project folder */
  readonly directory: string
  /** the releases' folder on the first host, for the containers' labels; undefined: the project folder */
  readonly kept?: string | undefined
}

/** @returns the folders of a model file. The first host has the releases */
export function stagePlace({
  directory,
  hosts,
}: {
  readonly directory: string
  readonly hosts: readonly { readonly folder: string | undefined }[]
}): Pick<ModelFile, 'directory' | 'kept'> {
  return { directory, kept: hosts[0]?.folder }
}

/** A service for Compose to bring up, with its number of containers. */
export interface Replicas {
  readonly service: string
  readonly replicas: number
}

/**
 * What becomes of existing containers: they are recreated, and their anonymous volumes stay or are new too; or they stay, and
 * missing ones are added and started (`keep`) or only created (`alongside`).
 */
export type UpMode = 'recreate' | 'renew-volumes' | 'keep' | 'alongside'

/** `docker compose up` of only these services, without values of today's shell. @throws failed (5), unreachable (8) */
export async function composeUp(
  docker: Docker,
  what: string,
  stage: ModelFile,
  wanted: readonly Replicas[],
  mode: UpMode,
): Promise<void> {
  const options = { cwd: stage.directory, env: withoutShell(stage.model, process.env) }
  await docker.run(what, upArgs(stage, wanted, mode), options)
}

/** Never their dependencies, never a pull, never `-y` (with `-y` Compose deletes the data of a volume whose definition changed). */
export function upArgs(stage: ModelFile, wanted: readonly Replicas[], mode: UpMode): string[] {
  const scales = wanted.filter(({ service, replicas }) => replicasOf(stage.model.services[service] ?? {}) !== replicas)
  return [
    'compose',
    ...actFlags(stage.model.name, stage.kept ?? stage.directory),
    ...['-f', stage.modelFile, 'up', mode === 'alongside' ? '--no-start' : '-d'],
    ...['--no-deps', '--no-build', '--pull', 'never'],
    mode === 'recreate' || mode === 'renew-volumes' ? '--force-recreate' : '--no-recreate',
    ...(mode === 'renew-volumes' ? ['--renew-anon-volumes'] : []),
    ...scales.flatMap(({ service, replicas }) => ['--scale', `${service}=${replicas}`]),
    '--', // a service may be called --help
    ...wanted.map(({ service }) => service),
  ]
}
