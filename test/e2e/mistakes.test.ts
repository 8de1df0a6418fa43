import { beforeAll, describe, expect, test } from 'bun:test'
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { host } from '../support/lab.ts'
import {
  type App,
  bundle,
  deploy,
  ENDS_SOON,
  expectCode,
  expectPage,
  expectPhases,
  httpd,
  page,
  QUICK_STOP,
  releases,
  sharedFolders,
  touchedBy,
  until,
  writeApp,
  writePage,
} from './app.ts'

// What an earlier implementation of this system got wrong.
const h1 = host('h1')
const [folder, copy] = sharedFolders(h1, 'mistakes', 'copy')

/** Values that must be seen nowhere, by where they come from. */
const SECRETS = {
  environment: 'sesame-of-the-environment',
  env_file: 'sesame-of-the-env-file',
  list: 'sesame-of-the-list',
  interpolated: 'sesame-of-the-interpolation',
  build: 'sesame-of-the-build',
  file: 'sesame-of-the-secret-file',
  variable: 'sesame-of-the-secret-variable',
}

let port = 0
let app: App
beforeAll(async () => {
  port = await h1.freePort()
  app = {
    services: {
      web: page(port, {
        build: { context: './web', args: { BUILD_TOKEN: SECRETS.build } },
        environment: { PLAIN_PASSWORD: SECRETS.environment, MIXED: '${INTERPOLATED}' },
        secrets: ['token', 'password'],
        'x-of-a-service': { anything: ['goes', { here: true }] },
      }),
      api: {
        image: 'busybox:1',
        command: ['sh', '-c', `env >/www/env; exec ${httpd('/www').join(' ')}`],
        env_file: ['./api.env'],
        environment: [`FROM_LIST=${SECRETS.list}`, 'BOTH=the list'],
        tmpfs: ['/www'],
        ...QUICK_STOP,
      },
      db: {
        image: 'postgres:15',
        entrypoint: ['sleep'],
        command: ['1d'],
        volumes: ['data:/var/lib/postgresql/data'],
        ...QUICK_STOP,
      },
    },
    compose: {
      name: folder.name,
      'x-anything': { at: ['the', 'top'] },
      volumes: { data: {} },
      secrets: { token: { file: './token.txt' }, password: { environment: 'PASSWORD' } },
    },
  }
  writePage(folder, 'version one')
  folder.write(
    'web/Dockerfile',
    `FROM busybox:1\nARG BUILD_TOKEN\nRUN echo "building with $BUILD_TOKEN"\nCOPY index.html /www/\nCMD ${JSON.stringify(httpd('/www'))}\n`,
  )
  folder.write('api.env', `FROM_FILE=${SECRETS.env_file}\nBOTH=the file\n`, 0o600)
  folder.write('token.txt', `${SECRETS.file}\n`, 0o600)
  folder.write('.env', `INTERPOLATED=${SECRETS.interpolated}\nPASSWORD=${SECRETS.variable}\n`, 0o600)
  writeApp(folder, app)
})

// The patterns are read from a file: they would otherwise stand in the command line that looks for them.
const WATCH = `while [ ! -e "$1" ]; do grep -aF -f "$2" /proc/[0-9]*/cmdline 2>/dev/null; sleep 0.03; done; true`

