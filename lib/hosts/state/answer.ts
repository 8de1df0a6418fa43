import { gunzipSync } from 'node:zlib'
import { answersOf } from '../scripts/state.ts'
import { type Entry, MOST, manifestText, parseEntry, parseHead, sha256 } from './manifest.ts'

/** The state of an environment as a host sent it, fully checked: a host is not trusted (spec/core/hosts.md). */
export interface HostState {
  /** the text of `head`; empty: there is none */
  readonly head: string
  /** the state: bytes by path */
  readonly files: ReadonlyMap<string, Uint8Array>
  /** the names in `content/`, which are hashes */
  readonly content: readonly string[]
  /** descriptions of the lock and of a hold, by name */
  readonly locks: ReadonlyMap<string, string>
  /** a run was under way when it was read */
  readonly locked: boolean
  /** an earlier version has written it, without objects */
  readonly legacy: boolean
}

/** Why the state that a host sent is not used. */
export interface Unusable {
  /** `unreadable`: for this user; `damaged`: not what was written; `foreign`: not written by Stagecraft */
  readonly why: 'unreadable' | 'damaged' | 'foreign'
  /** of a file or folder, below the environment's folder or absolute */
  readonly path: string
  /** what `head` was; if it is another one now, somebody has written meanwhile */
  readonly head: string
}

/** The most names of content, and the most bytes in the description of a lock. */
const [MOST_CONTENT, MOST_LOCK] = [100_000, 64 * 1024]

/** @param said what READ (lib/hosts/scripts/objects.ts) printed @param environment whose locks are described */
export function parseHostState(said: string, environment: string): HostState | Unusable {
  const [first, stream, last] = partsOf(said)
  const [before, after] = [answersOf(first), answersOf(last)]
  const head = before('head')[0] ?? ''
  const no = (why: Unusable['why'], path: string): Unusable => ({ why, path, head })
  const unreadable = before('unreadable')[0] ?? after('unreadable')[0]
  if (unreadable !== undefined) return no('unreadable', unreadable)
  const missing = before('missing')[0] ?? after('missing')[0]
  if (missing !== undefined) return no('damaged', missing)
  if (!last.endsWith('end 0\n') || last.split('\n').length > 2)
    return no('damaged', head === '' ? 'releases.json' : 'objects')
  if (head === '' ? before('entry').length > 0 : parseHead(head) === undefined) return no('foreign', 'head')
  const entries = head === '' ? readableEntries(before) : before('entry').map(parseEntry)
  if (!isWhole(entries)) return no('foreign', head === '' ? 'releases' : `objects/${parseHead(head)?.hash}`)
  if (head !== '' && sha256(manifestText(entries)) !== parseHead(head)?.hash)
    return no('damaged', `objects/${parseHead(head)?.hash}`)
  const files = unpackFiles(entries, stream)
  if (!(files instanceof Map)) return no('damaged', files)
  const changed = head === '' ? undefined : changedByOthers(before('plain'), entries)
  if (changed !== undefined) return no('damaged', changed)
  const content = before('content').filter((name) => /^[0-9a-f]{4,64}$/.test(name))
  if (content.length > MOST_CONTENT) return no('foreign', 'content')
  const locks = locksOf(before('lock'), environment)
  return { head, files, content, locks, locked: before('locked').length > 0, legacy: head === '' && files.size > 0 }
}

/** @returns the lines before the files, the files, and the lines after them */
function partsOf(said: string): [string, string, string] {
  const at = said.startsWith('files\n') ? 0 : said.indexOf('\nfiles\n') + 1
  // Without a folder there are no files: the last line is still `end`.
  if (at === 0 && !said.startsWith('files\n'))
    return [said, '', said.slice(said.lastIndexOf('\n', said.length - 2) + 1)]
  const stream = at + 'files\n'.length
  const [{ index: end = said.length } = {}] = said.slice(stream).matchAll(/^[a-z]+ /gm)
  return [said.slice(0, at), said.slice(stream, stream + end), said.slice(stream + end)]
}

/** @returns the entries that `sha256sum` and `wc -c` printed, in the order in which the files are sent */
function readableEntries(after: ReturnType<typeof answersOf>): (Entry | undefined)[] {
  const sizes = new Map(
    after('size').map((line) => {
      const [, size = '', path = ''] = /^(\d+) (.*)$/.exec(line) ?? []
      return [path, size]
    }),
  )
  return after('sum').map((line) => {
    const [, hash = '', path = ''] = /^(\S+) {2}(.*)$/.exec(line) ?? []
    return parseEntry(`${hash} ${sizes.get(path)} ${path}`)
  })
}

function isWhole(entries: readonly (Entry | undefined)[]): entries is readonly Entry[] {
  if (entries.length > MOST.files || entries.includes(undefined)) return false
  const paths = new Set(entries.map((entry) => entry?.path))
  return paths.size === entries.length && total(entries) <= MOST.bytes && !hasFileAsFolder(paths)
}

function total(entries: readonly (Entry | undefined)[]): number {
  return entries.reduce((sum, entry) => sum + (entry?.size ?? 0), 0)
}

/** @returns whether a path goes through a file: `releases/a.json/b.json` besides `releases/a.json` */
function hasFileAsFolder(paths: ReadonlySet<string | undefined>): boolean {
  return [...paths].some((path = '') => {
    const parts = path.split('/')
    return parts.some((_, at) => at > 0 && paths.has(parts.slice(0, at).join('/')))
  })
}

/**
 * @param stream the files one after the other, gzipped, in base64
 * @returns the bytes of each file, or the path of the first one with a wrong size or hash
 */
export function unpackFiles(entries: readonly Entry[], stream: string): Map<string, Uint8Array> | string {
  const [bytes, size] = [unpack(stream, total(entries)), total(entries)]
  const files = new Map<string, Uint8Array>()
  let at = 0
  for (const { path, size, hash } of entries) {
    const own = bytes.subarray(at, at + size)
    if (own.length !== size || sha256(own) !== hash) return path
    files.set(path, own)
    at += size
  }
  return bytes.length > size ? 'objects' : files
}

/** Bytes unpacked beyond the expected size, so that a file that is too long is found. */
const MORE = 1024 * 1024

/** @returns nothing if it cannot be unpacked, or is far too long */
function unpack(stream: string, size: number): Uint8Array {
  try {
    return gunzipSync(Buffer.from(stream, 'base64'), { maxOutputLength: size + MORE })
  } catch {
    return new Uint8Array()
  }
}

/**
 * A file under its readable name is a hard link to its object. Without a link it may be a copy (a restored backup); with other
 * bytes it was changed by somebody. While a run writes, it may still be a link to the object of the state before.
 * @returns the first path that was changed
 */
function changedByOthers(plain: readonly string[], entries: readonly Entry[]): string | undefined {
  const hashes = new Map(entries.map(({ path, hash }) => [path, hash]))
  for (const line of plain) {
    const [, hash, path = ''] = /^(\S+) (.*)$/.exec(line) ?? []
    if (hashes.has(path) && hashes.get(path) !== hash) return path
  }
  return undefined
}

function locksOf(lines: readonly string[], environment: string): Map<string, string> {
  const known = [`${environment}.json`, `${environment}.hold.json`]
  const found = lines.flatMap((line) => {
    const [name = '', text = ''] = line.split(' ')
    const bytes = Buffer.from(text, 'base64')
    return known.includes(name) && bytes.length <= MOST_LOCK ? [[name, bytes.toString('utf8')] as const] : []
  })
  return new Map(found)
}
