import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Bundle, readBundle } from './bundle.ts'
import { partIds } from './bundle-parts.ts'
import { EMPTY_FOLDER, storePath } from './content.ts'
import { StagecraftError } from './errors.ts'

/** A path of which the live release has a copy, and whether it is still the same here. */
export interface Copy {
  /** as people write it */
  readonly path: string
  /** `unknown`: it cannot be read, or is nothing any more that a release would keep */
  readonly here: 'same' | 'differs' | 'gone' | 'unknown'
}

/** Compares what a release keeps with what is in the project folder now. Reads only. @param directory the project folder */
export function compareCopies(stateFile: string, bundle: Bundle, directory: string): Copy[] {
  const parts = partIds(bundle).flatMap((id) => (id === bundle.id ? bundle : readBundle(stateFile, id)) ?? [])
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
