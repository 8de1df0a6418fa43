import { type BigIntStats, closeSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { withStateLock } from '../lock/files.ts'
import { writeFileAtomic } from '../system/atomic-write.ts'
import { systemError } from '../system/errors.ts'
import { protectFromGit } from '../system/protect-from-git.ts'
import { errnoOf, StagecraftError } from '../util/errors.ts'
import { decodeState, parseReleases, type Release, StateFormatError } from './releases-file/format.ts'
import { JsonSyntaxError } from './releases-file/json-scan.ts'
import { type PhaseChanges, printChanged, printRelease } from './releases-file/print.ts'
import { StateText } from './releases-file/text.ts'

/** The modes of spec/core/state.md, independent of the umask. */
const MODES = { mode: 0o600, folderMode: 0o750 }

/** The file as it was last read or written. */
interface Known {
  /** undefined: there was no file */
  readonly stats: BigIntStats | undefined
  readonly releases: Release[]
  /** undefined: there was no file */
  readonly source?: string
  /** the positions of the records, found when the first one changes */
  text?: StateText
}

/** The state file, cached as it was last read or written. Every method throws a `state` error (9) if that fails. */
export class StateFile {
  readonly path: string
  #known: Known | undefined

  constructor(path: string) {
    this.path = path
  }

  /** @returns the releases that the file has now, oldest first. Not copies: do not change them. */
  read(): readonly Release[] {
    return this.#guard('read', () => this.#current().releases)
  }

  /** Writes one more release. @param make gets the releases so far @returns it, not a copy */
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

  /** Writes new statuses of some phases of one release. @returns it as parsed, not a copy */
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

  /** Removes releases; writes nothing if none goes. */
  remove(isGone: (release: Release) => boolean): void {
    this.#alone(() => {
      const known = this.#guard('read', () => withText(this.#current()))
      const kept = known.releases.map((release) => !isGone(release))
      if (!kept.includes(false)) return
      const releases = known.releases.filter((_, index) => kept[index])
      this.#save({ stats: known.stats, releases, text: known.text.only((index) => kept[index] === true) }, () => {})
    })
  }

  /** Locks the file from reading to writing, so that no change of another process is lost. */
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

  /** The cache is dropped before the change, and set again only if the file is the one that was written. */
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
  // Checked before opening: opening a FIFO would wait for its writer.
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

/** Reading as text takes half as long as strict decoding, but replaces invalid bytes by U+FFFD. */
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

/** Does not compare the ctime: the rename that ends a write changes it. */
function isSameFile(a: BigIntStats | undefined, b: BigIntStats | undefined): boolean {
  return a?.dev === b?.dev && a?.ino === b?.ino && a?.size === b?.size && a?.mtimeNs === b?.mtimeNs
}

function stateError(attempt: string, error: unknown): unknown {
  if (error instanceof StateFormatError || error instanceof JsonSyntaxError) {
    const hint = 'The file was left as it is. Repair it, or restore a whole copy of it.'
    return new StagecraftError('state', `${attempt}: ${error.message}`, { hint, cause: error })
  }
  return systemError(attempt, error)
}
