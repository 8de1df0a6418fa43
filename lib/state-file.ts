import { type BigIntStats, closeSync, fstatSync, lstatSync, openSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { writeFileAtomic } from './atomic-write.ts'
import { errnoOf, StagecraftError } from './errors.ts'
import { JsonSyntaxError } from './json-scan.ts'
import { withStateLock } from './lock-files.ts'
import { decodeState, parseReleases, type Release, StateFormatError } from './state-format.ts'
import { type PhaseChanges, printChanged, printRelease } from './state-print.ts'
import { StateText } from './state-text.ts'
import { systemError } from './system-error.ts'

/** The modes of spec/core/state.md, whatever the umask. */
const MODES = { mode: 0o600, folderMode: 0o750 }

/** What the file was when we last read or wrote it. */
interface Known {
  /** Undefined: there was no file. */
  readonly stats: BigIntStats | undefined
  readonly releases: Release[]
  /** Undefined: there was no file. */
  readonly source?: string
  /** Where the records stand: found out when the first one changes. */
  text?: StateText
}

/** The state file, and what we know of it. Whatever cannot be read or written is a `state` error, exit 9. */
export class StateFile {
  readonly path: string
  #known: Known | undefined

  constructor(path: string) {
    this.path = path
  }

  /** @returns the releases, oldest first, as the file has them now. Not copies: never to be changed. */
  read(): readonly Release[] {
    return this.#guard('read', () => this.#current().releases)
  }

  /** Writes one more release, made in view of those that are there. @returns it, not a copy. */
  append(make: (releases: readonly Release[]) => Release): Release {
    return this.#alone(() => {
      const known = this.#guard('read', () => withText(this.#current()))
      const release = make(known.releases)
      this.#save(known, () => {
        known.text.append(Buffer.from(printRelease(release)))
        known.releases.push(release)
      })
      return release
    })
  }

  /** Writes new statuses of some phases of one release. @returns it as parsed, not a copy. */
  change(choose: (releases: readonly Release[]) => { index: number; changes: PhaseChanges }): Release {
    return this.#alone(() => {
      const known = this.#guard('read', () => withText(this.#current()))
      const { index, changes } = choose(known.releases)
      const record = this.#guard('read', () => printChanged(known.text.record(index), changes, `releases[${index}]`))
      const release: Release = JSON.parse(record)
      this.#save(known, () => {
        known.text.replace(index, Buffer.from(record))
        known.releases[index] = release
      })
      return release
    })
  }

  /** From reading to writing nobody else may write: whoever came between would be lost. */
  #alone<T>(act: () => T): T {
    return this.#guard('write', () => withStateLock(this.path, act))
  }

  #current(): Known {
    const stats = statIfThere(this.path)
    if (!this.#known || !isSameFile(this.#known.stats, stats) || this.#known.stats?.ctimeNs !== stats?.ctimeNs) {
      this.#known = undefined
      this.#known = stats ? load(this.path, stats) : { stats, releases: [] }
    }
    return this.#known
  }

  /** What we know is forgotten before the change, and known again only when the file is what we wrote. */
  #save(known: Known & { text: StateText }, edit: () => void): void {
    this.#known = undefined
    edit()
    this.#guard('write', () => {
      protectFromGit(dirname(this.path))
      const written = writeFileAtomic(this.path, known.text.bytes, { ...MODES, stem: 'releases' })
      const stats = statIfThere(this.path)
      if (isSameFile(written, stats)) this.#known = { stats, releases: known.releases, text: known.text }
    })
  }

  #guard<T>(verb: 'read' | 'write', act: () => T): T {
    try {
      return act()
    } catch (error) {
      throw stateError(`Cannot ${verb} ${this.path}`, error)
    }
  }
}

function withText(known: Known): Known & { text: StateText } {
  const text = known.text ?? new StateText(known.source === undefined ? undefined : Buffer.from(known.source))
  return { stats: known.stats, releases: known.releases, text }
}

function load(path: string, stats: BigIntStats): Known {
  // Checked first: opening a FIFO would wait for its writer.
  if (stats.isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' })
  if (!stats.isFile()) throw new StateFormatError('it is not a regular file')
  const fd = openSync(path, 'r')
  try {
    const opened = fstatSync(fd, { bigint: true })
    const source = readText(path, fd)
    return { stats: opened, releases: parseReleases(source), source }
  } finally {
    closeSync(fd)
  }
}

/** Reading as text takes half as long as decoding bytes strictly, but puts U+FFFD where they are not UTF-8. */
function readText(path: string, fd: number): string {
  const text = readFileSync(fd, 'utf8')
  return text.includes('\uFFFD') ? decodeState(readFileSync(path)) : text
}

function statIfThere(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true })
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** A rename changes the ctime of what it names, so that is not compared here. */
function isSameFile(a: BigIntStats | undefined, b: BigIntStats | undefined): boolean {
  return a?.dev === b?.dev && a?.ino === b?.ino && a?.size === b?.size && a?.mtimeNs === b?.mtimeNs
}

/** State and bundles hold values of env files. Only a folder that is ours by name: others may hold a whole repository. */
export function protectFromGit(folder: string): void {
  if (basename(folder) !== '.stagecraft') return
  const file = join(folder, '.gitignore')
  try {
    lstatSync(file)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    writeFileAtomic(file, '*\n', { ...MODES, mode: 0o644 })
  }
}

function stateError(attempt: string, error: unknown): unknown {
  if (error instanceof StateFormatError || error instanceof JsonSyntaxError) {
    const hint = 'The file was left as it is. Mend it there, or put a whole copy of it back.'
    return new StagecraftError('state', `${attempt}: ${error.message}`, { hint, cause: error })
  }
  return systemError(attempt, error)
}
