import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Folder } from '../support/folder.ts'
import { HOSTS, type HostName, host, isUp } from '../support/lab.ts'
import {
  type App,
  deploy,
  expectPage,
  expectPhases,
  httpd,
  idle,
  page,
  QUICK_STOP,
  touchedBy,
  writeApp,
  writePage,
} from './app.ts'

// One journey on the oldest engine and on the newest, with another Compose. (h1 has the rest of the tests.)
const VERSIONS = (['h2', 'h3'] as const).map((name) => [HOSTS[name].engine, name] as const)

describe.each(VERSIONS)('on engine %s', (_, name: HostName) => {
  // Without the lab there is only one engine, and versions are not compared.
  const journey = test.skipIf(!isUp(name))
  let folder: Folder
  let port = 0
  let files = 0
  let app: App

  beforeAll(async () => {
    if (!isUp(name)) return
    folder = host(name).folder('journey')
    port = await host(name).freePort()
    files = await host(name).freePort()
    const healthcheck = { test: ['CMD', 'true'], interval: '2s' }
    app = {
      services: {
        web: page(port, {
          healthcheck,
          volumes: ['/data'],
          depends_on: { setup: { condition: 'service_completed_successfully' } },
        }),
        setup: { image: 'busybox:1', command: ['sh', '-c', 'echo run >>/kept/runs'], volumes: ['kept:/kept'] },
        files: {
          image: 'busybox:1',
          command: httpd('/'),
          ports: [`${files}:80`],
          volumes: ['./site:/site:ro', 'kept:/kept'],
          configs: [{ source: 'inline', target: '/inline', mode: 0o444 }],
          secrets: ['token'],
          networks: ['default', 'back'],
          ...QUICK_STOP,
        },
        beside: { ...idle, network_mode: 'service:web' },
      },
      compose: {
        volumes: { kept: {} },
        networks: { back: { labels: { tier: 'one' } } },
        configs: { inline: { content: 'cost: 5$$' } },
        secrets: { token: { environment: 'TOKEN' } },
      },
    }
    folder.write('.env', 'TOKEN=of the environment\n')
    folder.write('site/page', 'site one\n')
    writePage(folder, 'version one')
    writeApp(folder, app)
  })
  afterAll(() => folder?.cleanUp())

  journey('the first deploy starts everything', async () => {
    await deploy(folder, 'v1')
    expectPhases(folder, 'v1')
    await expectPage(folder, port, 'version one')
    await expectPage(folder, files, 'site one', '/site/page')
    await expectPage(folder, files, 'cost: 5$', '/inline')
    await expectPage(folder, files, 'of the environment', '/run/secrets/token')
    await expectPage(folder, files, 'run', '/kept/runs')
  })

  journey('nothing changed: no container is touched', async () => {
    expect(await touchedBy(folder, () => deploy(folder, 'v2'))).toEqual([])
  })

  journey('a change of an image, a file and a network touches only the services that use them', async () => {
    writePage(folder, 'version three')
    folder.write('site/page', 'site two\n')
    app = { ...app, compose: { ...app.compose, networks: { back: { labels: { tier: 'two' } } } } }
    writeApp(folder, app)
    expect(await touchedBy(folder, () => deploy(folder, 'v3'))).toEqual(['beside', 'files', 'web'])
    await expectPage(folder, port, 'version three')
    await expectPage(folder, files, 'site two', '/site/page')
    await expectPage(folder, files, 'run', '/kept/runs')
  })

  journey('a version that fails: the previous release stays live, with its data', async () => {
    const inWeb = (...command: string[]) => folder.docker(['compose', 'exec', '-T', 'web', ...command])
    expect((await inWeb('sh', '-c', 'echo precious >/data/file')).code).toBe(0)
    const web = { ...app.services['web'], command: ['sh', '-c', 'echo "cannot go on" >&2; exit 7'] }
    writeApp(folder, { ...app, services: { ...app.services, web } })
    const { stderr } = await deploy(folder, 'v4', 5)
    expect(stderr).toContain('Cannot start web: it ended with exit code 7')
    expect(stderr).toContain('cannot go on')
    expectPhases(folder, 'v4', 'rollout')
    await expectPage(folder, port, 'version three')
    expect((await inWeb('cat', '/data/file')).stdout).toBe('precious\n')
    writeApp(folder, app)
    expect(await touchedBy(folder, () => deploy(folder, 'v5'))).toEqual([])
  })
})
