import { writeSync } from 'node:fs'
import { errnoOf } from './errors.ts'

/** One of our two streams. Writing never throws: what could not be written is said once, at the end, by the dispatcher. */
export interface Output {
  write(text: string): void
  /** The errno of the first write that failed: `EPIPE` when the reader has gone. Nothing is written after it. */
  readonly failure: string | undefined
}

/** A reader that is behind, on a pipe that somebody made non-blocking. */
const RETRY_MS = 2

/** Writes to a file descriptor, whole texts, in order, at once. `process.stdout` would cost 9 ms at the start. */
export function createOutput(fd: number): Output {
  let failure: string | undefined
  return {
    get failure() {
      return failure
    },
    write(text) {
      if (failure !== undefined) return
      try {
        writeAll(fd, Buffer.from(text))
      } catch (error) {
        failure = errnoOf(error) ?? 'EIO'
      }
    },
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSome(fd, bytes.subarray(written))
}

function writeSome(fd: number, bytes: Uint8Array): number {
  try {
    return writeSync(fd, bytes)
  } catch (error) {
    const code = errnoOf(error)
    if (code !== 'EAGAIN' && code !== 'EINTR') throw error
    Bun.sleepSync(RETRY_MS)
    return 0
  }
}
