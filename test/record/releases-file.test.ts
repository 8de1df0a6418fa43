import { describe, expect, test } from 'bun:test'
import { parseReleases, StateFormatError } from '../../lib/record/releases-file/format.ts'
import { printChanged, printRelease } from '../../lib/record/releases-file/print.ts'
import { StateText } from '../../lib/record/releases-file/text.ts'

const RECORD = {
  id: 'rel-20261122-080225643',
  environment: 'prod',
  version: 'v1',
  commit_sha: '',
  timestamp: '2026-11-22T08:02:25.643Z',
  phases: {
    build: 'completed',
    push: 'running',
    migrate_pre: 'pending',
    rollout: 'pending',
    migrate_post: 'pending',
    finalize: 'pending',
  },
}
const PRINTED = `{
      "id": "rel-20261122-080225643",
      "environment": "prod",
      "version": "v1",
      "commit_sha": "",
      "timestamp": "2026-11-22T08:02:25.643Z",
      "phases": {
        "build": "completed",
        "finalize": "pending",
        "migrate_post": "pending",
        "migrate_pre": "pending",
        "push": "running",
        "rollout": "pending"
      }
    }`
const bytes = (text: string) => new TextEncoder().encode(text)
const textOf = (text: StateText) => new TextDecoder().decode(text.bytes)
const stateOf = (...records: string[]) => `{\n  "releases": [\n    ${records.join(',\n    ')}\n  ]\n}`

describe('printRelease()', () => {
  test('prints the keys in the order of the format and the phases in that of the alphabet', () => {
    expect(printRelease(RECORD)).toBe(PRINTED)
  })

  test('prints previous_id last', () => {
    const printed = printRelease({ previous_id: 'rel-20261121-101500001', ...RECORD })
    expect(printed).toBe(PRINTED.replace(/\n {4}\}$/, ',\n      "previous_id": "rel-20261121-101500001"\n    }'))
  })

  test('escapes what HTML would read, and what JSON must', () => {
    const printed = printRelease({ ...RECORD, version: '</script>&é"\\\n\t\u0001\u2028\ud800' })
    const version = /"version": ([^\n]*),/.exec(printed)?.[1]
    expect(version).toBe('"\\u003c/script\\u003e\\u0026é\\"\\\\\\n\\t\\u0001\u2028\\ud800"')
  })
})

describe('printChanged()', () => {
  const changed = (record: string) => printChanged(bytes(record), { push: 'failed', rollout: 'skipped' }, 'releases[0]')
  const PRINTED_CHANGED = PRINTED.replace('"push": "running"', '"push": "failed"').replace(
    '"rollout": "pending"',
    '"rollout": "skipped"',
  )

  test('changes the statuses and nothing else', () => {
    expect(changed(PRINTED)).toBe(PRINTED_CHANGED)
  })

  test('puts known keys in the order of the format, whatever layout they had', () => {
    const { phases, ...rest } = RECORD
    expect(changed(JSON.stringify({ phases, ...rest }))).toBe(PRINTED_CHANGED)
  })

  test('leaves unknown keys where they were, with the text of their values', () => {
    const unknown = '"x": {"n": [1.0, 1e400, 12345678901234567890],\n\t"s": "<\\u00e9>"}'
    const record = PRINTED.replace('"version"', `${unknown},\n      "version"`).replace('"id"', '"": null,\n      "id"')
    const expected = PRINTED_CHANGED.replace('"version"', `${unknown},\n      "version"`)
    expect(changed(record)).toBe(expected.replace('"id"', '"": null,\n      "id"'))
  })

  test('keeps unknown phases and statuses, in the order of the alphabet', () => {
    const record = PRINTED.replace(
      '"build": "completed"',
      '"warm_up": 1.50,\n        "a": "x",\n        "build": "paused"',
    )
    const expected = PRINTED_CHANGED.replace('"build": "completed"', '"a": "x",\n        "build": "paused"')
    expect(changed(record)).toBe(expected.replace('"skipped"', '"skipped",\n        "warm_up": 1.50'))
  })

  test.each([
    ['releases[0] has the key "id" twice', PRINTED.replace('"id"', '"\\u0069d": "x",\n      "id"')],
    ['releases[0].phases has the key "push" twice', PRINTED.replace('"push"', '"push": "x",\n        "push"')],
  ])('refuses a record: %s', (message, record) => {
    expect(() => changed(record)).toThrow(new StateFormatError(message))
  })
})

