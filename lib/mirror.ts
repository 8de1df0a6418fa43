import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { StagecraftError } from './errors.ts'
import type { Exec } from './exec.ts'
import { removeTree } from './remove-tree.ts'

/**
 * A copy of an environment's folder on a host, for the length of a command: what reads and writes state, bundles and content
 * does so here, as if the environment were this machine's; `changes` are then taken to the host, in whole.
 */
export interface Mirror {
  readonly folder: string
  /** Makes it what the host has. @param archive a tar.gz @param content names of the content that the host has */
  fill(archive: Buffer, content: readonly string[]): Promise<void>
  /** @returns what was written since it was filled, or since these changes were last kept; undefined: nothing */
  changes(): Promise<Changes | undefined>
  remove(): void
}

export interface Changes {
  /** a tar.gz, as lib/state-scripts.ts takes it */
  readonly archive: Buffer
  /** the host has them: they are changes no more */
  kept(): void
}

/** By path below the folder. `size` of what only grows. */
type Seen = Map<string, { readonly sign: string; readonly size: number }>

/** @param folder is made, and must not be there */
export function openMirror(exec: Exec, folder: string): Mirror {
  let seen: Seen = new Map()
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
  return {
    folder,
    async fill(archive, content) {
      for (const name of fs.readdirSync(folder)) removeTree(join(folder, name))
      if (archive.length > 0) await unpack(exec, archive, folder)
      // What the host has under a hash is the same, and stays: a name is enough here.
      fs.mkdirSync(join(folder, 'content'), { recursive: true, mode: 0o700 })
      for (const name of content) fs.writeFileSync(join(folder, 'content', name), '', { mode: 0o600 })
      seen = look(folder)
    },
    async changes() {
      const now = look(folder)
      const changed = [...now].filter(([path, { sign }]) => seen.get(path)?.sign !== sign)
      const removed = [
        ...new Set([...seen.keys()].filter((path) => !now.has(path)).map((path) => outermostGone(folder, path))),
      ]
      if (changed.length + removed.length === 0) return undefined
      const before = seen
      const archive = await pack(exec, folder, { changed: changed.map(([path]) => path), removed, before })
      return {
        archive,
        kept: () => {
          seen = now
        },
      }
    },
    remove: () => removeTree(folder),
  }
}

/** Content counts by its name: it never changes. What begins with a dot is half written, or only for here. */
function look(folder: string): Seen {
  const seen: Seen = new Map()
  const walk = (path: string) => {
    for (const entry of fs.readdirSync(join(folder, path), { withFileTypes: true })) {
      const inner = path === '' ? entry.name : `${path}/${entry.name}`
      if (entry.name.startsWith('.') || !isOurs(inner, entry.isDirectory())) continue
      if (entry.isDirectory() && path !== 'content') walk(inner)
      else seen.set(inner, signOf(join(folder, inner), path === 'content'))
    }
  }
  walk('')
  return seen
}

/** @returns the release's folder, where all of it is gone */
function outermostGone(folder: string, path: string): string {
  const [, release] = /^(releases\/[^/]+)\//.exec(path) ?? []
  return release !== undefined && !fs.existsSync(join(folder, release)) ? release : path
}

/** Locks themselves are the host's. */
function isOurs(path: string, isFolder: boolean): boolean {
  return isFolder || path.startsWith('content/') || path.endsWith('.json') || path.endsWith('.jsonl')
}

function signOf(path: string, isContent: boolean) {
  if (isContent) return { sign: 'content', size: 0 }
  const { ino, mtimeNs, size } = fs.statSync(path, { bigint: true })
  return { sign: `${ino} ${mtimeNs} ${size}`, size: Number(size) }
}

async function unpack(exec: Exec, archive: Buffer, folder: string): Promise<void> {
  const file = join(folder, '.fetched')
  fs.writeFileSync(file, archive, { mode: 0o600 })
  const { code, stderr } = await exec(['tar', '-xzof', file, '-C', folder])
  if (code !== 0)
    throw new StagecraftError('state', 'Cannot unpack what the host keeps of its releases', { detail: stderr })
  fs.rmSync(file)
}

interface Difference {
  readonly changed: readonly string[]
  readonly removed: readonly string[]
  readonly before: Seen
}

async function pack(exec: Exec, folder: string, { changed, removed, before }: Difference): Promise<Buffer> {
  const stage = join(folder, '.stage')
  const archive = join(folder, '.changes')
  removeTree(stage)
  fs.mkdirSync(stage, { mode: 0o700 })
  const put = (path: string, text: string | Buffer) => {
    fs.mkdirSync(dirname(join(stage, path)), { recursive: true, mode: 0o700 })
    fs.writeFileSync(join(stage, path), text, { mode: 0o600 })
  }
  const content = changed.filter((path) => path.startsWith('content/'))
  for (const path of changed.filter((path) => !content.includes(path))) {
    const known = before.get(path)
    const bytes = fs.readFileSync(join(folder, path))
    // Events are only ever added to: a long release does not send all of them each time.
    if (path.endsWith('.jsonl') && known && known.size < bytes.length) put(`append/${path}`, bytes.subarray(known.size))
    else put(path, bytes)
  }
  put('generation', `${crypto.randomUUID()}\n`)
  for (const path of content)
    put(`modes/${path.slice('content/'.length)}`, (fs.statSync(join(folder, path)).mode & 0o7777).toString(8))
  if (removed.length > 0) put('removed', `${removed.join('\n')}\n`)
  const argv = [
    'tar',
    '-czf',
    archive,
    '-C',
    stage,
    ...fs.readdirSync(stage),
    ...(content.length > 0 ? ['-C', folder, ...content] : []),
  ]
  const { code, stderr } = await exec(argv, { env: { COPYFILE_DISABLE: '1' } })
  if (code !== 0) throw new StagecraftError('state', 'Cannot pack what is to be kept on the host', { detail: stderr })
  const packed = fs.readFileSync(archive)
  removeTree(stage)
  fs.rmSync(archive)
  return packed
}
