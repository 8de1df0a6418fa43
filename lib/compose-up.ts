import { actFlags, type ComposeModel } from './compose.ts'
import type { DockerCommand } from './docker.ts'
import { withoutShell } from './released-variables.ts'
import type { Need } from './services.ts'
import { replicasOf } from './services.ts'

/** A model in a file, and how to act on it. */
export interface Stage {
  readonly model: ComposeModel
  readonly modelFile: string
  /** the project folder */
  readonly directory: string
  /** the folder of the releases on the first host, for the containers' labels; undefined: the project folder */
  readonly kept?: string | undefined
}

/** @returns where a stage is of. The first host has the releases */
export function stagePlace({
  directory,
  hosts,
}: {
  readonly directory: string
  readonly hosts: readonly { readonly folder: string | undefined }[]
}): Pick<Stage, 'directory' | 'kept'> {
  return { directory, kept: hosts[0]?.folder }
}

/** One service that Compose is to bring up, with how many containers. */
export interface Wanted {
  readonly service: string
  readonly replicas: number
}

/**
 * `docker compose up` of just these services: never their dependencies, never a pull, never `-y` (with it Compose deletes
 * the data of a volume whose definition changed).
 * @param how make their containers anew; keep those there are; or keep them and make more beside them, without starting any
 */
export function upArgs(stage: Stage, wanted: readonly Wanted[], how: 'anew' | 'keep' | 'beside'): string[] {
  const scales = wanted.filter(({ service, replicas }) => replicasOf(stage.model.services[service] ?? {}) !== replicas)
  return [
    'compose',
    ...actFlags(stage.model.name, stage.kept ?? stage.directory),
    ...['-f', stage.modelFile, 'up', how === 'beside' ? '--no-start' : '-d'],
    ...['--no-deps', '--no-build', '--pull', 'never'],
    how === 'anew' ? '--force-recreate' : '--no-recreate',
    ...scales.flatMap(({ service, replicas }) => ['--scale', `${service}=${replicas}`]),
    '--', // a service may be called --help
    ...wanted.map(({ service }) => service),
  ]
}

/** @returns how to run what acts on a model: where it was made, and with nothing of today's shell in it */
export function actOptions({ model, directory }: Stage): DockerCommand {
  return { cwd: directory, env: withoutShell(model, process.env) }
}

/** Services that can start together, and those of them that must be ready before the next wave. */
export interface Wave<T> {
  readonly members: readonly T[]
  readonly awaited: ReadonlySet<string>
}

/**
 * Cuts services into waves: each starts after the ones it needs; `service_healthy` and
 * `service_completed_successfully` are waited for, `service_started` is not.
 */
export function toWaves<T extends { readonly service: string }>(
  members: readonly T[],
  needs: Readonly<Record<string, readonly Need[]>>,
): Wave<T>[] {
  const waves: Wave<T>[] = []
  let rest = [...members]
  while (rest.length > 0) {
    const open = new Set(rest.map(({ service }) => service))
    const ready = rest.filter(({ service }) => !(needs[service] ?? []).some((need) => open.has(need.service)))
    const wave = ready.length > 0 ? ready : rest // Compose refuses cycles; never loop for ever on one
    rest = rest.filter((member) => !wave.includes(member))
    const later = rest.flatMap(({ service }) => needs[service] ?? [])
    const awaited = later.filter(({ condition }) => condition !== 'service_started').map(({ service }) => service)
    waves.push({ members: wave, awaited: new Set(awaited) })
  }
  return waves
}
