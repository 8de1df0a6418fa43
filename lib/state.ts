import { resolve } from 'node:path'
import type { PhaseName, PhaseStatus, Release } from './state-format.ts'

export { PHASES, type PhaseName, type PhaseStatus, type Release } from './state-format.ts'

export interface NewRelease {
  readonly environment: string
  readonly version: string
  readonly commit_sha: string
}

/** The releases of a project. Whatever it returns is a copy: changing it changes nothing. */
export interface State {
  readonly file: string
  /** Appends a release with all six phases `pending`. */
  createRelease(input: NewRelease): Release
  getRelease(id: string): Release | undefined
  /** The newest release of the environment whose six phases are all `completed`. */
  getCurrentRelease(environment: string): Release | undefined
  /** Newest first. */
  listReleases(filter?: { readonly environment?: string; readonly limit?: number }): Release[]
  updatePhase(id: string, phase: PhaseName, status: PhaseStatus): Release
  /** Several phases of a release in one write. */
  updatePhases(id: string, changes: Readonly<Partial<Record<PhaseName, PhaseStatus>>>): Release
  /** An exact id, an unambiguous prefix of one, `latest` or `current`. */
  findRelease(reference: string, environment?: string): Release
}

/** @returns the state file: `override` (`--state` or STAGECRAFT_STATE_FILE), else the project's own. */
export function stateFile(projectDir: string, override?: string): string {
  return override ? resolve(override) : resolve(projectDir, '.stagecraft', 'releases.json')
}

/** Opens the state kept in `file`. Reads nothing yet. */
export function openState(_file: string, _options: { readonly clock: () => number }): State {
  throw new Error('not written yet')
}
