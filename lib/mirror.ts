import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import type { Exec } from './exec.ts'
import { type Entry, isStatePath, manifestText, sha256 } from './manifest.ts'
import { packChanges } from './mirror-pack.ts'
import { removeTree } from './remove-tree.ts'
import type { HostState } from './state-on-host.ts'

/**
 * A copy of an environment's folder on a host, for the length of a command: what reads and writes state, bundles and content
 * does so here, as if the environment were this machine's; `changes` are then taken to the host, as a whole.
 */
export interface Mirror {
  readonly folder: string
  /** Makes it what the host has. */
  fill(state: HostState): void
  /** @returns what was written since it was filled, or since these changes were last kept; undefined: nothing */
  changes(): Promise<Changes | undefined>
  remove(): void
}

export interface Changes {
  /** a tar.gz, as WRITE (lib/state-objects.ts) takes it */
  readonly archive: Buffer
  /** SHA-256 of its list of sums */
  readonly sums: string
  /** what `head` on the host was, and what it is to be; `next` is empty where the state stays as it is */
  readonly before: string
  readonly next: string
  /** the host has them: they are changes no more */
  kept(): void
}

/** What the copy was like when it was last the same as the host's. */
export interface Known {
  /** of `head`; empty: there is none */
  readonly head: string
  /** the files of the state, by path */
  readonly files: ReadonlyMap<string, Entry & { readonly sign: string }>
  /** names */
  readonly content: ReadonlySet<string>
  /** the descriptions of locks: SHA-256 by name */
  readonly locks: ReadonlyMap<string, string>
  /** there are no objects there yet: an earlier version has written them */
  readonly legacy: boolean
}

/** @param folder is made, and must not be there */
export function openMirror(exec: Exec, folder: string): Mirror {
  let known: Known = { head: '', files: new Map(), content: new Set(), locks: new Map(), legacy: false }
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
  return {
    folder,
    fill(state) {
      for (const name of fs.readdirSync(folder)) removeTree(join(folder, name))
      for (const [path, bytes] of state.files) put(join(folder, path), bytes)
      for (const [name, text] of state.locks) put(join(folder, 'locks', name), text)
      // What the host has under a hash is the same, and stays: a name is enough here.
      for (const name of state.content) put(join(folder, 'content', name), '')
      fs.mkdirSync(join(folder, 'content'), { recursive: true, mode: 0o700 })
      known = { ...look(folder, known.files), head: state.head, legacy: state.legacy }
    },
    async changes() {
      const before = known
      const now = { ...look(folder, before.files), legacy: false }
      const stays = sameFiles(before, now) && sameNames(before.content, now.content)
      if (stays && [...before.locks].join() === [...now.locks].join()) return undefined
      const next = stays ? '' : `${sha256(manifestText(now.files.values()))} ${crypto.randomUUID()}`
      const { archive, sums } = await packChanges(exec, folder, { before, now, next })
      return {
        ...{ archive, sums, before: before.head, next },
        kept: () => {
          known = stays ? { ...now, head: before.head, legacy: before.legacy } : { ...now, head: next }
        },
      }
    },
    remove: () => removeTree(folder),
  }
}

function put(path: string, bytes: string | Uint8Array): void {
  fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  fs.writeFileSync(path, bytes, { mode: 0o600, flag: 'wx' })
}

function sameFiles({ files }: Pick<Known, 'files'>, now: Pick<Known, 'files'>): boolean {
  if (files.size !== now.files.size) return false
  return [...now.files.values()].every(({ path, hash }) => files.get(path)?.hash === hash)
}

function sameNames(before: ReadonlySet<string>, now: ReadonlySet<string>): boolean {
  return before.size === now.size && [...now].every((name) => before.has(name))
}

/** What begins with a dot is half written, or only for here. @param known files that need not be read again */
function look(folder: string, known: Known['files']): Pick<Known, 'files' | 'content' | 'locks'> & { head: string } {
  const files = new Map<string, Entry & { sign: string }>()
  const walk = (path: string) => {
    for (const entry of entriesOf(join(folder, path))) {
      const inner = path === '' ? entry.name : `${path}/${entry.name}`
      if (entry.isDirectory() && inner !== 'content' && inner !== 'locks') walk(inner)
      else if (isStatePath(inner)) files.set(inner, lookAt(folder, inner, known.get(inner)))
    }
  }
  walk('')
  const locks = entriesOf(join(folder, 'locks')).filter(({ name }) => name.endsWith('.json'))
  const sums = locks.map(({ name }) => [name, sha256(fs.readFileSync(join(folder, 'locks', name)))] as const)
  const content = entriesOf(join(folder, 'content')).map(({ name }) => name)
  return { head: '', files, content: new Set(content), locks: new Map(sums) }
}

function entriesOf(folder: string): fs.Dirent[] {
  if (!fs.existsSync(folder)) return []
  return fs.readdirSync(folder, { withFileTypes: true }).filter(({ name }) => !name.startsWith('.'))
}

function lookAt(folder: string, path: string, known: (Entry & { sign: string }) | undefined) {
  const { ino, mtimeNs, size } = fs.statSync(join(folder, path), { bigint: true })
  const sign = `${ino} ${mtimeNs} ${size}`
  if (known?.sign === sign) return known
  return { path, hash: sha256(fs.readFileSync(join(folder, path))), size: Number(size), sign }
}
