import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findLeaks } from '../../lib/compose/build-context.ts'
import type { Build, ComposeModel } from '../../lib/compose/model.ts'
import { statesBelow } from '../../lib/project/checks/forbidden.ts'

let root = ''
let folders = 0
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'stagecraft-context-')))
})
afterAll(() => rmSync(root, { recursive: true }))

interface Files {
  readonly [name: string]: string
}

function folder(files: Files): string {
  const path = join(root, String(++folders))
  mkdirSync(join(path, 'app'), { recursive: true })
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content)
  return path
}

/** What is passed to a build of `context`, where state is kept in `.stagecraft` or elsewhere. */
function refusal(files: Files, { context = '.', dockerfile = 'Dockerfile', state = '.stagecraft' } = {}): string {
  const path = folder(files)
  const kept = join(path, state)
  const forbidden = [
    { path: kept, holds: [join(kept, 'releases.json'), join(kept, 'releases/id'), join(kept, 'content')] },
    { path: join(path, 'stagecraft'), holds: [join(path, 'stagecraft')] },
  ]
  const build = { context: context.includes('://') ? context : join(path, context), dockerfile }
  return answer(path, build, forbidden)
}

function answer(path: string, build: Build, forbidden: Parameters<typeof findLeaks>[1]): string {
  return answers(path, { db: { image: 'db' }, web: { build } }, forbidden)
}

function answers(path: string, services: ComposeModel['services'], forbidden: Parameters<typeof findLeaks>[1]): string {
  const found = findLeaks({ name: 'shop', services }, forbidden, statesBelow)
  const texts = found.map(({ kind, message, hint }) => `${kind}: ${message}\n${hint}`)
  return texts.join('\n').replaceAll(path, '.') || 'fine'
}

/** What is passed to a build from `app` that has the folder of the project, with its `.stagecraft`, in another way. */
function refusalOf(files: Files, more: (path: string) => Partial<Build>): string {
  const path = folder(files)
  symlinkSync(path, join(path, 'app/link'))
  const kept = join(path, '.stagecraft')
  return answer(path, { context: join(path, 'app'), ...more(path) }, [
    { path: kept, holds: [join(kept, 'releases.json')] },
  ])
}