describe('StateText', () => {
  const [A, B, C] = ['{"a": 1.0}', '{ "b":"]}" }', '{\n"c": [{}]}'] as const

  test('without a file is a state without releases', () => {
    const text = new StateText()
    text.append(bytes(A))
    expect(textOf(text)).toBe(stateOf(A))
  })

  test('keeps each record and puts the layout of the format around them', () => {
    const text = new StateText(bytes(`\n{"releases" :[${A} , ${B}\n,${C}]}\n`))
    expect(textOf(text)).toBe(stateOf(A, B, C))
  })

  test('keeps unknown fields next to the releases', () => {
    const text = new StateText(bytes(`{"schema":1.0,"x":{"releases":[{}]},"releases":[${A}],"é":[1,2]}`))
    const expected = `{\n  "schema": 1.0,\n  "x": {"releases":[{}]},\n  "releases": [\n    ${A}\n  ],\n  "é": [1,2]\n}`
    expect(textOf(text)).toBe(expected)
  })

  test('replaces any record by a longer or shorter one, and appends', () => {
    const text = new StateText(bytes(stateOf(A, B, C)))
    const long = `{"é": "${'x'.repeat(10_000)}"}`
    text.replace(1, bytes(long))
    text.replace(2, bytes('{}'))
    text.replace(0, bytes(C))
    text.append(bytes(A))
    text.replace(3, bytes(B))
    expect(textOf(text)).toBe(stateOf(C, long, '{}', B))
    expect(new TextDecoder().decode(text.record(2))).toBe('{}')
    expect(() => text.record(4)).toThrow(new RangeError('no record 4'))
  })

  test.each(['{"releases":[],"releases":[{}]}', '{"releases":5,"\\u0072eleases":[{}]}'])('refuses %s', (text) => {
    expect(() => new StateText(bytes(text))).toThrow(new StateFormatError('the top level has the key "releases" twice'))
  })
})

describe('parseReleases()', () => {
  const parsed = (change: object) => parseReleases(stateOf(JSON.stringify({ ...RECORD, ...change })))

  test('reads what it knows and what it does not', () => {
    const change = { id: 'rel-20261122-080225', timestamp: '2026-11-22T09:02:25.123456789+01:00', extra: [1] }
    const phases = { ...RECORD.phases, build: 'paused', warm_up: null }
    expect<unknown>(parsed({ ...change, phases })).toEqual([{ ...RECORD, ...change, phases }])
  })

  test('reads releases that are not in the order of their ids', () => {
    const later = PRINTED.replace('rel-2026', 'rel-2027')
    expect(parseReleases(stateOf(later, PRINTED)).map(({ id }) => id)).toEqual([
      'rel-20271122-080225643',
      'rel-20261122-080225643',
    ])
  })

  test.each([
    [{ id: 5 }, '.id is a number, not a string'],
    [{ environment: undefined }, '.environment is missing'],
    [{ version: null }, '.version is null, not a string'],
    [{ commit_sha: true }, '.commit_sha is a boolean, not a string'],
    [{ timestamp: {} }, '.timestamp is an object, not a string'],
    [{ previous_id: [] }, '.previous_id is a list, not a string'],
    [{ previous_id: null }, '.previous_id is null, not a string'],
    [{ phases: undefined }, '.phases is missing'],
    [{ phases: [] }, '.phases is a list, not an object'],
    [{ phases: { ...RECORD.phases, push: undefined } }, '.phases.push is missing'],
    [{ phases: { ...RECORD.phases, rollout: 3 } }, '.phases.rollout is a number, not a string'],
  ])('refuses a record with %j', (change, problem) => {
    expect(() => parsed(change)).toThrow(new StateFormatError(`releases[0]${problem}`))
  })
})
