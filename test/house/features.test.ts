import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { parse } from 'yaml'
import { fencesOf } from '../support/golden.ts'

const ROOT = join(import.meta.dir, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const filesLike = (glob: string) => [...new Bun.Glob(glob).scanSync(ROOT)].sort()

const Feature = v.strictObject({
  id: v.pipe(v.string(), v.regex(/^(CORE|CLI)_[A-Z]+$/)),
  title: v.pipe(v.string(), v.nonEmpty()),
  status: v.picklist(['todo', 'done']),
  spec: v.pipe(v.string(), v.regex(/^spec\/(core|commands)\/[a-z-]+\.md$/)),
  tests: v.pipe(v.array(v.pipe(v.string(), v.regex(/^test\/.+\.test\.ts$/))), v.minLength(1)),
})
const { features } = v.parse(v.strictObject({ features: v.array(Feature) }), parse(read('spec/features.yaml')))
const done = features.filter(({ status }) => status === 'done')

/** Fences that show what someone types or writes; the others show output, and output is compared. */
const INPUT_LANGUAGES = ['sh', 'yaml', 'ts', 'dockerfile', 'make', 'gitignore', 'haproxy', 'nginx', 'caddyfile']

describe('spec/features.yaml', () => {
  test('names every feature and every spec file once', () => {
    const ids = features.map(({ id }) => id)
    expect(ids).toEqual([...new Set(ids)])
    expect(features.map(({ spec }) => spec).sort()).toEqual(
      expect.arrayContaining(filesLike('spec/{core,commands}/*.md')),
    )
  })

  test.each(done)('$id is done: its spec says its name, and its tests exist', ({ id, spec, tests }) => {
    expect(read(spec)).toContain(`Feature: ${id}`)
    expect(tests.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
  })
})

describe('spec/commands', () => {
  const commands = filesLike('lib/cli/commands/**/*.ts').filter((path) => /^export default/m.test(read(path)))
  // releases.ts, releases-list.ts and releases/list.ts are all described in releases.md.
  const specs = commands.map(
    (path) => [path, `spec/commands/${/^lib\/cli\/commands\/([a-z]+)/.exec(path)?.[1]}.md`] as const,
  )

  test('there are all of them', () => {
    expect(commands.length).toBeGreaterThan(20)
  })

  test.each(specs)('%s is described in %s, with its exit codes', (_, spec) => {
    expect(existsSync(join(ROOT, spec)), `${spec} exists`).toBe(true)
    expect(read(spec)).toMatch(/^\| exit \|/m)
  })
})

describe('every example of output in spec/', () => {
  const fences = filesLike('spec/**/*.md').flatMap((path) => fencesOf(read(path)).map((fence) => ({ path, ...fence })))
  const outputs = fences.filter(({ language }) => !INPUT_LANGUAGES.includes(language))
  const sources = filesLike('test/**/*.ts').map(read)

  test('has a golden= name, unique in its file', () => {
    expect(outputs.filter(({ golden }) => !golden).map(({ path, line }) => `${path}:${line}`)).toEqual([])
    const names = outputs.map(({ path, golden }) => `${path} ${golden}`)
    expect(names).toEqual([...new Set(names)])
  })

  test('is compared by a test that calls expectGolden()', () => {
    const compared = ({ path, golden }: (typeof outputs)[number]) =>
      sources.some((source) =>
        ['expectGolden(', `'${path.slice('spec/'.length)}'`, `'${golden}'`].every((part) => source.includes(part)),
      )
    expect(outputs.filter((output) => !compared(output)).map(({ path, golden }) => `${path} ${golden}`)).toEqual([])
  })
})