describe('findLeaks()', () => {
  test('names what would be copied, and the line to add to which file', () => {
    expect(refusal({})).toMatchInlineSnapshot(`
      "config: Cannot build web: .stagecraft, stagecraft would be copied into its image
      Add the lines \`.stagecraft\` and \`stagecraft\` to ./.dockerignore (its build context is .)."
    `)
    expect(refusal({ '.dockerignore': '.stagecraft\n' })).toMatchInlineSnapshot(`
      "config: Cannot build web: stagecraft would be copied into its image
      Add the line \`stagecraft\` to ./.dockerignore (its build context is .)."
    `)
  })

  test.each<[string, string]>([
    ['the folder', '.stagecraft\nstagecraft'],
    ['the folder with a slash', '.stagecraft/\nstagecraft'],
    ['the folder from the root', '/.stagecraft\n/stagecraft'],
    ['the folder anywhere', '**/.stagecraft\n**/stagecraft'],
    ['all that is in it', '.stagecraft/*\nstagecraft'],
    ['everything', '*'],
    ['everything but the application', '*\n!app'],
    ['everything, with comments and CRLF', '# all of it\r\n*\r\n'],
  ])('is content with a .dockerignore that excludes %s', (_, text) => {
    expect(refusal({ '.dockerignore': text })).toBe('fine')
  })

  test.each<[string, string]>([
    ['lets the folder in again', '*\n!.stagecraft'],
    ['lets one file of it in again', '.stagecraft\n!.stagecraft/releases.json\nstagecraft'],
    ['excludes one file of it', '.stagecraft/releases.json\nstagecraft'],
    ['excludes another folder of that name', 'app/.stagecraft\nstagecraft'],
    ['only mentions it', '# .stagecraft\nstagecraft'],
  ])('refuses a .dockerignore that %s', (_, text) => {
    expect(refusal({ '.dockerignore': text })).toStartWith(
      'config: Cannot build web: .stagecraft would be copied into its image\nAdd the line `.stagecraft` to ./.dockerignore',
    )
  })

  test('goes by the ignore file of the Dockerfile where there is one', () => {
    const files = { '.dockerignore': '*', 'Dockerfile.dockerignore': '' }
    expect(refusal(files)).toContain('to ./Dockerfile.dockerignore')
    expect(refusal({ 'web.Dockerfile.dockerignore': '*' }, { dockerfile: 'web.Dockerfile' })).toBe('fine')
    expect(refusal({ '.dockerignore': '*', 'Dockerfile.dockerignore': '' }, { dockerfile: 'other' })).toBe('fine')
  })

  test('has nothing against a context that does not hold it', () => {
    expect(refusal({}, { context: 'app' })).toBe('fine')
    expect(refusal({}, { context: 'no-such-folder' })).toBe('fine')
    expect(refusal({}, { context: 'https://example.com/app.git' })).toBe('fine')
  })

  test('finds a state that is kept in the build context itself', () => {
    expect(refusal({ '.dockerignore': 'stagecraft' }, { state: '.' })).toContain(
      'Cannot build web: releases.json, releases/id, content would be copied into its image',
    )
    expect(refusal({ '.dockerignore': 'stagecraft\nreleases.json\nreleases\ncontent' }, { state: '.' })).toBe('fine')
    expect(refusal({ '.dockerignore': 'stagecraft' }, { state: '..' })).toBe('fine')
  })

  const LEAK = 'config: Cannot build web: .stagecraft would be copied into its image\nAdd the line `.stagecraft` to ./'
  const named = (folder: (path: string) => string) => (path: string) => ({
    additional_contexts: { image: 'docker-image://busybox:1', root: folder(path) },
  })

  test.each<[string, (path: string) => Partial<Build>]>([
    ['a mapping', named((path) => path)],
    ['a list', (path) => ({ additional_contexts: [`root=${path}`] })],
    ['a symlink', named((path) => join(path, 'app/link'))],
    ['a path with an =', (path) => ({ additional_contexts: [`a=b=c`, `root=${path}`] })],
    [
      'another context that is none',
      (path) => ({ context: 'https://example.com/app.git', ...named(() => path)(path) }),
    ],
  ])('refuses a named context that holds it: %s', (_, more) => {
    expect(refusalOf({}, more)).toBe(`${LEAK}.dockerignore (its additional context root is .).`)
    expect(refusalOf({ '.dockerignore': '.stagecraft' }, more)).toBe('fine')
  })

  test('goes for a named context by its own .dockerignore only, also where it is the build context', () => {
    const twice = (path: string) => ({ context: path, ...named(() => path)(path) })
    expect(refusalOf({ 'Dockerfile.dockerignore': '.stagecraft' }, twice)).toStartWith(`${LEAK}.dockerignore (its add`)
    expect(
      refusalOf(
        { 'app/.dockerignore': '*' },
        named((path) => path),
      ),
    ).toStartWith(LEAK)
  })

  test('has nothing against what is no folder', () => {
    for (const value of [
      'service:db',
      'docker-image://busybox:1',
      'https://example.com/x.git',
      'git@example.com:x',
      '/none',
    ])
      expect(
        refusalOf(
          {},
          named(() => value),
        ),
      ).toBe('fine')
  })

  test('knows that an inline Dockerfile has no ignore file of its own', () => {
    const inline = (path: string) => ({ context: path, dockerfile: 'Dockerfile', dockerfile_inline: 'FROM busybox:1' })
    expect(refusalOf({ 'Dockerfile.dockerignore': '.stagecraft' }, inline)).toStartWith(
      `${LEAK}.dockerignore (its build`,
    )
  })

  test('names all services that build from a folder, and every folder', () => {
    const path = folder({})
    mkdirSync(join(path, '.stagecraft'))
    const forbidden = [{ path: join(path, '.stagecraft'), holds: [join(path, '.stagecraft/releases.json')] }]
    const build = { context: path }
    const more = { context: join(path, 'app'), additional_contexts: { root: path } }
    expect(answers(path, { web: { build }, worker: { build }, docs: { build: more }, db: {} }, forbidden)).toBe(
      [
        'config: Cannot build web, worker: .stagecraft would be copied into their images',
        'Add the line `.stagecraft` to ./.dockerignore (their build context is .).',
        'config: Cannot build docs: .stagecraft would be copied into its image',
        'Add the line `.stagecraft` to ./.dockerignore (its additional context root is .).',
      ].join('\n'),
    )
  })

  test('finds the states of other projects in a build context', () => {
    const path = folder({})
    for (const name of [
      'app/.stagecraft/content',
      'shop/.stagecraft',
      'empty/.stagecraft',
      'node_modules/x/.stagecraft/content',
    ])
      mkdirSync(join(path, name), { recursive: true })
    writeFileSync(join(path, 'shop/.stagecraft/releases.json'), '{}')
    symlinkSync(path, join(path, 'app/link'))
    const own = [{ path: join(path, 'app/.stagecraft'), holds: [join(path, 'app/.stagecraft/content')] }]
    const build = { context: path }
    expect(answers(path, { web: { build } }, own)).toBe(
      'config: Cannot build web: app/.stagecraft, shop/.stagecraft would be copied into its image\n' +
        'Add the line `**/.stagecraft` to ./.dockerignore (its build context is .).',
    )
    writeFileSync(join(path, '.dockerignore'), 'app/.stagecraft/\n')
    expect(answers(path, { web: { build } }, own)).toContain('Add the line `shop/.stagecraft` to ./.dockerignore')
    writeFileSync(join(path, '.dockerignore'), '**/.stagecraft\n')
    expect(answers(path, { web: { build } }, own)).toBe('fine')
  })

  test('looks for states of other projects only so deep', () => {
    const path = folder({})
    const at = (depth: number) => join(path, ...Array.from({ length: depth }, () => 'd'), '.stagecraft/content')
    mkdirSync(at(7), { recursive: true })
    expect(answers(path, { web: { build: { context: path } } }, [])).toBe('fine')
    mkdirSync(at(6), { recursive: true })
    expect(answers(path, { web: { build: { context: path } } }, [])).toContain('d/d/d/d/d/d/.stagecraft would be')
  })
})
