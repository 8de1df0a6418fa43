import { PHASES, type PhaseName, type PhaseStatus } from '../../plan/six-phases.ts'
import { compare } from '../../util/format.ts'
import type { Release } from './format.ts'
import { type Member, textOf } from './json-scan.ts'
import { uniqueMembersOf } from './text.ts'

/** The phases of a release that change, and their new statuses. */
export type PhaseChanges = Readonly<Partial<Record<PhaseName, PhaseStatus>>>

/** The keys of a record, in the order of the format. */
const KEYS = ['id', 'environment', 'version', 'commit_sha', 'timestamp', 'phases', 'previous_id'] as const

const RECORD_INDENT = '    '
const PHASES_INDENT = '      '

/** A key of an object as it is written, and the text of its value. */
type Entry = readonly [keyText: string, valueText: string]

/** @returns the record of a new release as text for the file */
export function printRelease(release: Release): string {
  const entries = KEYS.flatMap((key): Entry[] => {
    const value = release[key]
    if (value === undefined) return []
    return [[`"${key}"`, typeof value === 'string' ? quote(value) : printPhases(value)]]
  })
  return printObject(entries, RECORD_INDENT)
}

/**
 * Prints a record again with some phases changed: known keys in the format's order, unknown ones after the keys that they
 * followed, with the text of their values.
 * @param place what to call the record in an error @throws StateFormatError if a key occurs twice
 */
export function printChanged(record: Uint8Array, changes: PhaseChanges, place: string): string {
  const members = uniqueMembersOf(record, 0, place)
  const known = KEYS.flatMap((key) => members.filter((member) => member.key === key))
  const entries = members.map((member): Entry => {
    const next = isOneOf(KEYS, member.key) ? (known.shift() ?? member) : member
    if (next.key === 'phases')
      return ['"phases"', printChangedPhases(record, uniqueMembersOf(record, next.start, `${place}.phases`), changes)]
    return isOneOf(KEYS, next.key) ? [`"${next.key}"`, requote(record, next)] : [next.keyText, textOf(record, next)]
  })
  return printObject(entries, RECORD_INDENT)
}

function printPhases(phases: Release['phases']): string {
  const entries = PHASES.toSorted().map((phase): Entry => [`"${phase}"`, quote(phases[phase])])
  return printObject(entries, PHASES_INDENT)
}

function printChangedPhases(record: Uint8Array, phases: readonly Member[], changes: PhaseChanges): string {
  const sorted = phases.toSorted((a, b) => compare(a.key, b.key))
  const entries = sorted.map((member): Entry => {
    if (!isOneOf(PHASES, member.key)) return [member.keyText, textOf(record, member)]
    const status = changes[member.key]
    return [`"${member.key}"`, status === undefined ? requote(record, member) : quote(status)]
  })
  return printObject(entries, PHASES_INDENT)
}

function printObject(entries: readonly Entry[], indent: string): string {
  const lines = entries.map(([key, value]) => `\n${indent}  ${key}: ${value}`)
  return `{${lines.join(',')}\n${indent}}`
}

/** @returns a JSON string as other programs write this format: safe inside HTML */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026')
}

function requote(record: Uint8Array, string: Member): string {
  return quote(JSON.parse(textOf(record, string)))
}

function isOneOf<T extends string>(names: readonly T[], name: string): name is T {
  return names.some((known) => known === name)
}
