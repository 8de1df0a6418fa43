import { expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import { deploy, expectCode, idle, sharedFolder, writeApp } from './app.ts'

const h1 = host('h1')
const folder = sharedFolder(h1, 'sources')
const [OLD, NEW] = ['tr0ub4dor-one', 'c0rrect-horse-two']

/** A password manager that prints the content of a file, and counts how often it was asked for what. */
const MANAGER = '#!/bin/sh\necho "$1" >>asked\nexec cat "vault/$1"\n'
const asked = () => (folder.exists('asked') ? folder.read('asked').trim().split('\n').sort() : [])

function write(): void {
  folder.write('manager', MANAGER, 0o755)
  folder.write('vault/password', `${OLD}\n`)
  folder.write('vault/key', 'k3y-of-the-house\n')
  folder.write('vault/token', 't0ken-of-the-build\n')
  folder.write('.dockerignore', '*\n')
  folder.write(
    'Dockerfile',
    'FROM busybox:1\nRUN --mount=type=secret,id=token sha256sum /run/secrets/token | cut -d" " -f1 >/token-sum\n',
  )
  writeApp(folder, {
    services: {
      web: {
        ...idle,
        image: undefined,
        build: { context: '.', secrets: ['token'] },
        environment: { URL: 'postgres://u:${DB_PASSWORD}@db/app' },
        secrets: ['key'],
      },
    },
    compose: { secrets: { key: { environment: 'API_KEY' }, token: { environment: 'BUILD_TOKEN' } } },
    environments: {
      local: {
        secrets: {
          DB_PASSWORD: { command: './manager password' },
          API_KEY: { command: ['./manager', 'key'] },
          BUILD_TOKEN: { command: './manager token' },
          UNUSED: { command: './manager none' },
        },
      },
    },
  })
}

const inWeb = async (...command: string[]) => {
  const ran = await folder.stagecraft(['exec', 'web', '--', ...command])
  expectCode(ran, 0)
  return ran.stdout.trim()
}

test('values reach the container, its secrets and the build, and no screen; unused ones are not read', async () => {
  write()
  const { stdout, stderr } = await deploy(folder, 'v1', 0, ['--verbose'])
  expect(asked()).toEqual(['key', 'password', 'token'])
  expect(await inWeb('sh', '-c', 'echo "$URL"; cat /run/secrets/key; cat /token-sum')).toBe(
    `postgres://u:${OLD}@db/app\nk3y-of-the-house${new Bun.CryptoHasher('sha256').update('t0ken-of-the-build').digest('hex')}`,
  )
  for (const value of [OLD, 'k3y-of-the-house', 't0ken-of-the-build']) expect(stdout + stderr).not.toContain(value)
  const history = folder.read(`.stagecraft/releases/${(await ids())[0]}/events.jsonl`)
  expect(history).not.toContain(OLD)
})

test('a new value is a change that `releases diff` names, and a rollback needs no manager', async () => {
  folder.write('vault/password', `${NEW}\n`)
  await deploy(folder, 'v2')
  const diff = await folder.stagecraft(['releases', 'diff', 'v1', 'v2'])
  expect(diff.stdout).toContain('environment changed (URL)')
  expect(diff.stdout).not.toContain(NEW)
  folder.remove('asked')
  folder.write('manager', '#!/bin/sh\necho signed out >&2\nexit 1\n', 0o755)
  expectCode(await folder.stagecraft(['rollback']), 0)
  expect(await inWeb('sh', '-c', 'echo "$URL"')).toContain(OLD)
  expect(asked()).toEqual([])
})

test('a signed-out manager stops a deploy before there is a release, and its own message is shown', async () => {
  const before = await ids()
  const ran = await folder.stagecraft(['deploy', '--version', 'v3'])
  expectCode(ran, 3)
  expect(ran.stderr).toContain('Cannot read the secret DB_PASSWORD: ./manager password ended with 1\nsigned out\n')
  expect(await ids()).toEqual(before)
})

async function ids(): Promise<string[]> {
  const { stdout } = await folder.stagecraft(['releases', 'list', '--json'])
  return (JSON.parse(stdout.split('\n')[0] ?? '') as { releases: { id: string }[] }).releases.map(({ id }) => id)
}
