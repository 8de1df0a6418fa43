import { afterAll, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ComposeModel } from '../../lib/compose/model.ts'
import { type Host, localHost } from '../../lib/hosts/host.ts'
import { learnSecrets, secretsOfSource } from '../../lib/project/secrets/known.ts'
import type { Bundle } from '../../lib/record/bundle.ts'
import { createSecrets } from '../../lib/secrets/mask.ts'
import { exec } from '../../lib/system/exec.ts'

const folder = mkdtempSync(join(tmpdir(), 'stagecraft-known-'))
afterAll(() => rmSync(folder, { recursive: true }))
const write = (file: string, text: string) => {
  writeFileSync(join(folder, file), text)
  return join(folder, file)
}

describe('secretsOfSource() knows what env files and Compose files say before Compose has read them', () => {
  test.each([
    ['A_PASSWORD=plain-value1', 'plain-value1'],
    ['export A_PASSWORD = plain-value2 # a comment', 'plain-value2'],
    [`A_PASSWORD='single $quoted "3"'`, 'single $quoted "3"'],
    [`A_PASSWORD = 'quoted-3b'   # a comment`, 'quoted-3b'],
    ['A_PASSWORD="double-3c" # a comment', 'double-3c'],
    ['A_PASSWORD="double \\"quoted\\" 4\\nsecond line"', 'double "quoted" 4\nsecond line'],
    ['A_PASSWORD="two\nlines"', 'two\nlines'],
    ['A_TOKEN=abcdef$ghijklmno', 'ghijklmno'],
    ['A_TOKEN: yaml-like-5', 'yaml-like-5'],
    ['NO ASSIGNMENT "at-all-6', 'at-all-6'],
  ])('%j', (text, secret) => {
    const file = write('.env.prod', `# nothing\nMODE=production\n${text}\n`)
    const found = secretsOfSource({ directory: folder, files: [], envFiles: [file] })
    expect(found).toContain(secret)
    expect(found).not.toContain('production')
  })

  test('by default `.env` and the Compose files of the folder; what is not there says nothing', () => {
    write('.env', 'B_TOKEN=of-the-default\n')
    write('compose.yaml', 'services:\n  web:\n    environment:\n      C_PASSWORD: "of the file"\n')
    const found = secretsOfSource({ directory: folder, files: [], envFiles: [] })
    expect(found).toEqual(expect.arrayContaining(['of-the-default', 'of the file']))
    expect(secretsOfSource({ directory: join(folder, 'none'), files: [], envFiles: [] })).not.toContain(
      'of-the-default',
    )
  })
})

describe('learnSecrets()', () => {
  const [SECRET, CONFIG] = ['a'.repeat(32), 'b'.repeat(32)]
  const model: ComposeModel = {
    name: 'shop',
    services: { web: { command: ['sh', '-c', 'echo by-its-place'] } },
    secrets: { token: { file: `/elsewhere/content/${SECRET}` }, other: { file: '/etc/hostname' } },
    configs: { app: { file: `/elsewhere/content/${CONFIG}` } },
  }
  const secret_at = [{ path: ['services', 'web', 'command', '2'], from: 5, to: 17 }]
  const release = { model, bundle: { secret_at } as unknown as Bundle } // all that is asked of one
  const says = 'by-its-place of-the-file of-the-config listen-to-all'
  mkdirSync(join(folder, 'state/content'), { recursive: true })
  write(`state/content/${SECRET}`, 'of-the-file\n')
  write(`state/content/${CONFIG}`, 'listen: listen-to-all\npassword: of-the-config\n')

  const here = localHost(exec, join(folder, 'state/releases.json'))
  const trips: (readonly string[])[] = []
  const remote: Host = {
    ...here,
    folder: join(folder, 'state'),
    stateFile: join(folder, 'a copy without content/releases.json'),
    run: (script, args = []) => {
      trips.push(args)
      return exec(['sh', '-c', script, 'sh', ...args])
    },
  }

  test.each([
    ['here', here],
    ['on a host', remote],
  ])('reads the files of a release by their hash, %s', async (_, host) => {
    const secrets = createSecrets()
    await learnSecrets(secrets, host, [undefined, release])
    expect(secrets.mask(says)).toBe('••• ••• ••• listen-to-all')
  })

  test('makes one trip, none for what is known, and asks for nothing but content', async () => {
    trips.length = 0
    await learnSecrets(createSecrets(), remote, [release, release])
    await learnSecrets(createSecrets(), remote, [release], new Set([SECRET, CONFIG]))
    expect(trips).toEqual([[join(folder, 'state/content'), SECRET, CONFIG]])
  })
})
