import { constants, openSync, writeSync } from 'node:fs'
import { errnoOf } from '../util/errors.ts'

/** stdout or stderr. Writing never throws: the dispatcher reports a failure once, at the end. */
export interface Output {
  write(text: string): void
  /** Writes what is of use only now, unless that would have to wait. @returns whether it is written, or will be with the next */
  offer?(text: string): boolean
  /** The errno of the first write that failed, such as `EPIPE` if the reader has gone. Nothing is written after it. */
  readonly failure: string | undefined
}

/** Milliseconds between attempts to write to a full non-blocking pipe. */
const RETRY_MS = 2

/** @returns an output that writes whole texts to a file descriptor, synchronously. `process.stdout` costs 9 ms at the start. */
export function createOutput(fd: number): Output {
  let failure: string | undefined
  let hasty: number | undefined
  let rest: Uint8Array = Buffer.alloc(0)
  const attempt = (act: () => void) => {
    if (failure !== undefined) return
    try {
      act()
    } catch (error) {
      failure = errnoOf(error) ?? 'EIO'
    }
  }
  return {
    get failure() {
      return failure
    },
    write(text) {
      attempt(() => {
        for (const bytes of [rest, Buffer.from(text)]) writeAll(fd, bytes)
        rest = rest.subarray(rest.length)
      })
    },
    offer(text) {
      const bytes = Buffer.concat([rest, Buffer.from(text)])
      let written = 0
      attempt(() => {
        hasty ??= openHasty(fd)
        written = writeSome(hasty, bytes)
      })
      const isTaken = written > rest.length || failure !== undefined
      rest = isTaken ? bytes.subarray(written) : rest.subarray(written)
      return isTaken
    },
  }
}

/** @returns the same file with a mode of its own: it does not wait, and other processes that share `fd` are not affected. Otherwise `fd` */
function openHasty(fd: number): number {
  try {
    return openSync(`/dev/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return fd
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) {
    const more = writeSome(fd, bytes.subarray(written))
    if (more === 0) Bun.sleepSync(RETRY_MS)
    written += more
  }
}

/** @returns how many bytes were written: 0 if the file takes none just now */
function writeSome(fd: number, bytes: Uint8Array): number {
  try {
    return writeSync(fd, bytes)
  } catch (error) {
    const code = errnoOf(error)
    if (code !== 'EAGAIN' && code !== 'EINTR') throw error
    return 0
  }
}
