import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { errnoOf, StagecraftError } from '../util/errors.ts'

/** Removes a file or folder. Read-only folders in it are made writable first: content keeps its modes. @throws state (9) */
export function removeTree(path: string): void {
  try {
    unlock(path)
    fs.rmSync(path, { recursive: true, force: true })
  } catch (error) {
    throw new StagecraftError('state', `Cannot remove ${path}: ${errnoOf(error) ?? String(error)}`, {
      cause: error,
      hint: `Make ${dirname(path)} writable, then run \`stagecraft prune\`.`,
    })
  }
}

function unlock(path: string): void {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false })
  if (!stat?.isDirectory()) return
  fs.chmodSync(path, 0o700)
  for (const name of fs.readdirSync(path)) unlock(join(path, name))
}
