import { gzipSync } from 'node:zlib'
import { parseJson } from '../../lock/files.ts'
import { compare } from '../../util/format.ts'
import { unpackFiles } from '../state/answer.ts'
import { type Entry, entryLine, MOST, parseEntry } from '../state/manifest.ts'

/**
 * One state of an environment, as the text of a config (spec/core/swarm.md): which files there are, and where their bytes are. Files
 * that change together are packed together: the record, and those of each release.
 */
export interface Head {
  /** random: of the write that made it */
  readonly write: string
  readonly packs: readonly Pack[]
}

export interface Pack {
  /** in the order in which their bytes are packed */
  readonly entries: readonly Entry[]
  /** gzipped, in base64; or the names of the configs that have this text, in parts */
  readonly data: string | readonly string[]
}

/** A text for a config of its own. */
interface Part {
  readonly name: string
  readonly text: string
}

/** Characters: of a config, less than Swarm takes (1,024,000 bytes), and of what a head has in itself. */
const [MOST_PART, MOST_INSIDE] = [960_000, 600_000]

/**
 * The record and the newest release change again and again during a release: their bytes are in the head itself, so that a write is
 * one config. What is older stays where it is.
 * @param read the bytes of a file @param named makes a new name @returns the next head, and the configs that it needs besides
 */
export function nextHead(
  before: readonly Pack[],
  entries: Iterable<Entry>,
  read: (path: string) => Uint8Array,
  named: () => string,
): { readonly packs: readonly Pack[]; readonly parts: readonly Part[] } {
  const sorted = [...entries].toSorted((a, b) => compare(a.path, b.path))
  const groups = [...Map.groupBy(sorted, ({ path }) => packOf(path)).entries()]
  const newest = groups.map(([name]) => name).findLast((name) => name !== '')
  const known = new Map(before.map((pack) => [linesOf(pack.entries), pack]))
  const parts: Part[] = []
  let inside = 0
  const packs = groups.map(([name, files]): Pack => {
    const old = known.get(linesOf(files))
    if (old !== undefined && typeof old.data !== 'string') return old
    const text = typeof old?.data === 'string' ? old.data : packed(files.map(({ path }) => read(path)))
    if ((name === newest || name === '') && inside + text.length <= MOST_INSIDE) {
      inside += text.length
      return { entries: files, data: text }
    }
    const own = cut(text).map((each) => ({ name: named(), text: each }))
    parts.push(...own)
    return { entries: files, data: own.map((part) => part.name) }
  })
  return { packs, parts }
}

/** @returns the folder of a release, or nothing for the record */
function packOf(path: string): string {
  return /^releases\/[^/]+/.exec(path)?.[0] ?? ''
}

function linesOf(entries: readonly Entry[]): string {
  return entries.map(entryLine).join('\n')
}

function packed(all: readonly Uint8Array[]): string {
  return gzipSync(Buffer.concat(all)).toString('base64')
}

function cut(text: string): string[] {
  return Array.from({ length: Math.ceil(text.length / MOST_PART) }, (_, at) =>
    text.slice(at * MOST_PART, (at + 1) * MOST_PART),
  )
}

export function headText({ write, packs }: Head): string {
  const all = packs.map(({ entries, data }) => ({ files: entries.map(entryLine), data }))
  return `${JSON.stringify({ format: FORMAT, write, packs: all })}\n`
}

const FORMAT = 1

/** @param prefix of the names of parts @returns undefined for a text that Stagecraft did not write */
export function parseHead(text: string, prefix: string): Head | undefined {
  const value = Object(parseJson(text))
  const { format, write, packs } = value
  if (format !== FORMAT || typeof write !== 'string' || !Array.isArray(packs)) return undefined
  const all = packs.map((pack) => parsePack(Object(pack), prefix))
  const known = all.filter((pack) => pack !== undefined)
  const paths = known.flatMap(({ entries }) => entries.map(({ path }) => path))
  const size = known.flatMap(({ entries }) => entries).reduce((sum, entry) => sum + entry.size, 0)
  const isWhole = known.length === all.length && new Set(paths).size === paths.length
  return isWhole && paths.length <= MOST.files && size <= MOST.bytes ? { write, packs: known } : undefined
}

function parsePack({ files, data }: Record<string, unknown>, prefix: string): Pack | undefined {
  if (!Array.isArray(files)) return undefined
  const entries = files.map((line) => parseEntry(String(line)))
  if (entries.includes(undefined)) return undefined
  const isParts = Array.isArray(data) && data.every((name) => typeof name === 'string' && name.startsWith(prefix))
  if (typeof data !== 'string' && !isParts) return undefined
  return { entries: entries.filter((entry) => entry !== undefined), data }
}

/** @returns the names of all configs that a state needs besides its head */
export function partsOf(packs: readonly Pack[]): string[] {
  return packs.flatMap(({ data }) => (typeof data === 'string' ? [] : data))
}

/** @param texts of the parts, by name @returns the bytes of each file, or the path of the first one that is not what was written */
export function filesOf(packs: readonly Pack[], texts: ReadonlyMap<string, string>): Map<string, Uint8Array> | string {
  const files = new Map<string, Uint8Array>()
  for (const { entries, data } of packs) {
    const text = typeof data === 'string' ? data : data.map((name) => texts.get(name) ?? '').join('')
    const own = unpackFiles(entries, text)
    if (typeof own === 'string') return own
    for (const [path, bytes] of own) files.set(path, bytes)
  }
  return files
}
