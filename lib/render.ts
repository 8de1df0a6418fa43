import { renderBinds } from './bind-mounts.ts'
import type { ComposeModel, Service } from './compose.ts'
import type { ContentStore, Owner } from './content.ts'
import { renderFiles } from './file-resources.ts'
import { Problems } from './problems.ts'
import { refuseUnkept } from './released-model.ts'
import { settleVariables } from './released-variables.ts'

/** A file or folder that a release keeps by hash, and the name people know it by. */
export interface ContentFile {
  /** `./nginx.conf`, `config app`, `secret token` */
  readonly name: string
  readonly hash: string
  /** the file that a config or secret is a copy of; of a bind mount the name says it */
  readonly from?: string
}

/** A config or secret made from text, with the owner that a service asks for. */
export interface OwnedFile extends Owner {
  readonly hash: string
  readonly text: string
}

/** The release's own model (design 5): nothing to build, no order, content by hash. Images come later. */
export interface Rendering {
  readonly model: ComposeModel
  readonly content: readonly ContentFile[]
  /** paths that stay where they are and are mounted from there, each with the reason */
  readonly data: readonly Data[]
  /** what people should know of paths that are not there */
  readonly warnings?: readonly string[]
  /** files that the engine is to make, since only it may give them away */
  readonly owned?: readonly OwnedFile[]
}

export interface Data {
  readonly path: string
  readonly why: string
  /** the folder on the host that has it */
  readonly at?: string
  /** it is not there: the engine makes a folder, root's, of mode 0755 */
  readonly creates?: boolean
  /** of what is made: absolute */
  readonly source?: string
}

export interface RenderOptions {
  /** the project folder, absolute */
  readonly directory: string
  readonly store: ContentStore
  /** the folder of a host that has the data of paths in the project folder; undefined: this machine has them, as they are */
  readonly dataAt?: string | undefined
  /** the engine is on another machine, which has all paths outside of the project folder */
  readonly elsewhere?: boolean | undefined
  /** paths that are never content, as stagecraft.yml lists them, absolute */
  readonly data: readonly string[]
  /** values of the `environment:` configs and secrets, by variable */
  readonly variables: Readonly<Record<string, string>>
}

/** @throws config (3), all causes in one, for a bind mount or file that cannot be mounted */
export function render(model: ComposeModel, options: RenderOptions): Rendering {
  const problems = new Problems()
  const rendering = renderAll(model, options, problems)
  problems.refuse()
  return rendering
}

/** @param problems is told of all that cannot be mounted, which the rendering is without */
export function renderAll(model: ComposeModel, options: RenderOptions, problems: Problems): Rendering {
  const binds = renderBinds(model, options, problems)
  const configs = renderFiles(model, 'configs', options, problems)
  const secrets = renderFiles(model, 'secrets', options, problems)
  const services: Record<string, Service> = {}
  for (const [name, service] of Object.entries(model.services))
    services[name] = {
      ...reduce(service),
      ...(service.volumes ? { volumes: service.volumes.map((mount) => binds.mounts.get(mount) ?? mount) } : {}),
      ...(service.configs ? { configs: service.configs.map(configs.rename) } : {}),
      ...(service.secrets ? { secrets: service.secrets.map(secrets.rename) } : {}),
    }
  const rendered: Record<string, unknown> = { name: model.name, services }
  if (model.networks) rendered['networks'] = model.networks
  if (model.volumes) rendered['volumes'] = model.volumes
  if (model.configs) rendered['configs'] = configs.resources
  if (model.secrets) rendered['secrets'] = secrets.resources
  const release = rendered as unknown as ComposeModel // built from the parts of one, key by key
  problems.try(() => refuseUnkept(release))
  return {
    model: release,
    content: [...binds.content, ...configs.content, ...secrets.content].toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    data: binds.data,
    warnings: binds.warnings,
    owned: [...configs.owned, ...secrets.owned],
  }
}

/** @returns the model as it is, without what makes Compose build or act on other services. */
export function withoutBuildAndOrder(model: ComposeModel): ComposeModel {
  const services = Object.entries(model.services).map(([name, service]) => [name, reduce(service)] as const)
  return { ...model, services: Object.fromEntries(services) }
}

/** Compose hashes depends_on in some versions, and would act on the others; order and gates are ours (facts). */
function reduce(service: Service): Service {
  const {
    build: _build,
    depends_on: _needs,
    profiles: _profiles,
    develop: _develop,
    pull_policy: _policy,
    ...rest
  } = service
  return settleVariables(Object.fromEntries(Object.entries(rest).filter(([key]) => !key.startsWith('x-'))))
}
