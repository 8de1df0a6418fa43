import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { refuseLeakyContexts } from '../lib/build-context.ts'
import { StagecraftError } from '../lib/errors.ts'

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

/** What a build of `context` is told, where state is kept in `.stagecraft` or elsewhere. */
function refusal(files: Files, { context = '.', dockerfile = 'Dockerfile', state = '.stagecraft' } = {}): string {
  const path = folder(files)
  const kept = join(path, state)
  const forbidden = [
    { path: kept, holds: [join(kept, 'releases.json'), join(kept, 'releases/id'), join(kept, 'content')] },
    { path: join(path, 'stagecraft'), holds: [join(path, 'stagecraft')] },
  ]
  const build = { context: context.includes('://') ? context : join(path, context), dockerfile }
  try {
    refuseLeakyContexts({ name: 'shop', services: { db: { image: 'db' }, web: { build } } }, forbidden)
    return 'fine'
  } catch (error) {
    if (!(error instanceof StagecraftError)) throw error
    return `${error.kind}: ${error.message}\n${error.hint}`.replaceAll(path, '.')
  }
}

describe('refuseLeakyContexts()', () => {
  test('names what would be copied, and the line to add to which file', () => {
    expect(refusal({})).toMatchInlineSnapshot(`
      "config: Cannot build web: .stagecraft would be copied into its image
      Add the line \`.stagecraft\` to ./.dockerignore (its build context is .); \`stagecraft init\` does it for the state."
    `)
    expect(refusal({ '.dockerignore': '.stagecraft\n' })).toMatchInlineSnapshot(`
      "config: Cannot build web: stagecraft would be copied into its image
      Add the line \`stagecraft\` to ./.dockerignore (its build context is .); \`stagecraft init\` does it for the state."
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
})
