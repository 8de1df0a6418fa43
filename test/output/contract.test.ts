import { describe, expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toJsonSchema, toJsonSchemaDefs } from '@valibot/to-json-schema'
import * as v from 'valibot'
import { lineShapes } from '../../lib/output/contract/lines.ts'
import { details, migrationRecord, phaseRecord, record, release } from '../../lib/output/contract/release.ts'
import { check, database, lock, routeStatus, service } from '../../lib/output/contract/status.ts'
import * as planned from '../../lib/plan/schema.ts'
import { checkContract, lineProblem } from '../support/contract.ts'

const ROOT = join(import.meta.dir, '../..')
const FILE = join(ROOT, 'spec/output.schema.json')

const { plan, servicePlan, migrationPlan } = planned
/** What several types have: each is written once. */
const definitions = {
  ...{ plan, service_plan: servicePlan, migration_plan: migrationPlan },
  ...{ phase_record: phaseRecord, migration_record: migrationRecord },
  ...{ release, record, details, lock, service, route: routeStatus, database, check },
}

/** Readers ignore types and fields that they do not know: only tests are strict. */
function generate(): string {
  const how = { target: 'draft-2020-12', definitions } as const
  const anyOf = [...lineShapes().values()].flat().map((shape) => {
    const { $schema, $defs, ...own } = toJsonSchema(shape, how)
    const description = v.getDescription(shape)
    return { ...own, ...(description === undefined ? {} : { description }) }
  })
  const whole = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'a line of stagecraft --json',
    anyOf,
    $defs: toJsonSchemaDefs(definitions, { target: 'draft-2020-12' }),
  }
  const open = (key: string, value: unknown) => (key === 'additionalProperties' && value === false ? undefined : value)
  return `${JSON.stringify(whole, open, 2)}\n`
}

test('spec/output.schema.json is what the schemas of lib/output/contract say', () => {
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(FILE, generate())
  expect(JSON.parse(readFileSync(FILE, 'utf8'))).toEqual(JSON.parse(generate()))
})

describe('no schema is dead', () => {
  const text = (path: string) => readFileSync(join(ROOT, path), 'utf8')
  /** Lines that were printed, each with names of its own; a few were written by hand. */
  const lines = text('test/fixtures/json-lines.jsonl')
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line))

  test('each example is as promised', () => {
    expect(lines.map(lineProblem).filter((problem) => problem !== undefined)).toEqual([])
  })

  test.each([...lineShapes()])('%s: each of its shapes has an example, with all of its fields', (_, shapes) => {
    const seen = shapes.map((shape) =>
      lines.filter((line) => v.is(shape, line)).flatMap((line) => Object.keys(Object(line))),
    )
    expect(seen.map((keys) => [...new Set(keys)].toSorted())).toEqual(
      shapes.map(({ entries }) => Object.keys(entries).toSorted()),
    )
  })

  test('each type is printed by something', () => {
    const sources = [...new Bun.Glob('lib/**/*.ts').scanSync(ROOT)].filter((path) => !path.includes('/contract/'))
    const printed = /(?:result\(\s*|printJson\(|type: |(?:start|stop|restart): )'([a-z-]+)'/g
    const types = new Set(sources.flatMap((path) => [...text(path).matchAll(printed)].map(([, type]) => type)))
    expect([...lineShapes().keys()].filter((type) => !types.has(type))).toEqual([])
  })
})

describe('a line of --json that is not as promised fails the test that printed it', () => {
  const check = (line: object) => checkContract(['plan', '--json'], `${JSON.stringify(line)}\n`)

  test.each([
    ['a type', { v: 1, type: 'planned' }, 'plan --json: its type "planned" is not in lib/output/contract/'],
    ['a field', { v: 1, type: 'finished', exit: 0, took: 1 }, 'plan --json: took: Invalid key: Expected never'],
    ['a missing field', { v: 1, type: 'finished' }, 'plan --json: exit: Invalid key: Expected "exit"'],
    ['a value', { v: 1, type: 'finished', exit: '0' }, 'plan --json: exit: Invalid type: Expected number'],
    ['in depth', { v: 1, type: 'built', version: 'v1', images: [{ service: 1 }] }, 'images.0.service: Invalid type'],
  ])('%s', (_, line, message) => {
    expect(() => check(line)).toThrow(message)
  })

  test('but not what was cut off, help, or the output of a program', () => {
    checkContract(['logs', '--json'], '{"v":1,"type":"finished","exit":0}\n{"v":1,"ty')
    checkContract(['plan', '--help', '--json'], 'Show what a deploy would do.\n')
    checkContract(['exec', 'web', '--', 'x', '--json'], '{"v":1,"type":"mine"}\n')
    expect(lineProblem({ v: 1, type: 'finished', exit: 0 })).toBeUndefined()
  })
})
