import type { ProxyConfig } from '../../../config/edge/proxy.ts'
import type { ServiceConfig } from '../../../config/parse.ts'
import type { ModelFile } from '../../../docker/compose/up.ts'
import { listContainers } from '../../../docker/containers.ts'
import type { Journal } from '../../../record/journal.ts'
import { errorText, StagecraftError } from '../../../util/errors.ts'
import { table } from '../../../util/format.ts'
import type { StepContext } from '../steps.ts'

/** A rollout before its commit point, and what it takes to undo it. Its settings are those of the previous release. */
export interface UndoRequest extends StepContext {
  /** the Compose project's name */
  readonly name: string
  readonly journal: Journal
  /** the file of the release's own model: a container made from it is new */
  readonly modelFile: string
  /** the model of the previous release; undefined: there is none, or nothing is known of it */
  readonly served: ModelFile | undefined
  /** of the live release's services: they say at which path each one answers */
  readonly settings: Readonly<Record<string, ServiceConfig>>
  /** of the environment, used if the proxy is gone; undefined: the default */
  readonly proxy: ProxyConfig | null | undefined
}

/** What an undo did. */
export interface Undone {
  /** number of new containers that were removed: they were never live */
  readonly removed: number
  /** services that were restored */
  readonly restored: readonly string[]
}

/** @returns the error not-restored (6) for an undo that failed, with a table of what is running */
export async function notRestored(
  { docker, name: project }: Pick<UndoRequest, 'docker' | 'name'>,
  cause: unknown,
  error: unknown,
): Promise<StagecraftError> {
  const rows = await listContainers(docker, project).then(
    (containers) =>
      containers.map(({ service, name, state, health, image }) => [service, name, state, health, image.slice(7, 19)]),
    () => [['the engine does not answer']],
  )
  const running = [['service', 'container', 'state', 'health', 'image'], ...rows]
  return cannotRestore(cause, error, { running, hint: ', or start what is missing by hand' })
}

/** @param running a table of what is running @param hint what else can be done than to deploy again */
export function cannotRestore(
  cause: unknown,
  error: unknown,
  { running, hint = '' }: { readonly running: readonly (readonly string[])[]; readonly hint?: string },
): StagecraftError {
  const rows = table(running).map((line) => `  ${line}`)
  return new StagecraftError(
    'not-restored',
    'Cannot restore the previous release: the rollout failed, and undoing it failed too',
    {
      cause: error,
      detail: [errorText(cause), '', errorText(error), '', 'Running now:', ...rows].join('\n'),
      hint: `Fix what the second error names, then deploy again${hint}.`,
    },
  )
}
