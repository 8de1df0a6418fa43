import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import type { Exec } from '../../system/exec.ts'
import { removeTree } from '../../system/remove-tree.ts'
import type { HostState } from './answer.ts'
import type { Known } from './known.ts'
import { type Entry, isStatePath, manifestText, sha256 } from './manifest.ts'
import { packChanges } from './pack.ts'

/**
 * A copy of an environment's folder on a host, for the length of a command. State, bundles and content are read and written here
 * as if the environment were on this machine; `changes` are then sent to the host as a whole.
 */
export interface StateCopy {
  readonly folder: string
  /** Replaces the copy by the host's state. */
  fill(state: HostState): void
  /** @returns what was written since `fill`, or since `kept` of the last changes; undefined: nothing */
  changes(): Promise<Changes | undefined>
  remove(): void
}

export interface Changes {
  /** a tar.gz for WRITE (lib/hosts/scripts/objects.ts) */
  readonly archive: Buffer
  /** SHA-256 of its list of sums */
  readonly sums: string
  /** the old and the new `head` on the host; `next` is empty if the state stays as it is */
  readonly before: string
  readonly next: string
  /** to be called once the host has written them */
  kept(): void
}

/** @param folder is created, and must not exist */
export function openStateCopy(exec: Exec, folder: string): StateCopy {
  let known: Known = { head: '', files: new Map(), content: new Set(), locks: new Map(), legacy: false }
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
  return {
    folder,
    fill(state) {
      for (const name of fs.readdirSync(folder)) removeTree(join(folder, name))
      for (const [path, bytes] of state.files) put(join(folder, path), bytes)
      for (const [name, text] of state.locks) put(join(folder, 'locks', name), text)
      // Content under a hash never changes on the host: its name is enough here.
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

/** Names that begin with a dot are half written, or local only. @param known files that need not be read again */
export function look(
  folder: string,
  known: Known['files'],
): Pick<Known, 'files' | 'content' | 'locks'> & { head: string } {
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
