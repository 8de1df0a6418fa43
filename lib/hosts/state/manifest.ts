import { createHash } from 'node:crypto'

/** One file of a host's state: the bytes are in `objects/<hash>`, its readable name is `path` (spec/core/hosts.md). */
export interface Entry {
  /** SHA-256 of the bytes, hexadecimal */
  readonly hash: string
  /** bytes */
  readonly size: number
  /** below the environment's folder */
  readonly path: string
}

/** The content of `head`: the manifest that counts, and the id of the write, which differs even if the manifest is the same. */
export interface Head {
  /** SHA-256 of the manifest */
  readonly hash: string
  readonly write: string
}

/** The most files, and the most bytes in all of them, of a host's state. */
export const MOST = { files: 100_000, bytes: 256 * 1024 * 1024 } as const

// No part begins with a dot: no path leads out of the folder or is hidden. The parts are ids of releases, and names.
const PATH = /^(?:releases\.json|releases(?:\/[A-Za-z0-9_][A-Za-z0-9_.@+%-]*){2,5}\.jsonl?)$/
const HASH = /^[0-9a-f]{64}$/
const HEAD = /^([0-9a-f]{64}) ([0-9a-f-]{36})$/

export function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** @returns whether a path is one that a host's state can have */
export function isStatePath(path: string): boolean {
  return path.length <= 512 && PATH.test(path)
}

/** @param line the text of `head` @returns undefined if Stagecraft did not write it */
export function parseHead(line: string): Head | undefined {
  const [, hash, write] = HEAD.exec(line) ?? []
  return hash === undefined || write === undefined ? undefined : { hash, write }
}

/** @returns undefined for a line that Stagecraft did not write */
export function parseEntry(line: string): Entry | undefined {
  const [hash = '', size = '', ...rest] = line.split(' ')
  const path = rest.join(' ')
  if (!HASH.test(hash) || !/^(0|[1-9]\d{0,9})$/.test(size) || !isStatePath(path)) return undefined
  return { hash, size: Number(size), path }
}

export function entryLine({ hash, size, path }: Entry): string {
  return `${hash} ${size} ${path}`
}

/** @returns the manifest of these files: a line for each, sorted by bytes, as `LC_ALL=C sort` does */
export function manifestText(entries: Iterable<Entry>): string {
  return [...entries]
    .map((entry) => `${entryLine(entry)}\n`)
    .sort()
    .join('')
}
