import * as v from 'valibot'
import { configSchema, type ParsedConfig } from './config-schema.ts'
import { quote } from './format.ts'
import { nearest } from './nearest.ts'
import type { Problem, YamlFile, YamlPath } from './yaml-file.ts'

/** What is wrong, at a path of the file: with the key there, or with its value. */
interface Fault {
  readonly path: YamlPath
  readonly part: 'key' | 'value'
  readonly message: string
}

/** Checks a parsed file. @returns what it says, or everything that is wrong with it, in the order of the file. */
export function checkConfig(file: YamlFile): ParsedConfig | readonly Problem[] {
  const value = withoutExtensions(file.value ?? {})
  const parsed = v.safeParse(configSchema, value)
  const unseen = [...unseenFaults(configSchema, value, [])]
  const lists = unseen.filter((fault) => fault.message === NO_LIST)
  const seen = (parsed.issues ?? []).flatMap((issue) => faultsOf(issue))
  // What valibot says of a list that it took for a mapping helps nobody.
  const faults = [...unseen, ...seen.filter((fault) => !lists.some((list) => isWithin(fault.path, list.path)))]
  if (parsed.success && faults.length === 0) return parsed.output
  // Two users of one anchor have one error between them.
  const problems = new Map<string, Problem>()
  for (const { path, part, message } of faults) {
    const { line, column } = file.locate(path, part)
    problems.set(`${line}:${column}:${message}`, { line, column, message })
  }
  return [...problems.values()].sort((a, b) => a.line - b.line || a.column - b.column)
}

const NO_LIST = 'must be a mapping, not a list'

function isWithin(path: YamlPath, outer: YamlPath): boolean {
  return outer.every((step, depth) => path[depth] === step)
}

/** Top-level `x-*` keys are the user's own, as in a Compose file. */
function withoutExtensions(value: unknown): unknown {
  if (!isMapping(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith('x-')))
}

/**
 * What valibot does not tell: every key that no schema knows (it reports the first of each mapping only), names that it
 * drops from records in silence, and lists, which pass for mappings.
 */
function* unseenFaults(schema: unknown, value: unknown, path: YamlPath): Generator<Fault> {
  const inner = unwrap(schema)
  if (!isMapping(inner)) return
  // A list passes for an object in valibot.
  if (Array.isArray(value) && (inner['entries'] || inner['type'] === 'record')) {
    yield { path, part: 'value', message: NO_LIST }
  }
  if (!isMapping(value)) return
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

const UNUSABLE = new Set(['__proto__', 'prototype', 'constructor'])

/** The schema below `optional`, `nullable` and the actions of a pipe, where the first member is the schema. */
function unwrap(schema: unknown): unknown {
  let inner = schema
  while (isMapping(inner) && isMapping(inner['wrapped'])) inner = inner['wrapped']
  if (isMapping(inner) && Array.isArray(inner['pipe']) && inner['pipe'][0] !== inner) return inner['pipe'][0]
  return inner
}

function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearest(key, known)
  const help = meant === undefined ? `known here: ${known.join(', ')}` : `did you mean ${quote(meant)}?`
  return `unknown key ${quote(key)} (${help})`
}

function faultsOf(issue: v.BaseIssue<unknown>, above: YamlPath = []): Fault[] {
  if (issue.type === 'strict_object' && issue.expected === 'never') return []
  const path = [...above, ...(issue.path ?? []).map((item) => asStep(item.key))]
  // A list with a wrong member is said of the member, not of the list.
  const members = issue.type === 'union' ? (issue.issues ?? []).filter((nested) => nested.path !== undefined) : []
  if (members.length > 0) return members.flatMap((nested) => faultsOf(nested, path))
  const part = issue.path?.at(-1)?.origin === 'key' ? 'key' : 'value'
  return [{ path, part, message: issue.message + received(issue) }]
}

function received(issue: v.BaseIssue<unknown>): string {
  if (issue.kind !== 'schema' && issue.type !== 'regex') return ''
  if (typeof issue.input === 'string') return `, not ${quote(issue.input)}`
  const names: Readonly<Record<string, string>> = { Array: 'a list', Object: 'a mapping', null: 'nothing' }
  return `, not ${names[issue.received] ?? issue.received}`
}

function asStep(key: unknown): string | number {
  return typeof key === 'number' ? key : String(key)
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
