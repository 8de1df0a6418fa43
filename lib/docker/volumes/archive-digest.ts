import { createHash } from 'node:crypto'
import { Writable } from 'node:stream'

const BLOCK = 512

/**
 * Hashes the entries of a tar archive: names, types, owners, modes, times, sizes, contents and link targets. Times of folders are
 * left out: Docker gives a folder of a new volume the time at which it was filled.
 */
export class ArchiveDigest extends Writable {
  readonly #hash = createHash('sha256')
  #header = Buffer.alloc(0)
  /** bytes of the entry's content, with the padding of its last block, that are still to come */
  #content = 0
  #ended = false
  #left: number

  /** @param limit the most bytes of the archive; a larger one fails */
  constructor(limit: number) {
    super()
    this.#left = limit
  }

  /** the archive exceeds the limit */
  get isTooLarge(): boolean {
    return this.#left < 0
  }

  /** May be called once. @returns the hash in hex; undefined if the archive is incomplete or too large */
  digest(): string | undefined {
    return this.#ended && !this.isTooLarge ? this.#hash.digest('hex') : undefined
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#left -= chunk.length
    for (let rest = chunk; rest.length > 0 && !this.isTooLarge; )
      rest = rest.subarray(this.#content > 0 ? this.#read(rest) : this.#open(rest))
    done(this.isTooLarge ? new Error('the archive is too large') : undefined)
  }

  /** @returns how many bytes it consumed */
  #read(bytes: Buffer): number {
    const part = bytes.subarray(0, this.#content)
    this.#hash.update(part)
    this.#content -= part.length
    return part.length
  }

  #open(bytes: Buffer): number {
    const part = bytes.subarray(0, BLOCK - this.#header.length)
    this.#header = Buffer.concat([this.#header, part])
    if (this.#header.length < BLOCK) return part.length
    const header = this.#header
    this.#header = Buffer.alloc(0)
    this.#ended = header.every((byte) => byte === 0)
    if (this.#ended) return part.length
    this.#content = Math.ceil(sizeIn(header) / BLOCK) * BLOCK
    if (header.toString('latin1', 156, 157) === FOLDER) header.fill(0, 136, 156) // its time, and the checksum with it
    this.#hash.update(header)
    return part.length
  }
}

const FOLDER = '5'

/** Octal digits, or a binary number if the first bit is set (POSIX pax, GNU tar). */
function sizeIn(header: Buffer): number {
  if (((header[124] ?? 0) & 0x80) !== 0) return Number(header.readBigUInt64BE(128))
  return Number.parseInt(header.toString('latin1', 124, 136).replaceAll('\0', ' ').trim() || '0', 8)
}