describe('secrets', () => {
  test('are in no output, in no command line, and in no file that others can read', async () => {
    folder.write('patterns', `${[...Object.values(SECRETS), 'what-the-watcher-must-see'].join('\n')}\n`)
    const watcher = h1.start(['sh', '-c', WATCH, 'sh', `${folder.path}/stop`, `${folder.path}/patterns`])
    const seeable = 'while [ ! -e "$1" ]; do sleep 0.1; done'
    const decoy = h1.start(['sh', '-c', seeable, 'what-the-watcher-must-see', `${folder.path}/seen`])
    await until('the watcher sees', () => watcher.output().includes('what-the-watcher-must-see') || 'nothing yet')
    folder.write('seen', '')
    await decoy.done
    const outputs = [
      await folder.stagecraft(['deploy', '--version', 'v1', '--verbose']),
      await folder.stagecraft(['deploy', '--version', 'v2', '--json', '--verbose']),
      await folder.stagecraft(['plan']),
      await folder.stagecraft(['plan', '--json']),
      await folder.stagecraft(['releases', 'list', '--json']),
      await folder.stagecraft(['releases', 'show', 'latest']),
    ]
    folder.write('stop', '')
    const seen = (await watcher.done).stdout.split('\n').filter((line) => line !== '')
    expect(seen.filter((line) => !line.includes('what-the-watcher-must-see'))).toEqual([])
    for (const ran of outputs) {
      expectCode(ran, 0)
      for (const secret of Object.values(SECRETS)) expect(ran.stdout + ran.stderr).not.toContain(secret)
    }
    expect(outputs[0]?.stderr).toContain('building with •••')
    expect(readableSecrets(join(folder.here, '.stagecraft'))).toEqual([])
    await expectPage(folder, port, 'version one')
  })

  test('are in no output of a container that failed', async () => {
    const script =
      'echo "token: $$(cat /run/secrets/token) plain: $$PLAIN_PASSWORD" >&2; cat /run/secrets/password; exit 1'
    writeApp(folder, {
      ...app,
      services: { ...app.services, web: { ...app.services['web'], command: ['sh', '-c', script] } },
      settings: { web: ENDS_SOON },
    })
    const text = await deploy(folder, 'v3', 5)
    const shown = await folder.stagecraft(['releases', 'show', 'latest', '--json'])
    for (const ran of [text, shown])
      for (const secret of Object.values(SECRETS)) expect(ran.stdout + ran.stderr).not.toContain(secret)
    expect(text.stderr).toContain('token: ••• plain: •••')
    expect(readableSecrets(join(folder.here, '.stagecraft'))).toEqual([])
    writeApp(folder, app)
    await deploy(folder, 'v4')
  })
})

/** @returns the files below `path` with a secret in them that someone else than their owner can get at. */
function readableSecrets(path: string): string[] {
  const stat = lstatSync(path)
  if (stat.isDirectory()) {
    if ((stat.mode & 0o077) === 0) return []
    return readdirSync(path).flatMap((name) => readableSecrets(join(path, name)))
  }
  if (!stat.isFile() || (stat.mode & 0o077) === 0) return []
  const text = readFileSync(path, 'utf8')
  return Object.values(SECRETS).some((secret) => text.includes(secret)) ? [path] : []
}

test("a service's own image is not replaced by the application's, and its data stays", async () => {
  const own = await folder.docker(['image', 'inspect', '--format', '{{.Id}}', 'postgres:15'])
  const before = await folder.containers()
  expect(before.find(({ service }) => service === 'db')?.image).toBe(own.stdout.trim())
  expect(bundle(folder).images['db']?.id).toBe(own.stdout.trim())
})

test('the name: of the Compose file is kept, and x- keys do no harm', async () => {
  const labels = await folder.docker([
    'ps',
    '--filter',
    `name=${folder.name}`,
    '--format',
    '{{.Label "com.docker.compose.project"}}',
  ])
  expect(new Set(labels.stdout.trim().split('\n'))).toEqual(new Set([folder.name]))
})

test('an environment written as a list and an env_file both count, and the list wins', async () => {
  const { stdout } = await folder.docker(['compose', 'exec', '-T', 'api', 'cat', '/www/env'])
  const values = stdout
    .split('\n')
    .filter((line) => /^(FROM|BOTH)/.test(line))
    .sort()
  expect(values).toEqual(['BOTH=the list', `FROM_FILE=${SECRETS.env_file}`, `FROM_LIST=${SECRETS.list}`])
})

test.each([
  '../v1',
  '-v1',
  'a b',
  '$(touch executed)',
  'v1;touch executed',
  '`touch executed`',
  'ü',
  'v'.repeat(129),
  '',
])('the version %p is refused, and nothing is written', async (version) => {
  const before = releases(folder).length
  const { code, stderr } = await folder.stagecraft(['deploy', `--version=${version}`])
  expect({ code, releases: releases(folder).length }).toEqual({ code: 2, releases: before })
  expect(stderr).toContain('ersion')
  expect(folder.exists('executed')).toBe(false)
})

