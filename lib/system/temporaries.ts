import { lstatSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DAY } from '../util/duration.ts'
import { errnoOf } from '../util/errors.ts'
import { pidSpace } from './pid-space.ts'

/** The name of a temporary file: `.<stem>-<pid space>-<pid>-<n>.tmp`; earlier versions had no pid space. */
const NAME = /^\.(.+?)(?:-([0-9a-f]{8}))?-(\d+)-\d+\.tmp$/

/** Milliseconds after which a file of another pid space is abandoned: writing takes far less than a second. */
const STALE = DAY

/** @param n distinguishes the files of one process */
export function temporaryName(stem: string, n: number): string {
  return `.${stem}-${pidSpace()}-${process.pid}-${n}.tmp`
}

/** @returns the temporary files of dead processes in a folder. @param stem default: any */
export function deadTemporaries(folder: string, stem?: string): string[] {
  return listQuietly(folder).flatMap((name) => {
    const [, of, space, pid] = NAME.exec(name) ?? []
    if (pid === undefined || (stem !== undefined && of !== stem)) return []
    const path = join(folder, name)
    const isOurs = space === undefined || space === pidSpace()
    return (isOurs ? isDead(Number(pid)) : isStale(path, folder)) ? [path] : []
  })
}

/** @returns whether there is no such process in this pid namespace. */
function isDead(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    // EPERM: the process lives, and is another user's.
    return errnoOf(error) === 'ESRCH'
  }
}

/** Both times are the file system's own, in case this machine's clock is wrong. */
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
