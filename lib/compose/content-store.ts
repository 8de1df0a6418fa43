import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { syncFolder } from '../system/atomic-write.ts'
import { removeTree } from '../system/remove-tree.ts'
import { temporaryName } from '../system/temporaries.ts'
import { errnoOf, StagecraftError } from '../util/errors.ts'

/** Keeps a release's read-only files by hash, so that a rollback finds them unchanged (spec/core/compose.md, Content). */
export interface ContentStore {
  /** the folder, with one entry per hash */
  readonly folder: string
  /** the engine's path of that folder, if it is another one: a host has its own */
  readonly at?: string
  /** false: only hash, for a plan; nothing is written */
  readonly write: boolean
}

/** A larger source is not content, and stays in place. */
const MAX_BYTES = 50 * 1024 * 1024

/** What a walk finds. Hashes are of the copied bytes, not of what the source has a moment later. */
interface Walk {
  bytes: number
  /** why this cannot be content */
  unfit?: string
}

export type Stored = { readonly hash: string; readonly path: string } | { readonly unfit: string }

/**
 * Stores a file or folder by the hash of its names, modes, links and bytes.
 * @returns where it is (or would be), or why it is not content
 * @throws config (3) for a link that leaves the folder, and for an unreadable file; state (9) if it cannot be stored
 */
export function storePath(store: ContentStore, source: string): Stored {
  const copy = store.write ? temporaryPath(store) : undefined
  const walk: Walk = { bytes: 0 }
  try {
    const root = fs.realpathSync(source)
    const hash = hashEntry(root, copy, root, walk)
    if (walk.unfit !== undefined) return { unfit: walk.unfit }
    keep(store, hash, copy)
    return { hash, path: join(store.at ?? store.folder, hash) }
  } catch (error) {
    throw unreadable(source, error)
  } finally {
    if (copy) removeTree(copy)
  }
}

/** Stores an empty folder, for a source that does not exist. */
export function storeEmptyFolder(store: ContentStore): { hash: string; path: string } {
  const path = join(store.at ?? store.folder, EMPTY_FOLDER)
  if (!store.write) return { hash: EMPTY_FOLDER, path }
  const copy = temporaryPath(store)
  try {
    fs.mkdirSync(copy, { mode: 0o700 })
    fs.chmodSync(copy, 0o755)
    keep(store, EMPTY_FOLDER, copy)
    return { hash: EMPTY_FOLDER, path }
  } catch (error) {
    throw unreadable('an empty folder', error)
  } finally {
    removeTree(copy)
  }
}

/** The owner of a file made from text. */
export interface Owner {
  readonly uid: number
  readonly gid: number
  /** permission bits */
  readonly mode: number
  /** false: only the mode was asked for */
  readonly isAsked: boolean
}

/**
 * Stores a text as a file: an inline config or secret. Only root could change its owner: the engine does it (owned-files.ts).
 * @param mode permission bits
 */
export function storeText(
  store: ContentStore,
  text: string,
  mode: number,
  owner?: Owner,
): { hash: string; path: string } {
  const whose = owner?.isAsked ? `${owner.uid}:${owner.gid}\0` : ''
  const hash = digest(`file\0${mode.toString(8)}\0${whose}`, Buffer.from(text))
  const path = join(store.at ?? store.folder, hash)
  if (!store.write) return { hash, path }
  if (owner && isStored(join(store.folder, hash))) return { hash, path } // it has its owner already
  const copy = temporaryPath(store)
  try {
    writeSynced(copy, text)
    fs.chmodSync(copy, owner ? 0o400 : mode) // until the owner is set, this user must be able to send it
    keep(store, hash, copy)
    return { hash, path }
  } catch (error) {
    throw unreadable('a config or secret', error)
  } finally {
    fs.rmSync(copy, { force: true })
  }
}

let counter = 0
function temporaryPath(store: ContentStore): string {
  fs.mkdirSync(store.folder, { recursive: true, mode: 0o700 })
  return join(store.folder, temporaryName('content', counter++))
}

/** Renames the copy to its hash. An existing entry with that hash is the same, and stays. */
function keep(store: ContentStore, hash: string, copy: string | undefined): void {
  const path = join(store.folder, hash)
  if (copy === undefined) return
  const mode = fs.statSync(copy).mode & 0o7777
  try {
    fs.chmodSync(copy, mode | 0o700) // a folder without w cannot be renamed by its owner
    if (!isStored(path)) fs.renameSync(copy, path)
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(errnoOf(error) ?? '')) throw error
  }
  if ((fs.statSync(path).mode & 0o7777) !== mode) fs.chmodSync(path, mode) // also if an earlier run died before this line
  syncFolder(store.folder)
}

