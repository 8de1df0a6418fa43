import { compare } from '../util/format.ts'
import { Problems } from '../util/problems.ts'
import { renderBinds } from './bind-mounts.ts'
import { renderFiles } from './file-resources.ts'
import type { ComposeModel, Service } from './model.ts'
import { refuseUnkept } from './released/check.ts'
import { settleVariables } from './released/variables.ts'
import type { Rendering, RenderOptions } from './rendering.ts'

/** @returns the release's own model of an application. @throws config (3) with every bind mount or file that cannot be mounted */
export function render(model: ComposeModel, options: RenderOptions): Rendering {
  const problems = new Problems()
  const rendering = renderAll(model, options, problems)
  problems.refuse()
  return rendering
}

/** @param problems collects an error for everything that cannot be mounted, and is left out of the rendering */
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
    content: [...binds.content, ...configs.content, ...secrets.content].toSorted((a, b) => compare(a.name, b.name)),
    data: binds.data,
    warnings: binds.warnings,
    owned: [...configs.owned, ...secrets.owned],
  }
}

/** @returns the model without the keys that make Compose build, or act on other services. */
export function withoutBuildAndOrder(model: ComposeModel): ComposeModel {
  const services = Object.entries(model.services).map(([name, service]) => [name, reduce(service)] as const)
  return { ...model, services: Object.fromEntries(services) }
}

/** `build` is not part of the hash, but Compose refuses a service that has neither it nor an image. */
export function withoutOrder(model: ComposeModel): ComposeModel {
  const reduced = withoutBuildAndOrder(model)
  const services = Object.entries(reduced.services).map(([name, service]) => {
    const build = model.services[name]?.build
    return [name, service.image === undefined && build ? { ...service, build } : service] as const
  })
  return { ...reduced, services: Object.fromEntries(services) }
}

/** Some Compose versions hash depends_on, and Compose would act on the other services. Stagecraft does order and gates itself. */
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
