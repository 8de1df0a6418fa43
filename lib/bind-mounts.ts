import { existsSync, lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { ComposeModel, Mount } from './compose.ts'
import { isInside, type Stored, storeEmptyFolder, storePath } from './content.ts'
import { errnoOf, StagecraftError } from './errors.ts'
import { missingFile, missingFolder } from './missing-mounts.ts'
import { looksLike } from './path-names.ts'
import type { Problems } from './problems.ts'
import type { ContentFile, Data, RenderOptions } from './render.ts'

/** What becomes of the bind mounts of a model. */
export interface Binds {
  readonly mounts: ReadonlyMap<Mount, Mount>
  readonly content: readonly ContentFile[]
  readonly data: readonly Data[]
  readonly warnings: readonly string[]
}

/** One bind mount of a service. */
interface Bind {
  readonly service: string
  readonly mount: Mount
  readonly source: string
}

/** Where a bind mount's source is in a release: kept by hash, or where it was. */
type Fate = { readonly hash: string; readonly path: string } | { readonly data: Data; readonly path: string }

/** @param problems is told of every source that cannot be mounted */
export function renderBinds(model: ComposeModel, options: RenderOptions, problems: Problems): Binds {
  const binds = bindsOf(model)
  const writable = binds.filter(({ mount }) => mount.read_only !== true).map(({ source }) => source)
  const mounts = new Map<Mount, Mount>()
  const content = new Map<string, ContentFile>()
  const data = new Map<string, Data>()
  const warnings = new Set<string>()
  for (const bind of binds) {
    const fate = problems.try(() => fateOf(bind, writable, options, (text) => warnings.add(text)))
    if (fate === undefined) continue
    const name = displayPath(options.directory, bind.source)
    if ('hash' in fate) content.set(name, { name, hash: fate.hash })
    else data.set(name, fate.data)
    mounts.set(bind.mount, { ...bind.mount, ...engineMakes(bind, fate, options), source: fate.path })
  }
  return { mounts, content: [...content.values()], data: [...data.values()], warnings: [...warnings] }
}

/** @returns whether a path that is not in the project folder is missing here: then it counts whose paths they are */
export function hasMissingOutside(model: ComposeModel, directory: string): boolean {
  return bindsOf(model).some(({ source }) => !isInside(directory, source) && !existsSync(source))
}

function bindsOf(model: ComposeModel): Bind[] {
  return Object.entries(model.services).flatMap(([service, { volumes = [] }]) =>
    volumes.filter((mount) => mount.type === 'bind').map((mount) => ({ service, mount, source: mount.source ?? '' })),
  )
}

function fateOf(bind: Bind, writable: readonly string[], options: RenderOptions, warn: (text: string) => void): Fate {
  const { source } = bind
  const path = displayPath(options.directory, source)
  const known = whyDataByName(source, writable, options)
  const isElsewhere = !isInside(options.directory, source) && isOfEngine(options)
  if (isElsewhere) return { data: { path, why: known ?? 'outside the project folder' }, path: source }
  if (look(source, path) === 'missing') return fateOfMissing(bind, known, options, warn)
  const why = known ?? whyData(source, options)
  const stored: Stored = why === undefined ? storePath(options.store, source) : { unfit: why }
  if (!('unfit' in stored)) return stored
  return asData({ path, why: stored.unfit }, source, options)
}

/** As an engine does it: it makes a folder of what is missing. That is refused where a file belongs, or where Compose is told not to. */
function fateOfMissing(
  { service, mount, source }: Bind,
  known: string | undefined,
  options: RenderOptions,
  warn: (text: string) => void,
): Fate {
  const path = displayPath(options.directory, source)
  const looks = looksLike(source, mount.target)
  if (looks !== 'folder') throw missingFile({ service, path, source, looks })
  if (!mayBeMade(mount)) throw missingFolder(service, path)
  const inside = isInside(options.directory, source)
  if (known === undefined && inside) {
    warn(`${path} does not exist: ${service} gets an empty folder, until a deploy finds it`)
    return storeEmptyFolder(options.store)
  }
  if (known === undefined) warn(`${path} does not exist: ${service} gets an empty folder, which the engine makes there`)
  return asData({ path, source, why: known ?? 'outside the project folder', creates: true }, source, options)
}

/** A short form, and a long one without `bind:`, count on the engine to make the folder (Compose, requireMountAPI). */
function mayBeMade({ bind }: Mount): boolean {
  return bind === undefined || bind === null || bind['create_host_path'] === true
}

/** What is kept by hash must be there; what is not may be made by the engine, but for what is no folder. */
function engineMakes({ mount }: Bind, fate: Fate, { dataAt }: RenderOptions): Pick<Mount, 'bind'> {
  const isOurs = 'hash' in fate || (dataAt !== undefined && isInside(dataAt, fate.path))
  if (!isOurs && looksLike(mount.source ?? '', mount.target) === 'folder')
    return mount.bind === undefined ? {} : { bind: mount.bind }
  return { bind: { ...mount.bind, create_host_path: false } }
}

/**
 * @returns why a bind mount's source stays where it is, as far as its path says. On a host it need not be here then: what is
 * in the project folder is an (empty) folder there, and what is outside is the host's own.
 */
function whyDataByName(source: string, writable: readonly string[], options: RenderOptions): string | undefined {
  const outside = !isInside(options.directory, source)
  if (outside && options.dataAt !== undefined) return 'the host has it'
  if (outside && options.elsewhere) return 'the machine of the engine has it'
  if (writable.some((path) => isInside(path, source) || isInside(source, path))) return 'a service writes to it'
  if (options.data.some((path) => isInside(path, source) || isInside(source, path))) return 'listed under data:'
  return undefined
}

function isOfEngine({ dataAt, elsewhere }: RenderOptions): boolean {
  return dataAt !== undefined || elsewhere === true
}

/** @returns where the engine finds data. @throws config (3) for what a host cannot have */
function asData(data: Data, source: string, { directory, dataAt }: RenderOptions): Fate {
  if (dataAt === undefined || !isInside(directory, source)) return { data, path: leadsTo(source, directory) }
  const path = displayPath(directory, source)
  if (source === directory)
    throw new StagecraftError('config', 'Cannot mount the project folder: the host does not have it', {
      hint: 'Copy into the image what the service needs of it (COPY . .), and mount only folders with data.',
    })
  if (statSync(source, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new StagecraftError('config', `Cannot mount ${path}: it is a file that a service writes to`, {
      hint: 'On a host such data begins as an empty folder: mount a folder. A file that is only read: mount it read-only (:ro).',
    })
  const at = join(dataAt, relative(directory, source))
  return { data: { path, why: data.why, at }, path: at }
}

/** A link of a checkout to data that all checkouts share (Capistrano's `linked_dirs`) is mounted as what it leads to: that stays the same. */
function leadsTo(source: string, directory: string): string {
  if (!isInside(directory, source) || !existsSync(source)) return source
  const real = realpathSync(source)
  return isInside(realpathSync(directory), real) ? source : real
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

/** @returns whether a path is there. What may not be looked at is: the engine may. @throws config (3) where nothing can be */
function look(source: string, path: string): 'there' | 'missing' {
  try {
    statSync(source)
    return 'there'
  } catch (error) {
    const code = errnoOf(error)
    if (code !== 'ENOENT' && code !== 'ENOTDIR') return 'there'
    const obstacle = obstacleOf(source)
    if (obstacle === undefined) return 'missing'
    throw new StagecraftError('config', `Cannot mount ${path}: ${obstacle}`, {
      hint: 'Correct the path in the Compose file, or what is in its way.',
    })
  }
}

/** @returns what is in the way of a folder that is to be made: a link that leads nowhere, or a file. */
function obstacleOf(source: string): string | undefined {
  for (let path = source; path !== dirname(path); path = dirname(path)) {
    if (existsSync(path)) return statSync(path).isDirectory() ? undefined : `${path} is a file`
    if (isLink(path)) return `${path === source ? 'it' : path} is a link to ${readlinkSync(path)}, which does not exist`
  }
  return undefined
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink()
  } catch {
    return false
  }
}

export function displayPath(directory: string, path: string): string {
  return isInside(directory, path) ? `./${relative(directory, path)}` : path
}
