import { createHash, type KeyObject } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { signText } from './minisign.ts'

export const SUMS = 'SHA256SUMS'
export const SIGNATURE = 'SHA256SUMS.minisig'
export const VERSION = 'VERSION'
const BINARY = /^stagecraft-(linux|darwin)-[a-z0-9-]+$/

/**
 * Completes a folder with the files of a release: compresses each binary, and writes the version, the checksums of all files,
 * and their signature. The same files and key give the same bytes.
 */
export function sealRelease(folder: string, { version, key }: { version: string; key?: KeyObject }): void {
  for (const name of readdirSync(folder).filter((name) => BINARY.test(name)))
    writeFileSync(join(folder, `${name}.gz`), compressed(readFileSync(join(folder, name))))
  writeFileSync(join(folder, VERSION), `${version}\n`)
  const names = readdirSync(folder).filter((name) => name !== SUMS && name !== SIGNATURE)
  const sums = names.toSorted().map((name) => `${sha256(readFileSync(join(folder, name)))}  ${name}\n`)
  const text = Buffer.from(sums.join(''))
  writeFileSync(join(folder, SUMS), text)
  if (key) writeFileSync(join(folder, SIGNATURE), signText(text, key, `stagecraft ${version}`))
}

/** @returns the checksum of each file that a text of `sha256sum` names */
export function parseSums(text: string): ReadonlyMap<string, string> {
  return new Map([...text.matchAll(/^([0-9a-f]{64}) {2}(\S+)$/gm)].map(([, sum = '', name = '']) => [name, sum]))
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** gzip without a time, and without the name of the operating system (byte 9). */
function compressed(bytes: Uint8Array): Buffer {
  const packed = gzipSync(bytes, { level: 9 })
  packed.fill(0, 4, 8)
  packed[9] = 255
  return packed
}
