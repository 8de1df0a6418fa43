import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'
import { parseConfig } from '../../lib/config/parse.ts'
import { fencesOf } from '../support/golden.ts'
import { callsIn, checkCall } from '../support/shell-lines.ts'

// Every part of a guide can be copied: the first line of one in YAML names the file that it is for.
const GUIDES = join(import.meta.dir, '../../spec/guides')
const ROOT = join(GUIDES, '../..')
const STAGECRAFT = '# stagecraft.yml'
const COMPOSE = '# compose.yaml'

const guides = readdirSync(GUIDES).map((name) => ({ name, text: readFileSync(join(GUIDES, name), 'utf8') }))
const parts = guides.flatMap(({ name, text }) =>
  fencesOf(text).map(({ language, line, content }) => ({ name, language, line, content, file: fileOf(content) })),
)
const yamls = parts.filter(({ language }) => language === 'yaml')
const partsFor = (file: string) => yamls.filter((part) => part.file === file)

/** What a part is for; in `own-proxy.md`, whose parts a test of its own deploys, its first key says it. */
function fileOf(content: string): string | undefined {
  const first = content.split('\n', 1)[0]
  return { 'services:': COMPOSE, 'environments:': STAGECRAFT }[first ?? ''] ?? first
}

/** The services of the Compose part that stands above a line: those that a part of stagecraft.yml below it may name. */
function servicesAbove(name: string, line: number): string[] {
  const above = partsFor(COMPOSE).findLast((part) => part.name === name && part.line < line)
  return Object.keys((parse(above?.content ?? '{}') as { services?: object }).services ?? {})
}

describe('spec/guides', () => {
  test('each part in YAML names its file, and there are some for both', () => {
    expect(yamls.filter(({ file }) => file !== STAGECRAFT && file !== COMPOSE)).toEqual([])
    expect(partsFor(STAGECRAFT).length).toBeGreaterThan(8)
    expect(partsFor(COMPOSE).length).toBeGreaterThan(6)
  })

  test.each(partsFor(COMPOSE))(
    '$name:$line: a Compose part has services, and all that they wait for',
    ({ content }) => {
      const { services } = parse(content) as { services: Record<string, { depends_on?: object }> }
      const awaited = Object.values(services).flatMap(({ depends_on }) =>
        Array.isArray(depends_on) ? depends_on : Object.keys(depends_on ?? {}),
      )
      expect(Object.keys(services)).toEqual(expect.arrayContaining(awaited))
    },
  )

  test.each(partsFor(STAGECRAFT))('$name:$line: a part of stagecraft.yml is valid, and its services exist', (part) => {
    const { environments } = parseConfig(part.content)
    const named = Object.values(environments).flatMap(({ databases = {}, services }) => [
      ...Object.keys(services),
      ...Object.values(databases).map((each) =>
        each.migrations.engine === 'raw' ? each.via : each.migrations.service,
      ),
    ])
    expect([...servicesAbove(part.name, part.line), undefined]).toEqual(expect.arrayContaining(named))
  })

  test('every part is found: none is indented', () => {
    expect(guides.filter(({ text }) => /^ +```/m.test(text)).map(({ name }) => name)).toEqual([])
  })

  test('each engine of migrations has a part that uses it', () => {
    const engines = partsFor(STAGECRAFT).flatMap(({ content }) => /engine: (?!swarm)(\w+)/.exec(content)?.[1] ?? [])
    expect([...new Set(engines)].toSorted()).toEqual(['command', 'job', 'raw'])
  })
})

describe('in all guides, README.md and the rest of spec/', () => {
  const pages = ['README.md', ...[...new Bun.Glob('spec/**/*.md').scanSync(ROOT)]]
  const shells = pages.flatMap((page) =>
    fencesOf(readFileSync(join(ROOT, page), 'utf8'))
      .filter(({ language }) => language === 'sh')
      .map(({ content }) => ({ page, content })),
  )
  const calls = shells.flatMap(({ page, content }) =>
    callsIn(content)
      .filter((argv) => argv.every((word) => !word.startsWith('['))) // a form, such as `[flags]`
      .map((argv) => ({ page, argv, line: argv.join(' ') })),
  )

  test('calls of stagecraft are found', () => {
    expect(calls.length).toBeGreaterThan(35)
  })

  test.each(calls)('$page: stagecraft $line', ({ argv }) => checkCall(argv))

  test.each(guides)('$name: what it links to exists', ({ name, text }) => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link = '']) => link)
    const named = [...text.matchAll(/`((?:spec|examples)\/[\w./-]+)`/g)].map(([, path = '']) => join(ROOT, path))
    const paths = [...links.map((link) => join(dirname(join(GUIDES, name)), link)), ...named]
    expect(paths.filter((path) => !existsSync(path))).toEqual([])
  })
})
