import { lstatSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from './errors.ts'
import { pidSpace } from './pid-space.ts'

/** What a temporary file is called: `.<stem>-<pid space>-<pid>-<n>.tmp`; those of earlier versions name no space. */
const NAME = /^\.(.+?)(?:-([0-9a-f]{8}))?-(\d+)-\d+\.tmp$/

/** Milliseconds after which a file of another pid space is nobody's any more: it is written in far less than one second. */
const STALE = 24 * 3_600_000

/** @param n tells those of one process apart */
export function temporaryName(stem: string, n: number): string {
  return `.${stem}-${pidSpace()}-${process.pid}-${n}.tmp`
}

/** @returns what processes that are dead now left half-written in a folder: of one stem, or of any. */
export function deadTemporaries(folder: string, stem?: string): string[] {
  return listQuietly(folder).flatMap((name) => {
    const [, of, space, pid] = NAME.exec(name) ?? []
    if (pid === undefined || (stem !== undefined && of !== stem)) return []
    const path = join(folder, name)
    const isOurs = space === undefined || space === pidSpace()
    return (isOurs ? isDead(Number(pid)) : isStale(path, folder)) ? [path] : []
  })
}

/** @returns whether there is no such process in our pid namespace. */
function isDead(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    // EPERM is a living process of somebody else.
    return errnoOf(error) === 'ESRCH'
  }
}

/** Both times are the file system's own: no clock of ours may be wrong. */
function isStale(path: string, folder: string): boolean {
  const file = lstatSync(path, { throwIfNoEntry: false })
  return file !== undefined && statSync(folder).mtimeMs - file.mtimeMs > STALE
}

function listQuietly(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
