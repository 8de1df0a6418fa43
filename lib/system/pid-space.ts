import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

let own: string | undefined

/**
 * @returns eight characters for the scope in which a pid is unique: this boot of this machine, and its pid namespace. Two
 * containers may have the same host name and the same pids, and share a folder.
 */
export function pidSpace(): string {
  own ??= (Bun.hash(describe()) & 0xffffffffn).toString(16).padStart(8, '0')
  return own
}

function describe(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return hostname() // not Linux: there are no pid namespaces
  }
}
