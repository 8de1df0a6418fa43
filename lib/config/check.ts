import * as v from 'valibot'
import { quote } from '../util/format.ts'
import { didYouMean } from '../util/nearest.ts'
import { configSchema, type ParsedConfig } from './schema.ts'
import type { Problem, YamlFile, YamlPath } from './yaml-file.ts'

/** An error at a path of the file: in the key there, or in its value. */
interface Fault {
  readonly path: YamlPath
  readonly part: 'key' | 'value'
  readonly message: string
  /** errors further inside do not help */
  readonly isWhole?: true
}

/** Checks a parsed file. @returns its content, or all its errors in the order of the file. */
export function checkConfig(file: YamlFile): ParsedConfig | readonly Problem[] {
  const value = withoutExtensions(file.value ?? {})
  const parsed = v.safeParse(configSchema, value)
  const unseen = [...unseenFaults(configSchema, value, [])]
  const lists = unseen.filter(({ isWhole }) => isWhole)
  const seen = (parsed.issues ?? []).flatMap((issue) => faultsOf(issue))
  // Valibot takes a list for a mapping, and its errors there do not help.
  const faults = [...unseen, ...seen.filter((fault) => !lists.some((list) => isWithin(fault.path, list.path)))]
  if (parsed.success && faults.length === 0) return parsed.output
  // An error in an anchor is reported once, however often the anchor is used.
  const problems = new Map<string, Problem>()
  for (const { path, part, message } of faults) {
    const { line, column } = file.locate(path, part)
    problems.set(`${line}:${column}:${message}`, { line, column, message })
  }
  return [...problems.values()].sort((a, b) => a.line - b.line || a.column - b.column)
}

function isWithin(path: YamlPath, outer: YamlPath): boolean {
  return outer.every((step, depth) => path[depth] === step)
}

/** Top-level `x-*` keys are the user's own, as in a Compose file. */
function withoutExtensions(value: unknown): unknown {
  if (!isMapping(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith('x-')))
}

/**
 * Errors that valibot does not report: every unknown key (it reports only the first of each mapping), names that it silently
 * drops from records, and lists, which it takes for mappings.
 */
function* unseenFaults(schema: unknown, value: unknown, path: YamlPath): Generator<Fault> {
  const inner = chosen(unwrap(schema), value)
  if (!isMapping(inner)) return
  const options = inner['type'] === 'union' && Array.isArray(inner['options']) ? inner['options'] : []
  const mappings = options.filter((option) => isMapping(option) && option['entries'])
  const isMap = inner['entries'] || inner['type'] === 'record' || mappings.length > 0
  if (Array.isArray(value) && isMap && !options.some(takesLists))
    yield { path, part: 'value', message: 'must be a mapping, not a list', isWhole: true }
  if (!isMapping(value)) return
  for (const option of mappings) yield* unseenFaults(option, value, path)
  for (const [key, item] of Object.entries(value)) {
    const here = [...path, key]
    if (isMapping(inner['entries'])) {
      const known = inner['entries']
      if (Object.hasOwn(known, key)) yield* unseenFaults(known[key], item, here)
      else yield { path: here, part: 'key', message: unknownKey(key, Object.keys(known)) }
    } else if (inner['type'] === 'record') {
      if (UNUSABLE.has(key)) yield { path: here, part: 'key', message: `${quote(key)} cannot be a name` }
      yield* unseenFaults(inner['value'], item, here)
    }
  }
}

function takesLists(schema: unknown): boolean {
  const inner = unwrap(schema)
  if (!isMapping(inner)) return false
  return inner['type'] === 'array' || (Array.isArray(inner['options']) && inner['options'].some(takesLists))
}

/** @returns of a variant, the option that the value's key chooses; any other schema as it is */
function chosen(schema: unknown, value: unknown): unknown {
  if (!isMapping(schema) || schema['type'] !== 'variant' || !isMapping(value)) return schema
  const { key, options } = schema
  const wanted = value[String(key)]
  const isIt = (option: unknown) => {
    const entry = isMapping(option) && isMapping(option['entries']) ? option['entries'][String(key)] : undefined
    return isMapping(entry) && entry['literal'] === wanted
  }
  return Array.isArray(options) ? options.find(isIt) : undefined
}

const UNUSABLE = new Set(['__proto__', 'prototype', 'constructor'])

/** @returns the schema inside `optional`, `nullable` and pipes, whose first member is the schema. */
function unwrap(schema: unknown): unknown {
  let inner = schema
  while (isMapping(inner) && isMapping(inner['wrapped'])) inner = inner['wrapped']
  if (isMapping(inner) && Array.isArray(inner['pipe']) && inner['pipe'][0] !== inner) return inner['pipe'][0]
  return inner
}

function unknownKey(key: string, known: readonly string[]): string {
  return `unknown key ${quote(key)} (${meantAmong(key, known) || `known here: ${known.join(', ')}`})`
}

/** @returns `did you mean "web"?`; empty if nothing is near */
function meantAmong(name: string, known: readonly string[]): string {
  return didYouMean(name, known).trim().replace(/^D/, 'd')
}

function faultsOf(issue: v.BaseIssue<unknown>, above: YamlPath = []): Fault[] {
  if (issue.type === 'strict_object' && issue.expected === 'never') return []
  const path = [...above, ...(issue.path ?? []).map((item) => asStep(item.key))]
  // If a member of a list is wrong, the error is the member's, not the list's.
  const members = issue.type === 'union' ? (issue.issues ?? []).filter((nested) => nested.path !== undefined) : []
  if (members.length > 0) return members.flatMap((nested) => faultsOf(nested, path))
  const part = issue.path?.at(-1)?.origin === 'key' ? 'key' : 'value'
  return [{ path, part, message: issue.message + (mayBePassword(path) ? '' : received(issue)) }]
}

/** Somebody who misunderstands `auth` may write a password in place of a hash, so no message repeats the value. */
function mayBePassword(path: YamlPath): boolean {
  return path.some((step, at) => step === 'auth' && path[at - 1] === 'expose')
}

function received(issue: v.BaseIssue<unknown>): string {
  if (issue.kind !== 'schema' && issue.type !== 'regex') return ''
  if (issue.received === 'undefined') return '' // a key is missing: the message says which
  if (typeof issue.input === 'string') {
    const choices = [...(issue.expected ?? '').matchAll(/"([^"]+)"/g)].map(([, choice = '']) => choice)
    const meant = meantAmong(issue.input, choices)
    return `, not ${quote(issue.input)}${meant === '' ? '' : ` (${meant})`}`
  }
  const names: Readonly<Record<string, string>> = { Array: 'a list', Object: 'a mapping', null: 'nothing' }
  return `, not ${names[issue.received] ?? issue.received}`
}

function asStep(key: unknown): string | number {
  return typeof key === 'number' ? key : String(key)
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
