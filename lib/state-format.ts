import { JsonSyntaxError, scanText, textOf } from './json-scan.ts'
import { RELEASE_ID, RFC_3339 } from './release-id.ts'

/** The six phases of a release, in the order in which they run. Fixed for ever (spec/core/phases.md). */
export const PHASES = ['build', 'push', 'migrate_pre', 'rollout', 'migrate_post', 'finalize'] as const

export type PhaseName = (typeof PHASES)[number]

/** What Stagecraft writes. Other tools may write others: they are read and kept (see `Release.phases`). */
export type PhaseStatus = 'pending' | 'running' | 'completed' | 'failed' | 'skipped'

/** One attempt to put one version in one environment: a copy of what the file says, never a live view. */
export interface Release {
  /** `rel-YYYYMMDD-HHMMSSmmm` in UTC; older records may lack the three millisecond digits. */
  readonly id: string
  readonly environment: string
  readonly version: string
  /** Empty outside a git repository. */
  readonly commit_sha: string
  /** RFC 3339, as written in the file: any offset, up to nine fractional digits. */
  readonly timestamp: string
  /** A `PhaseStatus`, or a status of another tool that this version does not know. */
  readonly phases: Readonly<Record<PhaseName, string>>
  /** The environment's release before this one, whatever became of it. */
  readonly previous_id?: string
}

/** What is wrong with a state file, beginning with the place: `releases[3].phases is missing`. */
export class StateFormatError extends Error {}

const TEXT_KEYS = ['id', 'environment', 'version', 'commit_sha', 'timestamp'] as const

/**
 * Reads a whole state file, strictly. Guards by hand: a schema library takes twenty times as long over 10,000 records.
 * @returns its releases as parsed: unknown fields and phases are still in them.
 * @throws StateFormatError
 */
export function parseReleases(bytes: Uint8Array): Release[] {
  if (bytes.length === 0) throw new StateFormatError('it is empty')
  const state = parseJson(bytes)
  if (!isObject(state)) throw new StateFormatError(`the top level ${mismatch(state, 'an object')}`)
  const releases: unknown = state['releases']
  if (!Array.isArray(releases)) throw new StateFormatError(`releases ${mismatch(releases, 'a list')}`)
  const ids = new Map<string, number>()
  return releases.map((release: unknown, index) => {
    refuseUnlessRelease(release, index)
    const first = ids.get(release.id)
    if (first !== undefined) fail(index, `.id ${release.id} is already the id of releases[${first}]`)
    ids.set(release.id, index)
    return release
  })
}

/** @returns `line:column` of a byte, both from 1, the column in characters. */
export function lineColumn(bytes: Uint8Array, offset: number): string {
  const lines = textOf(bytes, { start: 0, end: offset }).split('\n')
  return `${lines.length}:${[...(lines.at(-1) ?? '')].length + 1}`
}

function refuseUnlessRelease(value: unknown, index: number): asserts value is Release {
  if (!isObject(value)) fail(index, ` ${mismatch(value, 'a release')}`)
  for (const key of TEXT_KEYS) {
    if (typeof value[key] !== 'string') fail(index, `.${key} ${mismatch(value[key], 'a string')}`)
  }
  const { id, timestamp, phases, previous_id: previous } = value
  if (!RELEASE_ID.test(String(id))) fail(index, `.id ${JSON.stringify(id)} is not of the form rel-YYYYMMDD-HHMMSSmmm`)
  if (!RFC_3339.test(String(timestamp))) fail(index, `.timestamp ${JSON.stringify(timestamp)} is not an RFC 3339 time`)
  if (!isObject(phases)) fail(index, `.phases ${mismatch(phases, 'an object')}`)
  for (const phase of PHASES) {
    if (typeof phases[phase] !== 'string') fail(index, `.phases.${phase} ${mismatch(phases[phase], 'a string')}`)
  }
  if (previous !== undefined && typeof previous !== 'string') {
    fail(index, `.previous_id ${mismatch(previous, 'a string')}`)
  }
}

function fail(index: number, problem: string): never {
  throw new StateFormatError(`releases[${index}]${problem}`)
}

function mismatch(value: unknown, wanted: string): string {
  if (value === undefined) return 'is missing'
  if (value === null) return `is null, not ${wanted}`
  if (Array.isArray(value)) return `is a list, not ${wanted}`
  return `is ${typeof value === 'object' ? 'an object' : `a ${typeof value}`}, not ${wanted}`
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseJson(bytes: Uint8Array): unknown {
  const text = decode(bytes)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw syntaxError(bytes) ?? error
  }
}

/** The parser does not say where it stopped: our own scan does. */
function syntaxError(bytes: Uint8Array): StateFormatError | undefined {
  try {
    scanText(bytes)
    return undefined
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    return new StateFormatError(`${lineColumn(bytes, error.offset)}: ${error.message}`)
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new StateFormatError(`${lineColumn(bytes, utf8Length(bytes))}: not UTF-8`)
  }
}

/** @returns how many bytes from the start are UTF-8, by bisection: a streaming decoder accepts a prefix cut anywhere. */
function utf8Length(bytes: Uint8Array): number {
  let good = 0
  let end = bytes.length
  while (good < end) {
    const middle = (good + end + 1) >> 1
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, middle), { stream: true })
      good = middle
    } catch {
      end = middle - 1
    }
  }
  return good
}
