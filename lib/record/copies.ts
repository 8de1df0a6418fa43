import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { EMPTY_FOLDER, storePath } from '../compose/content-store.ts'
import type * as contract from '../output/contract/status.ts'
import { StagecraftError } from '../util/errors.ts'
import type { Of } from '../util/schema.ts'
import { partRefs } from './bundle/ref.ts'
import { type Bundle, readBundle } from './bundle.ts'

/** A path that the live release has a copy of, and whether the project folder still has the same. */
export type Copy = Of<typeof contract.copy>

/** Compares the copies of a release with the files in the project folder now. @param directory the project folder */
export function compareCopies(stateFile: string, bundle: Bundle, directory: string): Copy[] {
  const parts = partRefs(bundle).flatMap((id) => (id === bundle.id ? bundle : readBundle(stateFile, id)) ?? [])
  const found = new Map<string, string>()
  for (const { name, hash, from } of parts.flatMap(({ content }) => content)) {
    const path = from ?? (/^[./]/.test(name) ? name : undefined)
    if (path !== undefined) found.set(path, hash)
  }
  return [...found]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, hash]) => ({ path, here: compare(resolve(directory, path), hash) }))
}

function compare(source: string, hash: string): Copy['here'] {
  if (!existsSync(source)) return hash === EMPTY_FOLDER ? 'same' : 'gone'
  try {
    const now = storePath({ folder: '', write: false }, source)
    if ('unfit' in now) return 'unknown'
    return now.hash === hash ? 'same' : 'differs'
  } catch (error) {
    if (error instanceof StagecraftError) return 'unknown'
    throw error
  }
}
