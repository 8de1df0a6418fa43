import { beforeAll, describe, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import {
  type App,
  deploy,
  expectCode,
  httpd,
  idle,
  page,
  QUICK_STOP,
  sharedFolder,
  writeApp,
  writePage,
} from './app.ts'

// `plan` and `deploy --dry-run` say the same, and write nothing, anywhere.
const h1 = host('h1')
const folder = sharedFolder(h1, 'dry-run')

let app: App
beforeAll(async () => {
  app = {
    services: {
      web: page(await h1.freePort(), {
        configs: ['inline'],
        depends_on: { setup: { condition: 'service_completed_successfully' } },
      }),
      files: {
        image: 'busybox:1',
        command: httpd('/www'),
        volumes: ['./site:/www:ro'],
        networks: ['back'],
        ...QUICK_STOP,
      },
      setup: { image: 'busybox:1', command: ['true'] },
    },
    compose: { configs: { inline: { content: 'one' } }, networks: { back: {} } },
    settings: { setup: { job: true } },
  }
  writePage(folder, 'one')
  folder.write('site/index.html', 'one')
  writeApp(folder, app)
})

const LISTS = [
  ['ps', '-a', '--no-trunc', '--format', '{{.ID}} {{.Names}} {{.Image}} {{.State}}'],
  ['images', '-a', '--no-trunc', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}'],
  ['volume', 'ls', '--format', '{{.Name}}'],
  ['network', 'ls', '--no-trunc', '--format', '{{.ID}} {{.Name}}'],
]

/** Every file with its times, and everything on the engine that has to do with the project. */
async function everything(): Promise<string> {
  const files = (await folder.exec(['find', '.', '-printf', '%p %m %s %T@ %C@\\n'])).stdout
  const lists = await Promise.all(LISTS.map((list) => folder.docker(list)))
  const lines = lists.flatMap(({ stdout }) => stdout.split('\n').filter((line) => line.includes(folder.name)))
  return [...files.split('\n'), ...lines].sort().join('\n')
}

/** Asks in both ways. @returns what was printed, which must be the same. */
async function plan(code = 0): Promise<string> {
  const before = await everything()
  expect(before).toContain('compose.yaml')
  const version = ['--version', 'v7']
  const asked = await folder.stagecraft(['plan', ...version])
  const dry = await folder.stagecraft(['deploy', '--dry-run', ...version])
  expectCode(asked, code)
  expect(dry).toEqual(asked)
  expect(await everything()).toBe(before)
  return asked.stdout
}

describe('plan and deploy --dry-run', () => {
  test('before the first deploy', async () => {
    const text = await plan()
    expect(text).toContain('no release is live yet')
    expect(text).toMatch(/web +create +new/)
    expect(text).toMatch(/setup +job +new/)
    expect(folder.exists('.stagecraft')).toBe(false)
    expect((await folder.stagecraft(['plan', '--exit-code'])).code).toBe(11)
  })

  test('where nothing changed', async () => {
    const { web: _web, ...services } = app.services
    writeApp(folder, { ...app, services: { ...services, web: { ...idle, configs: ['inline'] } } })
    await deploy(folder, 'v1')
    expect(await plan()).toContain('Nothing to do: everything runs as it should.')
    expect((await folder.stagecraft(['plan', '--exit-code'])).code).toBe(0)
  })

  test('where much changed: files, configs, networks, services', async () => {
    folder.write('site/index.html', 'two')
    const compose = { configs: { inline: { content: 'two' } }, networks: { back: { labels: { changed: 'yes' } } } }
    const { setup: _setup, ...services } = app.services
    writeApp(folder, { services: { ...services, web: page(9, { configs: ['inline'] }), extra: idle }, compose })
    const text = await plan()
    expect(text).toMatch(/files +recreate +.*content of \.\/site changed/)
    expect(text).toMatch(/web +recreate +.*content of config inline changed/)
    expect(text).toMatch(/extra +create +new/)
    expect(text).toMatch(/setup +remove/)
    expect(text).toMatch(new RegExp(`${folder.name}_back +replace`))

    const before = await everything()
    const json = await folder.stagecraft(['plan', '--json', '--version', 'v7'])
    expect(await folder.stagecraft(['deploy', '--dry-run', '--json', '--version', 'v7'])).toEqual(json)
    expect(
      json.stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line).type),
    ).toEqual(['plan', 'finished'])
    expect(await everything()).toBe(before)
  })

  test('where the deploy would be refused', async () => {
    const { files = {} } = app.services
    const volumes = ['./site:/www:ro', './gone.conf:/etc/gone.conf:ro']
    writeApp(folder, { ...app, services: { ...app.services, files: { ...files, volumes } } })
    expect(await plan(3)).toBe('')
  })
})
