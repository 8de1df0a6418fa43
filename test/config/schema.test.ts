import { expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toJsonSchema } from '@valibot/to-json-schema'
import { configSchema } from '../../lib/config/schema.ts'

const FILE = join(import.meta.dir, '../../spec/stagecraft.schema.json')

/** What JSON Schema cannot say (control characters in paths, bounds of durations) is left to `loadConfig()`. */
function generate(): string {
  const schema = toJsonSchema(configSchema, { typeMode: 'input', target: 'draft-07', errorMode: 'ignore' })
  const { $schema, ...rest } = schema
  const whole = { $schema, title: 'stagecraft.yml', ...rest, patternProperties: { '^x-': {} } }
  return `${JSON.stringify(whole, null, 2)}\n`
}

test('spec/stagecraft.schema.json is what the valibot schema says', () => {
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(FILE, generate())
  expect(JSON.parse(readFileSync(FILE, 'utf8'))).toEqual(JSON.parse(generate()))
})
