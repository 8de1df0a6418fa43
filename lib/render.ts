import { existsSync, realpathSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { ComposeModel, FileMount, FileResource, Mount, Service } from './compose.ts'
import { type ContentStore, isInside, storePath, storeText } from './content.ts'
import { StagecraftError } from './errors.ts'
import { refuseUnkept } from './released-model.ts'
import { settleVariables } from './released-variables.ts'

/** A file or folder that a release keeps by hash, and the name people know it by. */
export interface ContentFile {
  /** `./nginx.conf`, `config app`, `secret token` */
  readonly name: string
  readonly hash: string
}

/** The release's own model (design 5): nothing to build, no order, content by hash. Images come later. */
export interface Rendering {
  readonly model: ComposeModel
  readonly content: readonly ContentFile[]
  /** paths that stay where they are and are mounted from there, each with the reason */
  readonly data: readonly Data[]
}

export interface Data {
  readonly path: string
  readonly why: string
  /** the folder on the host that has it */
  readonly at?: string
}

export interface RenderOptions {
  /** the project folder, absolute */
  readonly directory: string
  readonly store: ContentStore
  /** the folder of a host that has the data of paths in the project folder; undefined: this machine has them, as they are */
  readonly dataAt?: string | undefined
  /** paths that are never content, as stagecraft.yml lists them, absolute */
  readonly data: readonly string[]
  /** values of the `environment:` configs and secrets, by variable */
  readonly variables: Readonly<Record<string, string>>
}

/** @throws config (3) for a bind mount or file that does not exist, or a link that leaves its folder */
export function render(model: ComposeModel, options: RenderOptions): Rendering {
  const content = new Map<string, ContentFile>()
  const data = new Map<string, Data>()
  const binds = renderBinds(model, options, content, data)
  const configs = renderFiles('config', model.configs ?? {}, modesOf(model, 'configs'), options, content)
  const secrets = renderFiles('secret', model.secrets ?? {}, modesOf(model, 'secrets'), options, content)
  const services: Record<string, Service> = {}
  for (const [name, service] of Object.entries(model.services))
    services[name] = {
      ...reduce(service),
      ...(service.volumes ? { volumes: service.volumes.map((mount) => binds.get(mount) ?? mount) } : {}),
      ...(service.configs ? { configs: service.configs.map((file) => renameFile(file, configs.names, '/')) } : {}),
      ...(service.secrets
        ? { secrets: service.secrets.map((file) => renameFile(file, secrets.names, '/run/secrets/')) }
        : {}),
    }
  const rendered: Record<string, unknown> = { name: model.name, services }
  if (model.networks) rendered['networks'] = model.networks
  if (model.volumes) rendered['volumes'] = model.volumes
  if (model.configs) rendered['configs'] = configs.resources
  if (model.secrets) rendered['secrets'] = secrets.resources
  const release = rendered as unknown as ComposeModel // built from the parts of one, key by key
  refuseUnkept(release)
  return {
    model: release,
    content: [...content.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    data: [...data.values()],
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

function renderBinds(
  model: ComposeModel,
  options: RenderOptions,
  content: Map<string, ContentFile>,
  data: Map<string, Data>,
): Map<Mount, Mount> {
  const mounts = Object.entries(model.services).flatMap(([service, { volumes }]) =>
    (volumes ?? []).filter((mount) => mount.type === 'bind').map((mount) => ({ service, mount })),
  )
  const writable = mounts.filter(({ mount }) => mount.read_only !== true).map(({ mount }) => mount.source ?? '')
  const rendered = new Map<Mount, Mount>()
  for (const { service, mount } of mounts) {
    const source = mount.source ?? ''
    const known = whyDataByName(source, writable, options)
    if (!existsSync(source) && (known === undefined || options.dataAt === undefined))
      throw missingSource(service, source, options.directory)
    const why = known ?? whyData(source, options)
    const stored = why === undefined ? storePath(options.store, source) : { unfit: why }
    const bind = { ...mount.bind, create_host_path: false }
    const name = displayPath(options.directory, source)
    const at = 'unfit' in stored ? dataSource(source, options) : stored.path
    if ('unfit' in stored) data.set(name, { path: name, why: stored.unfit, ...(at === source ? {} : { at }) })
    else content.set(name, { name, hash: stored.hash })
    rendered.set(mount, { ...mount, bind, source: at })
  }
  return rendered
}

/**
 * @returns why a bind mount's source stays where it is, as far as its path says. On a host it need not be here then: what is
 * in the project folder is an (empty) folder there, and what is outside is the host's own.
 */
function whyDataByName(source: string, writable: readonly string[], options: RenderOptions): string | undefined {
  if (options.dataAt !== undefined && !isInside(options.directory, source)) return 'the host has it'
  if (writable.some((path) => isInside(path, source) || isInside(source, path))) return 'a service writes to it'
  if (options.data.some((path) => isInside(path, source) || isInside(source, path))) return 'listed under data:'
  return undefined
}

/** @returns where the engine finds data. @throws config (3) for what a host cannot have */
function dataSource(source: string, { directory, dataAt }: RenderOptions): string {
  if (dataAt === undefined || !isInside(directory, source)) return source
  const path = displayPath(directory, source)
  if (source === directory)
    throw new StagecraftError('config', 'Cannot mount the project folder: the host does not have it', {
      hint: 'Copy into the image what the service needs of it (COPY . .), and mount only folders with data.',
    })
  if (statSync(source, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new StagecraftError('config', `Cannot mount ${path}: it is a file that a service writes to`, {
      hint: 'On a host such data begins as an empty folder: mount a folder. A file that is only read: mount it read-only (:ro).',
    })
  return join(dataAt, relative(directory, source))
}

/** @returns why a bind mount's source stays where it is, or undefined where it may be content. */
function whyData(source: string, options: RenderOptions): string | undefined {
  const real = realpathSync(source)
  if (source === options.directory || real === options.directory) return 'the project folder itself'
  if (!isInside(options.directory, source)) return 'outside the project folder'
  if (!isInside(realpathSync(options.directory), real))
    throw new StagecraftError('config', `Cannot keep ${source}: it is a link that leaves the project folder`, {
      hint: 'Mount the path that it points to, or list it under `data:` in stagecraft.yml: it then stays where it is.',
    })
  return undefined
}

function missingSource(service: string, source: string, directory: string): StagecraftError {
  const path = displayPath(directory, source)
  return new StagecraftError('config', `Cannot mount ${path} into ${service}: it does not exist`, {
    hint: `Create it first (a folder: mkdir -p ${path}). Compose would mount an empty folder there.`,
  })
}

function displayPath(directory: string, path: string): string {
  return isInside(directory, path) ? `./${relative(directory, path)}` : path
}

/** The mode that a file made from text gets: the first that a service asks for, else readable to all (Compose spec). */
function modesOf(model: ComposeModel, kind: 'configs' | 'secrets'): Map<string, number> {
  const modes = new Map<string, number>()
  for (const service of Object.values(model.services))
    for (const { source, mode } of service[kind] ?? [])
      if (mode !== undefined && !modes.has(source))
        modes.set(source, typeof mode === 'string' ? Number.parseInt(mode, 8) : mode)
  return modes
}

/** Compose recreates nothing when the content of a config or secret changes, so the name carries its hash (facts). */
function renderFiles(
  kind: 'config' | 'secret',
  files: Readonly<Record<string, FileResource>>,
  modes: Map<string, number>,
  options: RenderOptions,
  content: Map<string, ContentFile>,
) {
  const names = new Map<string, string>()
  const resources: Record<string, FileResource> = {}
  for (const [key, file] of Object.entries(files)) {
    if (file.external) {
      resources[key] = file
      continue
    }
    const stored = storeFile(`${kind} ${key}`, file, modes.get(key) ?? 0o444, options)
    const name = `${key}-${stored.hash.slice(0, 12)}`
    names.set(key, name)
    resources[name] = { name: `${file.name ?? key}-${stored.hash.slice(0, 12)}`, file: stored.path }
    content.set(`${kind} ${key}`, { name: `${kind} ${key}`, hash: stored.hash })
  }
  return { names, resources }
}

function storeFile(what: string, file: FileResource, mode: number, options: RenderOptions) {
  if (file.content !== undefined) return storeText(options.store, file.content, mode)
  if (file.environment !== undefined) return storeText(options.store, options.variables[file.environment] ?? '', mode)
  if (file.file === undefined || !existsSync(file.file))
    throw new StagecraftError('config', `Cannot read ${what}: its file ${file.file ?? ''} does not exist`, {
      hint: 'Create the file, or correct its path in the Compose file.',
    })
  const stored = storePath(options.store, file.file)
  if ('unfit' in stored) throw new StagecraftError('config', `Cannot keep ${what}: ${stored.unfit}`)
  return stored
}

/** The target keeps the name that people wrote: without one it is made of the source, which has a new name now. */
function renameFile(file: FileMount, names: ReadonlyMap<string, string>, folder: string): FileMount {
  const source = names.get(file.source)
  return source === undefined ? file : { ...file, source, target: file.target ?? folder + file.source }
}
