import { lstatSync, mkdtempSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { isLocked, tryLock } from './flock.ts'
import { removeTree } from './remove-tree.ts'

/** Not TMPDIR: paths of sockets have at most 104 characters on some systems. */
const FOLDER = '/tmp'

const NAME = /^stagecraft-(?:ssh|copy|images)-\w{6}$/

/** In each folder: locked for as long as its command lives. Its pid would say nothing in another pid namespace. */
const ALIVE = '.alive'

/**
 * Makes a folder that only its user can look into, for the length of a command. What commands that were killed left is
 * removed: a copy of a host's releases holds env values.
 * @param kind what it is for: `ssh`, `copy`, `images`
 */
export function makeScratch(kind: string): string {
  for (const name of readdirSync(FOLDER)) if (NAME.test(name)) removeIfDead(join(FOLDER, name))
  const made = mkdtempSync(join(FOLDER, `stagecraft-new-${kind}-`))
  tryLock(join(made, ALIVE)) // let go by the end of this process
  const named = made.replace('-new-', '-') // nobody takes it for one that was left before it is locked
  renameSync(made, named)
  return named
}

function removeIfDead(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat?.isDirectory() !== true || stat.uid !== process.getuid?.()) return
  try {
    if (!isLocked(join(path, ALIVE))) removeTree(path)
  } catch {
    // another command is at it
  }
}
