import { beforeAll, describe, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import {
  type App,
  deploy,
  expectPage,
  expectPhases,
  httpd,
  idle,
  QUICK_STOP,
  releases,
  sharedFolder,
  touchedBy,
  writeApp,
} from './app.ts'

// What a container gets in addition to its image: files, networks, volumes. One project; each test builds on the last.
const h1 = host('h1')
const folder = sharedFolder(h1, 'content')

let files = 0
let site = 0
let app: App
let version = 0
const next = () => `v${++version}`

beforeAll(async () => {
  files = await h1.freePort()
  site = await h1.freePort()
  app = {
    services: {
      files: {
        image: 'busybox:1',
        command: httpd('/'),
        ports: [`${files}:80`],
        configs: [
          { source: 'plain', target: '/cfg/plain' },
          { source: 'inline', target: '/cfg/inline' },
          { source: 'variable', target: '/cfg/variable' },
        ],
        secrets: ['token', { source: 'password', target: 'pass/word' }],
        networks: ['back', 'default'],
        ...QUICK_STOP,
      },
      site: {
        image: 'busybox:1',
        command: httpd('/www'),
        ports: [`${site}:80`],
        volumes: ['./conf/site.txt:/www/site.txt:ro', './pages:/www/pages:ro'],
        networks: ['back', 'default'],
        ...QUICK_STOP,
      },
      plain: { ...idle, volumes: ['data:/data'] },
    },
    compose: {
      configs: {
        plain: { file: './conf/plain.txt' },
        inline: { content: 'inline one' },
        variable: { environment: 'CONFIG_VALUE' },
      },
      secrets: { token: { file: './conf/token.txt' }, password: { environment: 'SECRET_VALUE' } },
      networks: { back: { labels: { tier: 'one' } } },
      volumes: { data: {} },
    },
  }
  folder.write('conf/plain.txt', 'plain one\n')
  folder.write('conf/token.txt', 'token one\n')
  folder.write('conf/site.txt', 'site one\n')
  folder.write('pages/deep/er/index.txt', 'deep one\n')
  folder.write('.env', 'CONFIG_VALUE=variable one\nSECRET_VALUE=password one\n')
  writeApp(folder, app)
})

test('configs, secrets and relative bind mounts arrive with their content', async () => {
  await deploy(folder, next())
  await expectPage(folder, files, 'plain one', '/cfg/plain')
  await expectPage(folder, files, 'inline one', '/cfg/inline')
  await expectPage(folder, files, 'variable one', '/cfg/variable')
  await expectPage(folder, files, 'token one', '/run/secrets/token')
  await expectPage(folder, files, 'password one', '/run/secrets/pass/word')
  await expectPage(folder, site, 'site one', '/site.txt')
  await expectPage(folder, site, 'deep one', '/pages/deep/er/index.txt')
})

/** Deploys a change of content, which recreates `service` alone and is named as the reason. */
async function changes(service: string, reason: string): Promise<void> {
  const touched = await touchedBy(folder, async () => {
    const { stderr } = await deploy(folder, next())
    expect(stderr).toContain(reason)
  })
  expect(touched).toEqual([service])
}

describe('changed content recreates the service that has it, and no other:', () => {
  test('of configs from a file, inline and from a variable', async () => {
    folder.write('conf/plain.txt', 'plain two\n')
    folder.write('.env', 'CONFIG_VALUE=variable two\nSECRET_VALUE=password one\n')
    const configs = { ...Object(app.compose?.['configs']), inline: { content: 'inline two' } }
    app = { ...app, compose: { ...app.compose, configs } }
    writeApp(folder, app)
    await changes('files', 'content of config inline, config plain, config variable changed')
    await expectPage(folder, files, 'plain two', '/cfg/plain')
    await expectPage(folder, files, 'inline two', '/cfg/inline')
    await expectPage(folder, files, 'variable two', '/cfg/variable')
  })

  test('of a secret from a file', async () => {
    folder.write('conf/token.txt', 'token two\n')
    await changes('files', 'content of secret token changed')
    await expectPage(folder, files, 'token two', '/run/secrets/token')
  })

  test('of a secret from a variable', async () => {
    folder.write('.env', 'CONFIG_VALUE=variable two\nSECRET_VALUE=password two\n')
    await changes('files', 'content of secret password changed')
    await expectPage(folder, files, 'password two', '/run/secrets/pass/word')
  })

  test('of a file and a folder that are mounted read-only', async () => {
    folder.write('conf/site.txt', 'site two\n')
    folder.write('pages/deep/er/index.txt', 'deep two\n')
    await changes('site', 'content of ./conf/site.txt, ./pages changed')
    await expectPage(folder, site, 'site two', '/site.txt')
    await expectPage(folder, site, 'deep two', '/pages/deep/er/index.txt')
  })
})

test('running containers keep the released content, even if the files in the folder change', async () => {
  folder.write('conf/site.txt', 'not released\n')
  folder.remove('pages')
  await expectPage(folder, site, 'site two', '/site.txt')
  await expectPage(folder, site, 'deep two', '/pages/deep/er/index.txt')
  expect((await folder.stagecraft(['status'])).stdout).toContain('not here any more: ./pages')
  folder.remove('conf/site.txt')
  const missing = await deploy(folder, 'v-missing', 3)
  expect(missing.stderr).toContain('Cannot mount ./conf/site.txt into site: it does not exist')
  const planned = await folder.stagecraft(['plan'])
  expect([planned.code, planned.stderr.includes('Put the file there first')]).toEqual([3, true])
  folder.write('conf/site.txt', 'site two\n')
  folder.write('pages/deep/er/index.txt', 'deep two\n')
  expect(await touchedBy(folder, () => deploy(folder, next()))).toEqual([])
})

test('a changed network is recreated with its services attached, and nothing else is touched', async () => {
  app = { ...app, compose: { ...app.compose, networks: { back: { labels: { tier: 'two' } } } } }
  writeApp(folder, app)
  expect(await touchedBy(folder, () => deploy(folder, next()))).toEqual(['files', 'site'])
  expectPhases(folder, `v${version}`)
  const network = await folder.docker([
    'network',
    'inspect',
    '--format',
    '{{.Labels.tier}} {{len .Containers}}',
    `${folder.name}_back`,
  ])
  expect(network.stdout).toBe('two 2\n')
  await expectPage(folder, files, 'plain two', '/cfg/plain')
  const inside = await folder.docker(['compose', 'exec', '-T', 'files', 'wget', '-qO-', 'http://site/site.txt'])
  expect(inside.stdout).toBe('site two\n')
})

test('a network that nothing uses any more is removed', async () => {
  const { files, site, ...rest } = app.services
  const { networks: _files, ...plainFiles } = { ...files }
  const { networks: _site, ...plainSite } = { ...site }
  const { networks: _networks, ...compose } = { ...app.compose }
  app = { ...app, services: { ...rest, files: plainFiles, site: plainSite }, compose }
  writeApp(folder, app)
  expect(await touchedBy(folder, () => deploy(folder, next()))).toEqual(['files', 'site'])
  const networks = await folder.docker(['network', 'ls', '--format', '{{.Name}}', '--filter', `name=${folder.name}`])
  expect(networks.stdout).toBe(`${folder.name}_default\n`)
})

test('a changed volume definition is refused, and nothing is changed', async () => {
  const records = releases(folder).length
  const volume = () => folder.docker(['volume', 'inspect', `${folder.name}_data`])
  const before = (await volume()).stdout
  writeApp(folder, { ...app, compose: { ...app.compose, volumes: { data: { labels: { changed: 'yes' } } } } })
  const touched = await touchedBy(folder, async () => {
    const { stderr } = await deploy(folder, 'v-volume', 3)
    expect(stderr).toContain(`Cannot change the definition of volume ${folder.name}_data`)
    expect(stderr).toMatch(/hint: .*copy the data/)
    expect((await folder.stagecraft(['plan'])).code).toBe(3)
  })
  expect(touched).toEqual([])
  expect((await volume()).stdout).toBe(before)
  expect(releases(folder).length).toBe(records)
  writeApp(folder, app)
  expect(await touchedBy(folder, () => deploy(folder, next()))).toEqual([])
})
