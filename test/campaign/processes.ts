import { readdirSync, readFileSync } from 'node:fs'

/** Processes as seen through /proc, also those inside a lab host. Only descendants of ours are looked at. */
export function descendants(pid: number): number[] {
  const children = childrenOf(pid)
  return [...children, ...children.flatMap(descendants)]
}

/** @returns the descendant of `pid` that runs the program at `path`. */
export function programOf(pid: number, path: string): number | undefined {
  return descendants(pid).find((child) => read(`/proc/${child}/cmdline`).split('\0')[0] === path)
}

/** `kill -9` of a process, alone or with everything that it started. @returns whether it was there */
export function killNow(pid: number, how: 'alone' | 'group'): boolean {
  if (!signal(pid, how === 'alone' ? 'SIGKILL' : 'SIGSTOP')) return false
  if (how === 'alone') return true
  for (const each of [...descendants(pid), pid]) signal(each, 'SIGKILL')
  return true
}

/** @param pid 0: it had ended before it was found. The kernel would signal the caller's group. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  if (pid <= 0) return false
  try {
    return process.kill(pid, name)
  } catch {
    return false // it has ended
  }
}

function childrenOf(pid: number): number[] {
  return list(`/proc/${pid}/task`).flatMap((thread) =>
    read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  )
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
