import { gunzipSync } from 'node:zlib'
import { type Entry, MOST, manifestText, parseEntry, parseHead, sha256 } from './manifest.ts'
import { answersOf } from './state-scripts.ts'

/** What a host keeps of an environment: everything in it is checked, nothing is believed (spec/core/hosts.md). */
export interface HostState {
  /** what `head` holds; empty: there is none */
  readonly head: string
  /** the state: bytes by path */
  readonly files: ReadonlyMap<string, Uint8Array>
  /** names of what is kept under its hash */
  readonly content: readonly string[]
  /** descriptions of the lock and of a hold, by name */
  readonly locks: ReadonlyMap<string, string>
  /** a run was at work when it was read */
  readonly locked: boolean
  /** an earlier version has written it, which knew no objects */
  readonly legacy: boolean
}

/** Why what a host has sent is not used. */
export interface Unusable {
  /** `unreadable`: by this user; `damaged`: not what was written; `foreign`: what ours never writes */
  readonly why: 'unreadable' | 'damaged' | 'foreign'
  /** of a file or folder, below the environment's folder or absolute */
  readonly path: string
  /** what `head` was: where it is another one by now, somebody has written meanwhile */
  readonly head: string
}

/** Most names of content, and most characters of the description of a lock. */
const [MOST_CONTENT, MOST_LOCK] = [100_000, 64 * 1024]

/** @param said what READ (lib/state-objects.ts) printed @param environment whose locks are described */
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
  const files = split(entries, stream)
  if (!(files instanceof Map)) return no('damaged', files)
  const changed = head === '' ? undefined : changedByOthers(before('plain'), entries)
  if (changed !== undefined) return no('damaged', changed)
  const content = before('content').filter((name) => /^[0-9a-f]{4,64}$/.test(name))
  if (content.length > MOST_CONTENT) return no('foreign', 'content')
  const locks = locksOf(before('lock'), environment)
  return { head, files, content, locks, locked: before('locked').length > 0, legacy: head === '' && files.size > 0 }
}

/** @returns what was said before the files, the files, and what was said after them */
function partsOf(said: string): [string, string, string] {
  const at = said.startsWith('files\n') ? 0 : said.indexOf('\nfiles\n') + 1
  // There is no such folder: it is not said how the files end, but that all is said.
  if (at === 0 && !said.startsWith('files\n'))
    return [said, '', said.slice(said.lastIndexOf('\n', said.length - 2) + 1)]
  const stream = at + 'files\n'.length
  const [{ index: end = said.length } = {}] = said.slice(stream).matchAll(/^[a-z]+ /gm)
  return [said.slice(0, at), said.slice(stream, stream + end), said.slice(stream + end)]
}

/** What `sha256sum` and `wc -c` say of the files under their names, in the order in which they are sent. */
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

/** `releases/a.json/b.json` beside `releases/a.json` */
function hasFileAsFolder(paths: ReadonlySet<string | undefined>): boolean {
  return [...paths].some((path = '') => {
    const parts = path.split('/')
    return parts.some((_, at) => at > 0 && paths.has(parts.slice(0, at).join('/')))
  })
}

/** @returns the bytes of each file, or the path of the first that is not what it should be */
function split(entries: readonly Entry[], stream: string): Map<string, Uint8Array> | string {
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

/** Bytes more than there should be: which file they are of is found out. */
const MORE = 1024 * 1024

/** @returns nothing where it cannot be unpacked, or is far too much */
function unpack(stream: string, size: number): Uint8Array {
  try {
    return gunzipSync(Buffer.from(stream, 'base64'), { maxOutputLength: size + MORE })
  } catch {
    return new Uint8Array()
  }
}

/**
 * A file under its readable name is the object itself, by a hard link. One that is not may have been copied (a backup that was put back);
 * one with other bytes was changed by somebody. While a run writes, it may still be the object of the state before: that has a link.
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