describe('a reader that goes away', () => {
  test('does not stop a release: deploy | head -1 completes it', async () => {
    const script = '{ "$0" deploy --version v-head --json --verbose 2>&1; echo $? >code; } | head -1'
    const { stdout } = await folder.exec(['sh', '-c', script, h1.binary()])
    expect(JSON.parse(stdout)).toMatchObject({ v: 1, type: 'release', version: 'v-head' })
    await until('the deploy has ended', () => (folder.exists('code') && folder.read('code') !== '') || 'it runs')
    expect(folder.read('code')).toBe('0\n')
    folder.remove('code')
    expectPhases(folder, 'v-head')
  })

  test('ends a command that only reads, quietly', async () => {
    const script = '{ "$0" plan; echo $? >code; } | true'
    const { stderr } = await folder.exec(['sh', '-c', script, h1.binary()])
    await until('the plan has ended', () => (folder.exists('code') && folder.read('code') !== '') || 'it runs')
    expect({ code: folder.read('code'), stderr }).toEqual({ code: '141\n', stderr: '' })
  })
})

test('output to a full device is an error, and the release is complete', async () => {
  const full = (command: string) => folder.exec(['sh', '-c', `exec "$0" ${command} >/dev/full`, h1.binary()])
  const deployed = await full('deploy --version v-full')
  expect(deployed.code).toBe(9)
  expect(deployed.stderr).toContain('Cannot write the output: no space left on the device')
  expectPhases(folder, 'v-full')
  expect((await full('plan')).code).toBe(9)
  expect((await full('releases list')).code).toBe(9)
})

describe('COPY . .', () => {
  const dockerfile = 'FROM busybox:1\nCOPY . /app\nCMD ["sleep", "1d"]\n'
  const deployCopy = (version: string) => copy.stagecraft(['deploy', '--version', version])
  const filesInside = async () => {
    const { stdout } = await copy.docker(['compose', 'exec', '-T', 'app', 'find', '/app'])
    return stdout.split('\n').filter((path) => path.includes('stagecraft'))
  }

  test('would copy the state into the image: refused, with the line to add', async () => {
    copy.write('Dockerfile', dockerfile)
    const healthcheck = { test: ['CMD', 'true'], interval: '2s' }
    copy.write('compose.yaml', JSON.stringify({ services: { app: { build: '.', healthcheck, ...QUICK_STOP } } }))
    const { code, stderr } = await deployCopy('v1')
    expect(code).toBe(3)
    expect(stderr).toContain('Cannot build app: .stagecraft would be copied into its image')
    expect(stderr).toContain(`Add the line \`.stagecraft\` to ${copy.path}/.dockerignore`)
    expect(await copy.containers()).toEqual([])
    expect(copy.exists('.stagecraft')).toBe(false)
  })

  test('is fine after init, and the image then holds nothing of ours but the configuration', async () => {
    expectCode(await copy.stagecraft(['init', '--yes']), 0)
    expectCode(await deployCopy('v1'), 0)
    expect(await filesInside()).toEqual(['/app/stagecraft.schema.json', '/app/stagecraft.yml'])
    expect(await touchedBy(copy, () => deployCopy('v2'))).toEqual([])
  })

  test('is fine with the line in the .dockerignore of the Dockerfile; the program itself is not copied either', async () => {
    copy.remove('.dockerignore')
    copy.write('Dockerfile.dockerignore', '.stagecraft\n')
    expectCode(await deployCopy('v3'), 0)
    expect((await filesInside()).filter((path) => path.includes('.stagecraft'))).toEqual([])
    const copied = await copy.exec([
      'sh',
      '-c',
      'cp "$0" ./stagecraft && exec ./stagecraft deploy --version v4',
      h1.binary(),
    ])
    expect(copied.code).toBe(3)
    expect(copied.stderr).toContain('stagecraft would be copied into its image')
  })
})
