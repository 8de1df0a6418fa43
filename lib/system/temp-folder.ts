import { lstatSync, mkdtempSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { isLocked, tryLock } from './flock.ts'
import { removeTree } from './remove-tree.ts'

/** Not TMPDIR: a socket's path has at most 104 characters on some systems. */
const FOLDER = '/tmp'

const NAME = /^stagecraft-(?:ssh|copy|images|sql|model)-\w{6}$/

/** A file in each folder, locked while its command lives. A pid would mean nothing in another pid namespace. */
const ALIVE = '.alive'

/**
 * Makes a folder for the duration of a command, which only its user can access. Folders that killed commands left are
 * removed: a copy of a host's releases contains env values.
 * @param kind what it is for: `ssh`, `copy`, `images`, `sql`, `model`
 */
export function makeTempFolder(kind: string): string {
  for (const name of readdirSync(FOLDER)) if (NAME.test(name)) removeIfDead(join(FOLDER, name))
  const made = mkdtempSync(join(FOLDER, `stagecraft-new-${kind}-`))
  tryLock(join(made, ALIVE)) // released when this process ends
  const named = made.replace('-new-', '-') // until it is locked, another command could take it for a left one
  renameSync(made, named)
  return named
}

function removeIfDead(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat?.isDirectory() !== true || stat.uid !== process.getuid?.()) return
  try {
    if (!isLocked(join(path, ALIVE))) removeTree(path)
  } catch {
    // another command is removing it
  }
}
