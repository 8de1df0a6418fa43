import { lstatSync } from 'node:fs'
import { basename, join } from 'node:path'
import { errnoOf } from '../util/errors.ts'
import { writeFileAtomic } from './atomic-write.ts'

/** Keeps a `.stagecraft` folder out of git: state and bundles contain env values. Any other folder may be a repository. */
export function protectFromGit(folder: string): void {
  if (basename(folder) !== '.stagecraft') return
  const file = join(folder, '.gitignore')
  try {
    lstatSync(file)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    writeFileAtomic(file, '*\n', { mode: 0o644, folderMode: 0o750 })
  }
}
