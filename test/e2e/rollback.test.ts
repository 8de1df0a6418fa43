import { beforeAll, describe, expect, test } from 'bun:test'
import type { Ran } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'
import { expectGolden } from '../support/golden.ts'
import { host } from '../support/lab.ts'
import {
  type App,
  deploy,
  ENDS_SOON,
  echoing,
  expectCode,
  expectPage,
  expectPhases,
  httpd,
  idle,
  page,
  QUICK_STOP,
  releases,
  sharedFolder,
  startRegistry,
  touchedBy,
  writeApp,
  writePage,
} from './app.ts'

const h1 = host('h1')

/** Rolls back, and fails with everything that was printed unless it ends with `code`. */
async function rollback(folder: Folder, args: readonly string[] = [], code = 0): Promise<Ran> {
  const ran = await folder.stagecraft(['rollback', ...args])
  expectCode(ran, code)
  return ran
}

const newestOf = (folder: Folder, version: string) =>
  releases(folder).findLast((release) => release.version === version)?.id ?? ''

describe('one application, back and forth', () => {
  const folder = sharedFolder(h1, 'rollback')

  let web = 0
  let site = 0
  let api = 0
  let app: App
  beforeAll(async () => {
    ;[web, site, api] = [await h1.freePort(), await h1.freePort(), await h1.freePort()]
    app = {
      services: {
        web: page(web),
        site: {
          image: 'busybox:1',
          command: httpd('/www'),
          volumes: ['./conf/site.txt:/www/site.txt:ro'],
          ports: [`${site}:80`],
          ...QUICK_STOP,
        },
        api: {
          ...echoing('$$MODE'),
          env_file: './api.env',
          ports: [`${api}:80`],
        },
      },
      environments: { local: { keep: 20 } },
    }
    folder.write('conf/site.txt', 'site one\n')
    folder.write('api.env', 'MODE=quiet\n')
    writeApp(folder, app)
    writePage(folder, 'page one')
    await deploy(folder, 'v1')
    writePage(folder, 'page two')
    await deploy(folder, 'v2')
  })

  /** The images of this project and what they are called. */
  async function images(): Promise<string[]> {
    const format = '{{.Repository}}:{{.Tag}} {{.ID}}'
    const { stdout } = await folder.docker(['images', '--all', '--no-trunc', '--format', format])
    return stdout
      .split('\n')
      .filter((line) => line.startsWith(folder.name))
      .toSorted()
  }

  test('v1, v2, an uncommitted edit: a rollback restores v1, and builds nothing', async () => {
    writePage(folder, 'an edit')
    const [before, state] = [await images(), folder.read('.stagecraft/releases.json')]
    const dry = await rollback(folder, ['--dry-run'])
    expect(dry.stdout).toMatch(/^ +web +recreate +image changed; downtime of about /m)
    expect(folder.read('.stagecraft/releases.json')).toBe(state)
    let stdout = ''
    const touched = await touchedBy(folder, async () => {
      stdout = (await rollback(folder)).stdout
    })
    const said = { target: newestOf(folder, 'v1'), v1: releases(folder)[0]?.id ?? '', v2: newestOf(folder, 'v2') }
    expectGolden(
      'commands/rollback.md',
      'done',
      stdout.replace(said.target, '<id>').replace(said.v1, '<target>').replace(said.v2, '<before>'),
    )
    expect(touched).toEqual(['web'])
    expect(await images()).toEqual(before)
    expectPhases(folder, 'v1')
    await expectPage(folder, web, 'page one')
  })

  test('it is undone as it says', async () => {
    await rollback(folder, ['--to-release', newestOf(folder, 'v2')])
    await expectPage(folder, web, 'page two')
  })

  test('after a failed deploy it goes to the release live before; twice in a row, further back', async () => {
    writePage(folder, 'page three')
    await deploy(folder, 'v3')
    folder.write('web/Dockerfile', 'FROM busybox:1\nCMD ["false"]\n')
    writeApp(folder, { ...app, settings: { web: ENDS_SOON } })
    await deploy(folder, 'v4', 5)
    writeApp(folder, app)
    await rollback(folder)
    await expectPage(folder, web, 'page two')
    await rollback(folder)
    await expectPage(folder, web, 'page one')
    const state = folder.read('.stagecraft/releases.json')
    expect((await rollback(folder, [], 4)).stderr).toContain('no release before v1 (')
    expect((await rollback(folder, ['--to-version', 'v4'], 4)).stderr).toContain('it never completed in local')
    expect(folder.read('.stagecraft/releases.json')).toBe(state)
  })

  test('to a version that was deployed several times, it goes to the last one', async () => {
    writePage(folder, 'page five, first')
    await deploy(folder, 'v5')
    writePage(folder, 'page five, second')
    await deploy(folder, 'v5')
    writePage(folder, 'page six')
    await deploy(folder, 'v6')
    await rollback(folder, ['--to-version', 'v5'])
    await expectPage(folder, web, 'page five, second')
  })

  test('removed services come back, and newer ones are removed', async () => {
    const { api: _api, ...others } = app.services
    writeApp(folder, { ...app, services: { ...others, cache: idle } })
    await deploy(folder, 'v7') // of the page that v6 had
    await rollback(folder, ['--to-version', 'v6'])
    expect((await folder.containers()).map(({ service }) => service)).toEqual(['api', 'site', 'web'])
    await expectPage(folder, api, 'quiet')
    await rollback(folder, ['--to-version', 'v7'])
    expect(await touchedBy(folder, () => rollback(folder, ['--to-version', 'v6']))).toEqual(['api', 'cache'])
    writeApp(folder, app)
  })

  test('the old content of a file that is mounted read-only comes back, and its service alone is recreated', async () => {
    folder.write('conf/site.txt', 'site two\n')
    await deploy(folder, 'v8')
    await expectPage(folder, site, 'site two', '/site.txt')
    expect(await touchedBy(folder, () => rollback(folder))).toEqual(['site'])
    await expectPage(folder, site, 'site one', '/site.txt')
  })

  test('the values of an env file come back, to its service alone', async () => {
    folder.write('conf/site.txt', 'site one\n')
    folder.write('api.env', 'MODE=loud\n')
    await deploy(folder, 'v9')
    await expectPage(folder, api, 'loud')
    expect(await touchedBy(folder, () => rollback(folder))).toEqual(['api'])
    await expectPage(folder, api, 'quiet')
  })

  test('a broken Compose file is no obstacle', async () => {
    folder.write('compose.yaml', 'services: {web: [')
    expect((await folder.stagecraft(['plan'])).code).toBe(3)
    await rollback(folder, ['--to-version', 'v3'])
    await expectPage(folder, web, 'page three')
  })

  test('nor is a working tree with only stagecraft.yml and .stagecraft left', async () => {
    for (const name of ['compose.yaml', 'web', 'conf', 'api.env']) folder.remove(name)
    expect((await folder.exec(['ls', '-A'])).stdout).toBe('.stagecraft\nstagecraft.yml\n')
    await rollback(folder, ['--to-version', 'v8'])
    await expectPage(folder, site, 'site two', '/site.txt')
    await expectPage(folder, web, 'page six')
    await rollback(folder, ['--to-release', releases(folder)[0]?.id ?? ''])
    await expectPage(folder, web, 'page one')
    await expectPage(folder, site, 'site one', '/site.txt')
    expect((await folder.exec(['ls', '-A'])).stdout).toBe('.stagecraft\nstagecraft.yml\n')
  })

  test('a missing image is exit 4, before anything is changed; other releases can still be restored', async () => {
    const gone = newestOf(folder, 'v3')
    const bundle = JSON.parse(folder.read(`.stagecraft/releases/${gone}/release.json`))
    expectCode(await folder.docker(['rmi', '-f', bundle.images.web.id]), 0)
    const state = folder.read('.stagecraft/releases.json')
    const touched = await touchedBy(folder, async () => {
      const { stderr } = await rollback(folder, ['--to-version', 'v3'], 4)
      expect(stderr).toContain(`Cannot roll back to ${gone} (v3): the image of web is gone (${folder.name}-web:v3)`)
      expect(stderr).toContain(`Looked on the engine, as ${bundle.images.web.id.slice(0, 19)}`)
      await rollback(folder, ['--to-version', 'v3', '--dry-run'], 4)
    })
    expect(touched).toEqual([])
    expect(folder.read('.stagecraft/releases.json')).toBe(state)
    await rollback(folder, ['--to-version', 'v2'])
    await expectPage(folder, web, 'page two')
  })
})

