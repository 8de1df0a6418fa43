import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import type { Exec } from '../../system/exec.ts'
import { removeTree } from '../../system/remove-tree.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { Known } from './known.ts'
import { type Entry, entryLine, sha256 } from './manifest.ts'

interface Difference {
  readonly before: Known
  readonly now: Pick<Known, 'files' | 'content' | 'locks'>
  /** the new `head`; empty: the state stays as it is */
  readonly next: string
}

/**
 * Packs the input of WRITE (lib/hosts/scripts/objects.ts). New files of the state are `blobs/<hash>`; for a file that only grew, the
 * added bytes are `tails/<hash>`. Everything but blobs, tails, content and descriptions of locks is a list, one entry a line.
 * @throws state (9)
 */
export async function packChanges(exec: Exec, folder: string, difference: Difference) {
  const stage = join(folder, '.stage')
  removeTree(stage)
  fs.mkdirSync(stage, { mode: 0o700 })
  const put = (path: string, bytes: string | Uint8Array) => {
    fs.mkdirSync(dirname(join(stage, path)), { recursive: true, mode: 0o700 })
    fs.writeFileSync(join(stage, path), bytes, { mode: 0o600 })
    fs.chmodSync(join(stage, path), 0o660)
  }
  const list = (name: string, lines: readonly string[]) => put(name, lines.map((line) => `${line}\n`).join(''))
  const content = [...difference.now.content].filter((name) => !difference.before.content.has(name))
  const readable = difference.next === '' ? [] : putFiles(folder, difference, put, list)
  putLocks(folder, difference, put, list)
  const modeOf = (name: string) => (fs.statSync(join(folder, 'content', name)).mode & 0o7777).toString(8)
  list(
    'modes',
    content.map((name) => `${name} ${modeOf(name)}`),
  )
  const goneContent = [...difference.before.content].filter((name) => !difference.now.content.has(name))
  list('dropped', [...readable, ...goneContent.map((name) => `content/${name}`)])
  const kept = content.flatMap((name) => walk(folder, `content/${name}`))
  // Counts the folder `content`, and the files `sums` and `count`, too.
  const staged = walk(stage, '.').length + 2 + (content.length > 0 ? 1 : 0)
  put('count', `${staged + kept.length}\n`)
  const sums = [...sumsOf(stage, walk(stage, '.')), ...sumsOf(folder, kept)].join('')
  put('sums', sums)
  const archive = await pack(exec, { folder, stage, content })
  removeTree(stage)
  return { archive, sums: sha256(sums) }
}

type Put = (path: string, bytes: string | Uint8Array) => void
type List = (name: string, lines: readonly string[]) => void

/** @returns the folders that no longer contain a file of the state */
function putFiles(folder: string, { before, now }: Difference, put: Put, list: List): string[] {
  const old = before.legacy ? new Map<string, Entry>() : before.files
  const added = [...now.files.values()].filter(({ path, hash }) => old.get(path)?.hash !== hash)
  const gone = [...old.values()].filter(({ path, hash }) => now.files.get(path)?.hash !== hash)
  const [links, appends]: [string[], string[]] = [[], []]
  fs.mkdirSync(join(folder, '.stage/blobs'), { mode: 0o700 })
  for (const { path, hash } of added) {
    const known = before.files.get(path)
    const bytes = fs.readFileSync(join(folder, path))
    // The host has the file already, but under its readable name only.
    if (known?.hash === hash) links.push(`${hash} ${path}`)
    // events.jsonl only grows: a long release does not send it whole each time.
    else if (
      known &&
      !before.legacy &&
      known.size < bytes.length &&
      sha256(bytes.subarray(0, known.size)) === known.hash
    ) {
      put(`tails/${hash}`, bytes.subarray(known.size))
      appends.push(`${hash} ${known.hash}`)
    } else put(`blobs/${hash}`, bytes)
  }
  list('added', added.map(entryLine))
  list('gone', gone.map(entryLine))
  list('links', links)
  list('appends', appends)
  const removed = [...before.files.keys()].filter((path) => !now.files.has(path))
  list('removed', removed)
  const folders = new Set(removed.flatMap((path) => /^releases\/[^/]+/.exec(path) ?? []))
  return [...folders].filter((each) => ![...now.files.keys()].some((path) => path.startsWith(`${each}/`)))
}

/** Descriptions of locks have no objects, since other runs replace them at any time. A hold is replaced only if it is as it was read. */
function putLocks(folder: string, { before, now }: Difference, put: Put, list: List): void {
  const changed = [...now.locks].filter(([name, sum]) => before.locks.get(name) !== sum)
  for (const [name] of changed) put(`locks/${name}`, fs.readFileSync(join(folder, 'locks', name)))
  const removed = [...before.locks.keys()].filter((name) => !now.locks.has(name))
  list('unlocked', removed)
  const holds = [...changed.map(([name]) => name), ...removed].filter((name) => name.endsWith('.hold.json'))
  list(
    'holds',
    holds.map((name) => `${name} ${before.locks.get(name) ?? '-'}`),
  )
}

/** @returns a path below a folder, and all files, folders and links below it */
function walk(folder: string, path: string): string[] {
  const stat = fs.lstatSync(join(folder, path))
  if (!stat.isDirectory()) return [path]
  return [path, ...fs.readdirSync(join(folder, path)).flatMap((name) => walk(folder, `${path}/${name}`))]
}

/** @returns lines for `sha256sum -c`. Names that need escaping are left out, since busybox cannot read them; `count` covers them. */
function sumsOf(folder: string, paths: readonly string[]): string[] {
  return paths
    .filter((path) => !/[\\\n\r]/.test(path) && fs.lstatSync(join(folder, path)).isFile())
    .map((path) => `${sha256(fs.readFileSync(join(folder, path)))}  ${path}\n`)
}

interface Packed {
  readonly folder: string
  readonly stage: string
  readonly content: readonly string[]
}

/**
 * Folders are left out, except in content: the host makes them itself, writable for the group that shares them, so that any user's
 * next write can remove what a write that died has left.
 */
async function pack(exec: Exec, { folder, stage, content }: Packed): Promise<Buffer> {
  const archive = join(folder, '.changes')
  const more = content.length > 0 ? ['-C', folder, ...content.map((name) => `content/${name}`)] : []
  const files = walk(stage, '.').filter((path) => fs.lstatSync(join(stage, path)).isFile())
  const argv = ['tar', '-czf', archive, '-C', stage, ...files, ...more]
  const { code, stderr } = await exec(argv, { env: { COPYFILE_DISABLE: '1' } })
  if (code !== 0) throw new StagecraftError('state', 'Cannot pack the changes for the host', { detail: stderr })
  const packed = fs.readFileSync(archive)
  fs.rmSync(archive)
  return packed
}
