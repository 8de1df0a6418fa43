import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../lib/config/parse.ts'

let root = ''
let folders = 0
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'stagecraft-config-'))
})
afterAll(() => rmSync(root, { recursive: true }))

/** A fresh project folder with these files. */
function folder(files: Readonly<Record<string, string | Uint8Array>>): string {
  const path = join(root, String(++folders))
  mkdirSync(path)
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content)
  return path
}

test('loadConfig() gives one local environment where there is no file', async () => {
  const local = { env_file: [], data: [], keep: 5, services: {} }
  expect(await loadConfig(folder({}))).toEqual({ project: {}, compose: [], environments: { local } })
})

test('loadConfig() reads every key there is', async () => {
  const path = folder({
    'stagecraft.yml': `
project: {name: shop, registry: "ghcr.io/acme"}
compose: [compose.yaml, compose.prod.yaml]
environments:
  local:
  prod:
    env_file: .env.prod
    compose_project: shop_live
    data: [./uploads, /srv/data]
    services:
      migrate: {job: true}
      web:
        rollout: {strategy: recreate, health_timeout: 2m, min_ready: 500ms}
      db: {rollout: {strategy: hold}}
      idle:
`,
  })
  expect(await loadConfig(path)).toEqual({
    file: join(path, 'stagecraft.yml'),
    project: { name: 'shop', registry: 'ghcr.io/acme' },
    compose: ['compose.yaml', 'compose.prod.yaml'],
    environments: {
      local: { env_file: [], data: [], keep: 5, services: {} },
      prod: {
        env_file: ['.env.prod'],
        compose_project: 'shop_live',
        data: ['./uploads', '/srv/data'],
        keep: 5,
        services: {
          migrate: { job: true, rollout: {} },
          web: { rollout: { strategy: 'recreate', health_timeout: 120_000, min_ready: 500 } },
          db: { rollout: { strategy: 'hold' } },
          idle: { rollout: {} },
        },
      },
    },
  })
})

test('loadConfig() refuses what cannot be a configuration file', async () => {
  const messages: string[] = []
  const long = folder({ 'stagecraft.yml': `# ${'x'.repeat(1024 * 1024)}` })
  const binary = folder({ 'stagecraft.yml': new Uint8Array([0xff, 0xfe, 0x00]) })
  const directory = folder({})
  mkdirSync(join(directory, 'stagecraft.yml'))
  const loop = folder({})
  symlinkSync('stagecraft.yml', join(loop, 'stagecraft.yml'))
  for (const path of [long, binary, directory, loop]) {
    const error = await loadConfig(path).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ kind: 'config' })
    messages.push(error instanceof Error ? error.message : '')
  }
  expect(messages).toEqual([
    'Cannot use stagecraft.yml: it is larger than 1 MiB',
    'Cannot use stagecraft.yml: it is not UTF-8 text',
    'Cannot use stagecraft.yml: it is not a file',
    'Cannot use stagecraft.yml: it cannot be read (ELOOP)',
  ])
})

test('loadConfig() does not overlook a file under another name', async () => {
  const error = await loadConfig(folder({ 'stagecraft.yaml': '' })).catch((caught: unknown) => caught)
  expect(error).toMatchObject({
    kind: 'config',
    message: 'Cannot use stagecraft.yaml: the file must be called stagecraft.yml',
    hint: 'Rename it: mv stagecraft.yaml stagecraft.yml',
  })
  const both = folder({ 'stagecraft.yaml': 'not looked at', 'stagecraft.yml': '' })
  expect((await loadConfig(both)).environments).toHaveProperty('local')
})