test('a rollback that fails restores what ran before it', async () => {
  const folder = h1.folder('rollback-fails')
  try {
    const port = await h1.freePort()
    const write = (text: string, command: string) =>
      writeApp(folder, {
        services: {
          web: {
            image: 'busybox:1',
            command: [
              'sh',
              '-c',
              `${command}; mkdir /www; echo ${text} >/www/index.html; exec ${httpd('/www').join(' ')}`,
            ],
            volumes: ['kept:/kept'],
            ports: [`${port}:80`],
            ...QUICK_STOP,
          },
          other: idle,
        },
        compose: { volumes: { kept: {} } },
        settings: { web: { rollout: { min_ready: '5s' } } }, // the engine reports its early end a while later
      })
    write('one', 'test ! -e /kept/new-format || { echo the data is too new; exit 3; }')
    await deploy(folder, 'v1')
    write('two', 'touch /kept/new-format')
    await deploy(folder, 'v2')
    await expectPage(folder, port, 'two')
    const touched = await touchedBy(folder, async () => {
      const { stderr } = await rollback(folder, [], 5)
      expect(stderr).toContain('Cannot start web: it ended with exit code 3')
      expect(stderr).toContain('the data is too new')
      expect(stderr).toContain(`v2 (${newestOf(folder, 'v2')}) is still live.`)
    })
    expect(touched).toEqual(['web'])
    expectPhases(folder, 'v1', 'rollout')
    await expectPage(folder, port, 'two')
    expect(await touchedBy(folder, () => deploy(folder, 'v3'))).toEqual([])
    await folder.docker(['compose', 'exec', '-T', 'web', 'rm', '/kept/new-format'])
    await rollback(folder, ['--to-version', 'v1']) // the one that completed
    await expectPage(folder, port, 'one')
  } finally {
    await folder.cleanUp()
  }
})

