import {
  type BigIntStats,
  chmodSync,
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readlinkSync,
  realpathSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname, join, parse, resolve } from 'node:path'
import { errnoOf } from '../util/errors.ts'
import { deadTemporaries, temporaryName } from './temporaries.ts'

interface AtomicWriteOptions {
  /** Permission bits of the file, regardless of the umask and of its previous bits. */
  readonly mode: number
  /** Permission bits of the folders that are created for it, regardless of the umask. Existing folders are left alone. */
  readonly folderMode: number
  /** The name of temporary files: see lib/system/temporaries.ts. Default: the file's name without its last extension. */
  readonly stem?: string
}

/** Linux follows as many before ELOOP. */
const MAX_LINKS = 40

let writes = 0

/**
 * Replaces a file, or creates it with its folder. Even after a crash or a failure it has either its old or its new content,
 * whole. A symlink stays, and its target is replaced. Temporary files of dead processes are removed.
 * @returns the new file's fstat before the rename (which changes its ctime).
 * @throws the system's error (`errnoOf`). The file is then the old one, or the new one if only its durability is in doubt.
 */
export function writeFileAtomic(file: string, text: string | Uint8Array, options: AtomicWriteOptions): BigIntStats {
  const target = linkTarget(resolve(file))
  const folder = dirname(target)
  const stem = options.stem ?? parse(target).name.replace(/^\./, '')
  createFolder(folder, options.folderMode)
  removeDeadTemporaries(folder, stem)
  const { fd, name } = openTemporary(folder, stem)
  let stats: BigIntStats
  try {
    stats = fillAndClose(fd, typeof text === 'string' ? Buffer.from(text) : text, options.mode)
    renameSync(name, target)
  } catch (error) {
    removeQuietly(name)
    throw error
  }
  syncFolder(folder)
  return stats
}

/** @returns the end of a chain of symlinks, which need not exist. @throws ELOOP, and other system errors */
export function linkTarget(file: string): string {
  let target = file
  for (let links = 0; links <= MAX_LINKS; links++) {
    const link = readLink(target)
    if (link === undefined) return target
    // The folder is resolved first: `..` in a link is relative to the link's real folder.
    target = resolve(realpathSync(dirname(target)), link)
  }
  throw Object.assign(new Error(`too many levels of symlinks: ${file}`), { code: 'ELOOP' })
}

function readLink(file: string): string | undefined {
  try {
    return readlinkSync(file)
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'EINVAL' || code === 'ENOENT') return undefined
    throw error
  }
}

/** Creates a folder and its missing parents durably: they survive a crash. Existing folders are left alone. */
export function createFolder(folder: string, mode: number): void {
  const first = mkdirSync(folder, { recursive: true, mode })
  if (first === undefined) return
  for (let created = folder; ; created = dirname(created)) {
    chmodSync(created, mode)
    syncFolder(dirname(created))
    if (created === first || created === dirname(created)) return
  }
}

/** Best effort: a file that cannot be listed or removed must not stop the write. */
function removeDeadTemporaries(folder: string, stem: string): void {
  for (const path of deadTemporaries(folder, stem)) removeQuietly(path)
}

/** An earlier process with the same pid may have left a file of that name: then the next name is tried. */
function openTemporary(folder: string, stem: string): { fd: number; name: string } {
  for (;;) {
    const name = join(folder, temporaryName(stem, ++writes))
    try {
      return { fd: openSync(name, 'wx', 0o600), name }
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
  }
}

function fillAndClose(fd: number, bytes: Uint8Array, mode: number): BigIntStats {
  try {
    fchmodSync(fd, mode)
    // On a full disk a write is short first, and the next one fails.
    for (let written = 0; written < bytes.length; ) written += writeSome(fd, bytes, written)
    fsyncSync(fd)
    return fstatSync(fd, { bigint: true })
  } finally {
    closeSync(fd)
  }
}

function writeSome(fd: number, bytes: Uint8Array, offset: number): number {
  const count = writeSync(fd, bytes, offset)
  if (count > 0) return count
  throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
}

/** Makes changes of a folder's entries durable. @throws the system's error */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } catch (error) {
    // Some network file systems cannot sync a folder: EINVAL.
    if (errnoOf(error) !== 'EINVAL') throw error
  } finally {
    closeSync(fd)
  }
}

function removeQuietly(file: string): void {
  try {
    unlinkSync(file)
  } catch {
    // Already gone, or left for the next write to remove.
  }
}
