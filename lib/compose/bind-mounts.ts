import { existsSync, lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { errnoOf, StagecraftError } from '../util/errors.ts'
import type { Problems } from '../util/problems.ts'
import { isInside, type Stored, storeEmptyFolder, storePath } from './content-store.ts'
import { missingFile, missingFolder } from './missing/mounts.ts'
import type { ComposeModel, Mount } from './model.ts'
import { isRenewed, looksLike } from './path-names.ts'
import type { ContentFile, Data, RenderOptions } from './rendering.ts'

/** The bind mounts of a model in a release. */
interface Binds {
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

/** Where a bind mount's source is in a release: kept by hash, or in place. */
type Fate =
  | { readonly hash: string; readonly path: string; readonly isReadOnly?: true }
  | { readonly data: Data; readonly path: string }

/** @param problems collects an error for every source that cannot be mounted */
export function renderBinds(model: ComposeModel, options: RenderOptions, problems: Problems): Binds {
  const binds = bindsOf(model)
  const users = (source: string) => [...new Set(binds.flatMap((one) => (one.source === source ? [one.service] : [])))]
  const writable = binds.filter(({ mount }) => mount.read_only !== true).map(({ source }) => source)
  const mounts = new Map<Mount, Mount>()
  const content = new Map<string, ContentFile>()
  const data = new Map<string, Data>()
  const warnings = new Set<string>()
  for (const bind of binds) {
    const fate = problems.try(() => fateOf(bind, { writable, users }, options, (text) => warnings.add(text)))
    if (fate === undefined) continue
    const name = displayPath(options.directory, bind.source)
    if ('hash' in fate) content.set(name, { name, hash: fate.hash })
    else data.set(name, fate.data)
    const readOnly = 'isReadOnly' in fate ? { read_only: true } : {}
    mounts.set(bind.mount, { ...bind.mount, ...engineMakes(bind, fate, options), ...readOnly, source: fate.path })
  }
  return { mounts, content: [...content.values()], data: [...data.values()], warnings: [...warnings] }
}

/** @returns whether a path outside the project folder is missing on this machine: then it matters where the engine is */
export function hasMissingOutside(model: ComposeModel, directory: string): boolean {
  return bindsOf(model).some(({ source }) => !isInside(directory, source) && !existsSync(source))
}

function bindsOf(model: ComposeModel): Bind[] {
  return Object.entries(model.services).flatMap(([service, { volumes = [] }]) =>
    volumes.filter((mount) => mount.type === 'bind').map((mount) => ({ service, mount, source: mount.source ?? '' })),
  )
}

/** What one bind mount must know about the others of a model. */
interface Others {
  /** sources that some service writes to */
  readonly writable: readonly string[]
  /** the services that mount a source */
  readonly users: (source: string) => readonly string[]
}

function fateOf(bind: Bind, others: Others, options: RenderOptions, warn: (text: string) => void): Fate {
  const { source } = bind
  const path = displayPath(options.directory, source)
  const isReadOnly = isConfigOnHost(source, others.writable, options)
  const known = isReadOnly ? undefined : whyDataByName(source, others.writable, options)
  const isElsewhere = !isInside(options.directory, source) && isOfEngine(options)
  if (isElsewhere) return { data: { path, why: known ?? 'outside the project folder' }, path: source }
  if (look(source, path) === 'missing')
    return fateOfMissing(bind, { known, users: others.users(source) }, options, warn)
  const why = known ?? whyData(source, options)
  const stored: Stored = why === undefined ? storePath(options.store, source) : { unfit: why }
  if ('unfit' in stored) return asData({ path, why: stored.unfit }, source, options)
  if (!isReadOnly) return stored
  warn(
    `${path} is mounted read-only into ${others.users(source).join(', ')} on the host: a file there is a copy, kept with the release. Say so with :ro; mount a folder for what a service writes`,
  )
  return { ...stored, isReadOnly }
}

/** Creates a folder for a missing source, like an engine. @throws config (3) if it should be a file, or may not be created */
function fateOfMissing(
  { mount, source }: Bind,
  { known, users }: { readonly known: string | undefined; readonly users: readonly string[] },
  options: RenderOptions,
  warn: (text: string) => void,
): Fate {
  const path = displayPath(options.directory, source)
  const looks = looksLike(source, mount.target)
  if (looks !== 'folder') throw missingFile({ users, path, source, looks })
  if (!mayBeMade(mount)) throw missingFolder(users, path)
  const inside = isInside(options.directory, source)
  const gets = `${users.join(', ')} ${users.length > 1 ? 'get' : 'gets'}`
  if (known === undefined && inside) {
    warn(`${path} does not exist: ${gets} an empty folder, until a deploy finds it`)
    return storeEmptyFolder(options.store)
  }
  if (known === undefined) warn(`${path} does not exist: ${gets} an empty folder, which the engine creates there`)
  return asData({ path, source, why: known ?? 'outside the project folder', creates: true }, source, options)
}

/** In the short form, and the long form without `bind:`, the engine creates the folder (Compose, requireMountAPI). */
function mayBeMade({ bind }: Mount): boolean {
  return bind === undefined || bind === null || bind['create_host_path'] === true
}

/** Content must exist; any other source may be created by the engine, if it is a folder. */
function engineMakes({ mount }: Bind, fate: Fate, { dataAt }: RenderOptions): Pick<Mount, 'bind'> {
  const isOurs = 'hash' in fate || (dataAt !== undefined && isInside(dataAt, fate.path))
  if (!isOurs && looksLike(mount.source ?? '', mount.target) === 'folder')
    return mount.bind === undefined ? {} : { bind: mount.bind }
  return { bind: { ...mount.bind, create_host_path: false } }
}

/**
 * @returns why a bind mount's source stays in place, judging by its path. On a host it need not exist on this machine: a path
 * in the project folder is an (at first empty) folder there, and a path outside it is the host's own.
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

/** Endings of files that programs write, not people. */
const WRITTEN = /\.(db|sqlite3?|mdb|rdb|aof|dat|log|pid|lock)$/i

/**
 * People mount configuration files without `:ro`. On a host there is no such file to write to, and a copy that is written to would
 * be lost with the next release: it is mounted read-only, so that a write fails and is noticed.
 * @returns whether a source is such a file, and nothing says that it is data
 */
function isConfigOnHost(source: string, writable: readonly string[], options: RenderOptions): boolean {
  const isRelated = (path: string) => isInside(path, source) || isInside(source, path)
  const related = writable.filter(isRelated)
  if (options.dataAt === undefined || related.length === 0 || related.some((path) => path !== source)) return false
  if (!isInside(options.directory, source) || options.data.some(isRelated)) return false
  if (WRITTEN.test(source) || isRenewed(source) || looksLike(source, source) !== 'file') return false
  return statSync(source, { throwIfNoEntry: false })?.isFile() === true
}

/** @returns where the engine finds data. @throws config (3) for data that a host cannot have */
function asData(data: Data, source: string, { directory, dataAt }: RenderOptions): Fate {
  if (dataAt === undefined || !isInside(directory, source)) return { data, path: targetOf(source, directory) }
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

/** A checkout's link to data that all checkouts share (Capistrano's `linked_dirs`) is mounted as its target, which stays the same. */
function targetOf(source: string, directory: string): string {
  if (!isInside(directory, source) || !existsSync(source)) return source
  const real = realpathSync(source)
  return isInside(realpathSync(directory), real) ? source : real
}

/** @returns why a bind mount's source stays in place, or undefined if it may be content. */
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

/** A path that this user may not read counts as there: the engine may read it. @throws config (3) if the path cannot exist */
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
      hint: 'Correct the path in the Compose file, or remove what is in its way.',
    })
  }
}

/** @returns what prevents a folder from being created: a broken link, or a file. */
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

/** @returns a path for people: relative to the project folder if it is inside, otherwise absolute */
export function displayPath(directory: string, path: string): string {
  return isInside(directory, path) ? `./${relative(directory, path)}` : path
}