test('an image that the engine no longer has is fetched from the registry, by its digest', async () => {
  const folder = h1.folder('rollback-registry')
  try {
    const [web, port] = [await h1.freePort(), await h1.freePort()]
    await startRegistry(folder, port)
    const base = `localhost:${port}/${folder.name}-base`
    expectCode(await folder.docker(['tag', 'busybox:1', `${base}:1`]), 0)
    expectCode(await folder.docker(['push', `${base}:1`]), 0)
    expectCode(await folder.docker(['rmi', `${base}:1`]), 0)
    const project = { registry: `localhost:${port}` }
    const write = (kind: string) =>
      writeApp(folder, {
        services: { web: page(web), base: { ...idle, image: `${base}:1`, environment: { kind } } },
        project,
      })
    write('one')
    writePage(folder, 'page one')
    await deploy(folder, 'v1')
    write('two')
    writePage(folder, 'page two')
    await deploy(folder, 'v2')
    const id = JSON.parse(folder.read(`.stagecraft/releases/${newestOf(folder, 'v1')}/release.json`)).images.web.id
    expectCode(await folder.docker(['rmi', '-f', id]), 0)
    // Someone removes the name of an image: the engine forgets its digest with it.
    expectCode(await folder.docker(['rmi', `${base}:1`]), 0)
    await rollback(folder)
    await expectPage(folder, web, 'page one')
    const { stdout } = await folder.docker(['compose', 'exec', '-T', 'base', 'sh', '-c', 'echo $kind'])
    expect(stdout).toBe('one\n')

    await rollback(folder, ['--to-version', 'v2'])
    expectCode(await folder.docker(['rm', '-f', `${folder.name}-registry`]), 0)
    expectCode(await folder.docker(['rmi', '-f', id]), 0)
    const { stderr } = await rollback(folder, ['--to-version', 'v1'], 4)
    expect(stderr).toContain(`and in the registry, as localhost:${port}/${folder.name}-web@sha256:`)
    expect(stderr).toContain('Nothing has been changed.')
  } finally {
    await folder.cleanUp()
  }
})
