import { join, resolve } from 'node:path'
import { nextReleaseId } from '../plan/release-id.ts'
import { PHASES, type PhaseName, type PhaseStatus } from '../plan/six-phases.ts'
import { StagecraftError } from '../util/errors.ts'
import { StateFile } from './file.ts'
import { findRelease, isComplete, LIST_HINT } from './find-release.ts'
import { stateHome } from './home.ts'
import type { Release } from './releases-file/format.ts'
import type { PhaseChanges } from './releases-file/print.ts'

/** What a release is made from. */
interface NewRelease {
  readonly environment: string
  readonly version: string
  readonly commit_sha: string
}

/**
 * The releases of a project. All calls but `history` return copies, and see what other processes wrote before. All throw
 * `state` (9) if the file cannot be read or written, or is not in the format.
 */
export interface State {
  readonly file: string
  /** Appends a release with all six phases `pending`. */
  createRelease(input: NewRelease): Release
  getRelease(id: string): Release | undefined
  /** @returns the newest release of the environment whose six phases are all `completed` */
  getCurrentRelease(environment: string): Release | undefined
  /** @returns all releases, newest first. Not copies, which would cost as much as parsing: do not change them. */
  history(): readonly Release[]
  /** @returns the releases, newest first; only those of one environment, and no more than `limit`, if given */
  listReleases(filter?: { readonly environment?: string; readonly limit?: number }): Release[]
  /** @throws `not-found` (4) if there is no such release; `bug` (1) if a second phase of it would run */
  updatePhase(id: string, phase: PhaseName, status: PhaseStatus): Release
  /** Changes several phases in one write: a failure and what it skips. Throws like `updatePhase`. */
  updatePhases(id: string, changes: PhaseChanges): Release
  /** Removes the records of an environment. */
  removeReleases(environment: string): void
  /**
   * @param reference an exact id, an unambiguous beginning of one, `latest` or `current`
   * @param environment where to look; default: everywhere
   * @throws `not-found` (4)
   */
  findRelease(reference: string, environment?: string): Release
}

/** @returns the state file: `override` (`--state` or STAGECRAFT_STATE_FILE) unless empty, else the project's own */
export function stateFile(projectDir: string, override?: string): string {
  return override ? resolve(override) : join(stateHome(resolve(projectDir), STATE_FILE), STATE_FILE)
}

export const STATE_FILE = 'releases.json'

/** @returns the state file in an environment's own folder */
export function stateFileIn(folder: string): string {
  return join(folder, STATE_FILE)
}

/** @returns the releases of an environment, newest first. @throws state (9) */
export function releasesOf(file: string, environment: string): Release[] {
  return openState(file, { clock: Date.now }).listReleases({ environment })
}

/** Opens the state kept in `file`. Reads nothing yet. @param options.clock returns epoch milliseconds */
export function openState(file: string, options: { readonly clock: () => number }): State {
  return new FileState(file, options.clock)
}

const ALL_PENDING: Release['phases'] = {
  build: 'pending',
  push: 'pending',
  migrate_pre: 'pending',
  rollout: 'pending',
  migrate_post: 'pending',
  finalize: 'pending',
}

class FileState implements State {
  readonly #file: StateFile
  readonly #clock: () => number

  constructor(file: string, clock: () => number) {
    this.#file = new StateFile(file)
    this.#clock = clock
  }

  get file(): string {
    return this.#file.path
  }

  createRelease(input: NewRelease): Release {
    return copyOf(this.#file.append((releases) => this.#newRelease(input, releases)))
  }

  getRelease(id: string): Release | undefined {
    const release = this.#file.read().find((candidate) => candidate.id === id)
    return release && copyOf(release)
  }

  getCurrentRelease(environment: string): Release | undefined {
    const release = this.#file
      .read()
      .findLast((candidate) => candidate.environment === environment && isComplete(candidate))
    return release && copyOf(release)
  }

  history(): readonly Release[] {
    return this.#file.read().toReversed()
  }

  listReleases({
    environment,
    limit = Number.POSITIVE_INFINITY,
  }: {
    environment?: string
    limit?: number
  } = {}): Release[] {
    const releases = this.#file.read()
    const found =
      environment === undefined ? releases : releases.filter((release) => release.environment === environment)
    return found
      .slice(Math.max(0, found.length - limit))
      .toReversed()
      .map(copyOf)
  }

  updatePhase(id: string, phase: PhaseName, status: PhaseStatus): Release {
    return this.updatePhases(id, { [phase]: status })
  }

  updatePhases(id: string, changes: PhaseChanges): Release {
    const changed = this.#file.change((releases) => {
      const index = releases.findIndex((release) => release.id === id)
      const release = releases[index]
      if (!release) throw notInFile(id, this.file)
      refuseSecondRunning(release, changes)
      return { index, changes }
    })
    return copyOf(changed)
  }

  removeReleases(environment: string): void {
    this.#file.remove((release) => release.environment === environment)
  }

  findRelease(reference: string, environment?: string): Release {
    return copyOf(findRelease(this.#file.read(), reference, environment))
  }

  #newRelease({ environment, version, commit_sha }: NewRelease, releases: readonly Release[]): Release {
    const ids = releases.map((release) => release.id)
    const next = nextReleaseId(ids, this.#clock())
    if (!next) throw noIdLeft(this.file)
    const previous = releases.findLast((release) => release.environment === environment)
    const { id, timestamp } = next
    const release = { id, environment, version, commit_sha, timestamp, phases: ALL_PENDING }
    return previous ? { ...release, previous_id: previous.id } : release
  }
}

/** @throws `bug` (1): phases run one after the other, and readers of the file may rely on that */
function refuseSecondRunning(release: Release, changes: PhaseChanges): void {
  if (!Object.values(changes).includes('running')) return
  const running = PHASES.filter((phase) => (changes[phase] ?? release.phases[phase]) === 'running')
  if (running.length < 2) return
  throw new StagecraftError('bug', `Cannot run ${running.join(' and ')} of ${release.id} at the same time`)
}

function notInFile(id: string, file: string): StagecraftError {
  return new StagecraftError('not-found', `Cannot find release "${id}": it is not in ${file}`, { hint: LIST_HINT })
}

function noIdLeft(file: string): StagecraftError {
  return new StagecraftError('state', `Cannot create a release in ${file}: no id is left after its greatest one`, {
    hint: 'Look for a release whose id is far in the future, and for the machine whose clock made it.',
  })
}

/** The known fields, in the format's order, and the six phases in the order in which they run. */
function copyOf(stored: Release): Release {
  const { id, environment, version, commit_sha, timestamp, phases, previous_id } = stored
  const { build, push, migrate_pre, rollout, migrate_post, finalize } = phases
  const six = { build, push, migrate_pre, rollout, migrate_post, finalize }
  if (previous_id === undefined) return { id, environment, version, commit_sha, timestamp, phases: six }
  return { id, environment, version, commit_sha, timestamp, phases: six, previous_id }
}

export { PHASES, type PhaseName, type PhaseStatus } from '../plan/six-phases.ts'
