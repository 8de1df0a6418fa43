import { lstatSync, mkdtempSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isDead } from './atomic-write.ts'
import { removeTree } from './remove-tree.ts'

/** Not TMPDIR: paths of sockets have at most 104 characters on some systems. */
const FOLDER = '/tmp'

/**
 * Makes a folder that only its user can look into, for the length of a command. What commands that were killed left is
 * removed: a copy of a host's releases holds env values.
 * @param kind what it is for: `ssh`, `copy`, `images`
 */
export function makeScratch(kind: string): string {
  for (const name of readdirSync(FOLDER)) {
    const [, pid] = /^stagecraft-(?:ssh|copy|images)-(\d+)-\w{6}$/.exec(name) ?? []
    if (pid !== undefined && isDead(Number(pid)) && isOurs(join(FOLDER, name))) remove(join(FOLDER, name))
  }
  return mkdtempSync(join(FOLDER, `stagecraft-${kind}-${process.pid}-`))
}

function isOurs(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  return stat?.isDirectory() === true && stat.uid === process.getuid?.()
}

function remove(path: string): void {
  try {
    removeTree(path)
  } catch {
    // another command is at it
  }
}
