import type * as contract from '../../output/contract/release.ts'
import { RELEASE_ID, RFC_3339 } from '../../plan/release-id.ts'
import { PHASES } from '../../plan/six-phases.ts'
import type { Of } from '../../util/schema.ts'
import { JsonSyntaxError, scanText, textOf } from './json-scan.ts'

/** One attempt to deploy one version to one environment, as the file records it. */
export type Release = Of<typeof contract.record>

/** What is wrong with a state file, beginning with the place: `releases[3].phases is missing`. */
export class StateFormatError extends Error {}

const TEXT_KEYS = ['id', 'environment', 'version', 'commit_sha', 'timestamp'] as const

/**
 * Reads a whole state file strictly. Checked by hand: a schema library takes twenty times as long for 10,000 records.
 * @returns its releases as parsed, including unknown fields and phases
 * @throws StateFormatError
 */
export function parseReleases(text: string): Release[] {
  if (text === '') throw new StateFormatError('it is empty')
  const state = parseJson(text)
  if (!isObject(state)) throw new StateFormatError(`the top level ${mismatch(state, 'an object')}`)
  const releases: unknown = state['releases']
  if (!Array.isArray(releases)) throw new StateFormatError(`releases ${mismatch(releases, 'a list')}`)
  for (let index = 0; index < releases.length; index++) {
    const problem = problemOf(releases[index])
    if (problem !== undefined) throw new StateFormatError(`releases[${index}]${problem}`)
  }
  refuseDuplicates(releases)
  return releases
}

/** @returns `line:column` of a byte, both from 1, the column in characters */
function lineColumn(bytes: Uint8Array, offset: number): string {
  const lines = textOf(bytes, { start: 0, end: offset }).split('\n')
  return `${lines.length}:${[...(lines.at(-1) ?? '')].length + 1}`
}

/** @returns why a value is not a release, beginning with the place in it; undefined: it is one */
function problemOf(value: unknown): string | undefined {
  if (!isObject(value)) return ` ${mismatch(value, 'a release')}`
  // Named one by one: a loop over the keys takes three times as long.
  const { id, environment, version, commit_sha: sha, timestamp, phases, previous_id: previous } = value
  if (!isText(id) || !isText(environment) || !isText(version) || !isText(sha) || !isText(timestamp)) {
    return firstNotText(value, TEXT_KEYS)
  }
  if (!RELEASE_ID.test(id)) return `.id ${JSON.stringify(id)} is not of the form rel-YYYYMMDD-HHMMSSmmm`
  if (!RFC_3339.test(timestamp)) return `.timestamp ${JSON.stringify(timestamp)} is not an RFC 3339 time`
  if (previous !== undefined && !isText(previous)) return firstNotText(value, ['previous_id'])
  if (!isObject(phases)) return `.phases ${mismatch(phases, 'an object')}`
  const { build, push, migrate_pre: before, rollout, migrate_post: after, finalize } = phases
  if (isText(build) && isText(push) && isText(before) && isText(rollout) && isText(after) && isText(finalize)) return
  return `.phases${firstNotText(phases, PHASES)}`
}

function firstNotText(object: Record<string, unknown>, keys: readonly string[]): string | undefined {
  const key = keys.find((candidate) => !isText(object[candidate]))
  return key === undefined ? undefined : `.${key} ${mismatch(object[key], 'a string')}`
}

function refuseDuplicates(releases: readonly Release[]): void {
  // Increasing ids are unique, and they nearly always increase.
  if (increase(releases)) return
  const indexes = new Map<string, number>()
  for (const [index, { id }] of releases.entries()) {
    const first = indexes.get(id)
    if (first !== undefined) {
      throw new StateFormatError(`releases[${index}].id ${id} is already the id of releases[${first}]`)
    }
    indexes.set(id, index)
  }
}

function increase(releases: readonly Release[]): boolean {
  let before = ''
  for (const { id } of releases) {
    if (id <= before) return false
    before = id
  }
  return true
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
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

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw syntaxError(Buffer.from(text)) ?? error
  }
}

/** JSON.parse does not say where it stopped, but our own scan does. */
function syntaxError(bytes: Uint8Array): StateFormatError | undefined {
  try {
    scanText(bytes)
    return undefined
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    return new StateFormatError(`${lineColumn(bytes, error.offset)}: ${error.message}`)
  }
}

/** @returns the text of a whole state file. @throws StateFormatError if it is not UTF-8 */
export function decodeState(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new StateFormatError(`${lineColumn(bytes, utf8Length(bytes))}: not UTF-8`)
  }
}

/** @returns how many bytes from the start are UTF-8, by bisection: a streaming decoder accepts a prefix cut anywhere */
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