/** Stands for content that only a Swarm has: an empty file without any permission, which nothing that is stored has. */
export function placeholder(folder: string, hash: string): void {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
  fs.writeFileSync(join(folder, hash), '', { mode: 0o000, flag: 'wx' })
}

function isStored(path: string): boolean {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false })
  return stat !== undefined && !(stat.isFile() && stat.size === 0 && (stat.mode & 0o777) === 0)
}

/** An entry must have its hash's content even after a power cut: it is never checked again. */
function writeSynced(file: string, bytes: string | Buffer): void {
  const fd = fs.openSync(file, 'wx', 0o600)
  try {
    fs.writeFileSync(fd, bytes)
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

function hashEntry(source: string, copy: string | undefined, root: string, walk: Walk): string {
  const stat = fs.lstatSync(source)
  const mode = stat.mode & 0o7777
  if (walk.unfit !== undefined) return ''
  if (stat.isFile()) return hashFile(source, copy, stat, walk)
  if (stat.isDirectory()) return hashFolder(source, copy, root, walk, stat)
  if (stat.isSymbolicLink()) return hashLink(source, copy, root)
  walk.unfit = `it contains a socket, fifo or device (${mode.toString(8)})`
  return ''
}

function hashFile(source: string, copy: string | undefined, stat: fs.Stats, walk: Walk): string {
  walk.bytes += stat.size
  if (walk.bytes > MAX_BYTES) {
    walk.unfit = 'it is larger than 50 MB'
    return ''
  }
  const mode = stat.mode & 0o7777
  const bytes = fs.readFileSync(source)
  if (copy) {
    writeSynced(copy, bytes)
    keepOwnerAndMode(copy, stat)
  }
  return digest(`file\0${mode.toString(8)}\0`, bytes)
}

function hashFolder(source: string, copy: string | undefined, root: string, walk: Walk, stat: fs.Stats): string {
  if (copy) fs.mkdirSync(copy, { mode: 0o700 })
  const parts = fs
    .readdirSync(source)
    .toSorted()
    .map((name) => {
      const hash = hashEntry(join(source, name), copy && join(copy, name), root, walk)
      return `${name}\0${hash}\0`
    })
  if (copy) keepOwnerAndMode(copy, stat)
  return digest(`folder\0${(stat.mode & 0o7777).toString(8)}\0`, Buffer.from(parts.join('')))
}

function hashLink(source: string, copy: string | undefined, root: string): string {
  const target = fs.readlinkSync(source)
  if (isAbsolute(target) || !isInside(root, resolve(dirname(source), target)))
    throw new StagecraftError('config', `Cannot keep ${source}: it is a link that leaves its folder (to ${target})`, {
      hint: 'Put the file itself there, or list the mounted path under `data:` in stagecraft.yml: it then stays where it is.',
    })
  if (copy) fs.symlinkSync(target, copy)
  return digest('link\0', Buffer.from(target))
}

/** The mode matters: a 0600 file is unreadable to the container's user. Only root can set the owner. */
function keepOwnerAndMode(copy: string, stat: fs.Stats): void {
  if (process.getuid?.() === 0) fs.chownSync(copy, stat.uid, stat.gid)
  fs.chmodSync(copy, stat.mode & 0o7777)
}

/** @returns whether `path` is `folder` or below it. */
export function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way === '' || (way !== '..' && !way.startsWith('../') && !isAbsolute(way))
}

function digest(head: string, bytes: Buffer): string {
  return createHash('sha256').update(head).update(bytes).digest('hex').slice(0, 32)
}

/** The hash of an empty folder of mode 0755. */
export const EMPTY_FOLDER = digest(`folder\0${'755'}\0`, Buffer.from(''))

function unreadable(source: string, error: unknown): unknown {
  const code = errnoOf(error)
  if (error instanceof StagecraftError || code === undefined) return error
  if (['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'].includes(code))
    return new StagecraftError('state', `Cannot keep ${source} with the release: ${code}`, {
      cause: error,
      hint: 'Free some space (or make the file system writable), then try again. Nothing has been changed.',
    })
  const why = code === 'ENOENT' ? 'it does not exist' : `it cannot be read (${code})`
  const hint =
    code === 'EACCES'
      ? 'Let the user who deploys read it, or list the mounted path under `data:` in stagecraft.yml: it then stays where it is.'
      : undefined
  return new StagecraftError('config', `Cannot read ${source}: ${why}`, { cause: error, hint })
}
