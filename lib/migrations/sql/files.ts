import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { StagecraftError, sayingErrno } from '../../util/errors.ts'
import { checkNames } from './names.ts'

/** A migration: one file of the folder. */
export interface SqlFile {
  readonly name: string
  /** of its bytes without a BOM and with LF for CRLF: what git on another system checks out has the same one */
  readonly sha256: string
  /** without a BOM; line ends as they are */
  readonly text: string
  /** whether its first line says `-- stagecraft: no-transaction` */
  readonly noTransaction: boolean
}

const DIRECTIVE = /^[ \t]*--[ \t]*stagecraft[ \t]*:[ \t]*(.*?)[ \t]*$/i
const NO_TRANSACTION = '-- stagecraft: no-transaction'
const SAVE_AS_UTF8 = 'Save the file as UTF-8.'

/**
 * @param folder its path
 * @returns the files `*.sql` directly in it, in the order of the bytes of their names. Names that begin with a dot, other
 * files and folders are left out.
 * @throws config (3): the folder or a file cannot be read, a name that another system would not take or that differs from
 * another one only in case, a link that leads out of the folder, text that is not UTF-8, a directive that is not known
 */
export function readSqlFolder(folder: string): SqlFile[] {
  const names = reading(folder, () => readdirSync(folder, 'utf8'))
  const candidates = names.filter((name) => /\.sql$/i.test(name) && !name.startsWith('.'))
  const files = candidates.filter((name) => isFile(folder, name)).sort(byBytes)
  checkNames(folder, files)
  return files.map((name) => readSqlFile(folder, name))
}

/** Compares names by their bytes in UTF-8, as `LC_ALL=C ls` does. */
export const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

function isFile(folder: string, name: string): boolean {
  const path = join(folder, name)
  return reading(path, () => {
    const real = realpathSync(path)
    if (!real.startsWith(`${realpathSync(folder)}/`)) {
      throw refuse(path, 'it is a link that leads out of the folder', 'Put a copy of the file there.')
    }
    return statSync(real).isFile()
  })
}

function readSqlFile(folder: string, name: string): SqlFile {
  const path = join(folder, name)
  const bytes = reading(path, () => readFileSync(path))
  const text = decode(path, bytes)
  const sha256 = createHash('sha256').update(text.replaceAll('\r\n', '\n')).digest('hex')
  return { name, sha256, text, noTransaction: readDirective(path, text) }
}

function decode(path: string, bytes: Buffer): string {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    throw refuse(`${path}:1`, 'it is UTF-16', SAVE_AS_UTF8)
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    const zero = text.indexOf('\0')
    if (zero === -1) return text
    throw refuse(`${path}:${lineAt(text, zero)}`, 'it holds a zero byte', SAVE_AS_UTF8)
  } catch (error) {
    if (error instanceof StagecraftError) throw error
    throw refuse(`${path}:${lineOfBadByte(bytes)}`, 'it is not UTF-8', SAVE_AS_UTF8)
  }
}

/** @returns the first line that is not UTF-8 by itself: no character has a byte of a line end within it */
function lineOfBadByte(bytes: Buffer): number {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  for (let line = 1, start = 0; ; line++) {
    const end = bytes.indexOf(0x0a, start)
    try {
      decoder.decode(bytes.subarray(start, end === -1 ? bytes.length : end))
    } catch {
      return line
    }
    if (end === -1) return line
    start = end + 1
  }
}

/** A directive that is not read would be worse than none: an index that was to be built concurrently locks the table. */
function readDirective(path: string, text: string): boolean {
  const lines = text.split(/\r?\n/)
  for (const [index, line] of lines.entries()) {
    const [, said] = DIRECTIVE.exec(line) ?? []
    if (said === undefined) continue
    if (index > 0 && !/no.?transaction/i.test(said)) continue // a comment like others
    const place = `${path}:${index + 1}`
    if (said.toLowerCase() !== 'no-transaction') {
      throw refuse(place, 'it is not known what this line asks for', `There is only: ${NO_TRANSACTION}`)
    }
    if (index > 0) throw refuse(place, `"${NO_TRANSACTION}" is not the first line`, 'Make it the first line.')
  }
  return DIRECTIVE.test(lines[0] ?? '')
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length

function reading<T>(path: string, read: () => T): T {
  return sayingErrno(read, (code) =>
    code === 'ENOENT'
      ? refuse(path, 'it does not exist', 'Name the folder with the *.sql files.')
      : refuse(path, code, 'Check the owner and the mode of the folder and its files.'),
  )
}

const refuse = (place: string, reason: string, hint: string): StagecraftError =>
  new StagecraftError('config', `Cannot use ${place}: ${reason}`, { hint })
