import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { isDead } from './atomic-write.ts'

/** A process as it can be told from a later one that has its number. */
export interface ProcessName {
  readonly machine: string
  readonly pid: number
  /** `startOf` it */
  readonly started?: string
}

/** @returns whether a process has certainly ended: that can only be known on its own machine. */
export function hasDied({ machine, pid, started }: ProcessName): boolean {
  if (machine !== hostname()) return false
  return isDead(pid) || (started !== undefined && startOf(pid) !== started)
}

/** @returns when a process began, in ticks since the machine did (proc(5), stat, field 22); undefined outside Linux. */
export function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field, the program's name, may hold spaces and brackets.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
