import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { ContentStore } from '../compose/content-store.ts'
import type { OwnedFile } from '../compose/rendering.ts'
import type { Docker } from './client.ts'
import { create, NOBODYS } from './lifecycle.ts'

/** What creating files through an engine needs. */
interface Maker {
  readonly docker: Docker
  readonly store: ContentStore
  /** the Compose project */
  readonly project: string
  /** any image of the engine: it is never run */
  readonly image: string
}

/**
 * Gives configs and secrets made from text the owners that their services ask for, as Compose does in a container. Only the
 * engine can do that for every user and on every host: `docker cp` writes into the mounts of a container that is never started,
 * with the owners and modes of the archive.
 * @throws failed (5), unreachable (8)
 */
export async function giveToOwners(
  files: readonly OwnedFile[],
  { docker, store, project, image }: Maker,
): Promise<void> {
  const missing = store.at === undefined ? files.filter((file) => !isRight(store, file)) : files
  if (missing.length === 0) return
  const name = `stagecraft-files-${project}`
  const what = 'give configs and secrets to their owners'
  await docker.try(['rm', '--force', '--volumes', name]) // left by a run that died
  const mount = `type=bind,"source=${(store.at ?? store.folder).replaceAll('"', '""')}",target=${INSIDE}`
  const flags = { name, label: NOBODYS, network: 'none', entrypoint: '/none', mount }
  await create(docker, [image], { flags, what })
  try {
    await docker.run(what, ['cp', '-', `${name}:${INSIDE}`], { inputFrom: Readable.from([archive(missing)]) })
  } finally {
    await docker.try(['rm', '--force', '--volumes', name])
  }
}

const INSIDE = '/stagecraft-content'

function isRight({ folder }: ContentStore, { hash, uid, gid, mode }: OwnedFile): boolean {
  const stat = lstatSync(join(folder, hash), { throwIfNoEntry: false })
  return stat !== undefined && stat.uid === uid && stat.gid === gid && (stat.mode & 0o7777) === mode
}

/** @returns a tar archive (POSIX ustar) of files, named by their hashes */
export function archive(files: readonly OwnedFile[]): Buffer {
  const entries = files.flatMap((file) => {
    const bytes = Buffer.from(file.text)
    return [header(file, bytes.length), bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]
  })
  return Buffer.concat([...entries, Buffer.alloc(2 * BLOCK)])
}

const BLOCK = 512

function header({ hash, uid, gid, mode }: OwnedFile, size: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, at: number, length: number) => {
    const digits = value.toString(8).padStart(length - 1, '0')
    if (digits.length < length) return void block.write(digits, at, 'ascii')
    block.writeUInt8(0x80, at) // GNU tar's format for numbers with more digits
    block.writeUInt32BE(value, at + length - 4)
  }
  block.write(hash, 0, 100, 'ascii')
  octal(mode, 100, 8)
  octal(uid, 108, 8)
  octal(gid, 116, 8)
  octal(size, 124, 12)
  octal(Math.floor(Date.now() / 1000), 136, 12)
  block.write('        ', 148, 8, 'ascii')
  block.write('0', 156, 1, 'ascii')
  block.write('ustar\u000000', 257, 8, 'ascii')
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'ascii')
  return block
}
