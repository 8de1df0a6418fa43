import { beforeAll, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import {
  type App,
  deploy,
  echoing,
  expectPage,
  expectPhases,
  idle,
  page,
  QUICK_STOP,
  releases,
  sharedFolder,
  touchedBy,
  until,
  writeApp,
  writePage,
} from './app.ts'

// One application through its life: every test deploys on top of what the one before it left.
const h1 = host('h1')
const folder = sharedFolder(h1, 'deploy')

let web = 0
let api = 0
let app: App
beforeAll(async () => {
  web = await h1.freePort()
  api = await h1.freePort()
  app = {
    services: {
      web: page(web),
      api: {
        ...echoing('$$APP_MODE $$APP_TAG'),
        env_file: './api.env',
        environment: { APP_TAG: '${TAG}' },
        ports: [`${api}:80`],
      },
      db: {
        image: 'busybox:1',
        command: ['sh', '-c', 'date >>/kept/born; exec sleep 1d'],
        volumes: ['kept:/kept'],
        ...QUICK_STOP,
      },
    },
    compose: { volumes: { kept: {} } },
    environments: { local: { env_file: 'local.env' } },
  }
  writePage(folder, 'page one')
  folder.write('api.env', 'APP_MODE=quiet\n')
  folder.write('local.env', 'TAG=alpha\n')
  writeApp(folder, app)
})

test('the first deploy starts every service, in six completed phases', async () => {
  const { stdout } = await deploy(folder, 'v1')
  const [release] = releases(folder)
  expect(stdout).toBe(`v1 is live in local (${release?.id})\n`)
  expectPhases(folder, 'v1')
  await expectPage(folder, web, 'page one')
  await expectPage(folder, api, 'quiet alpha')
  const running = (await folder.containers()).map(({ service, state }) => `${service} ${state}`)
  expect(running).toEqual(['api running', 'db running', 'web running'])
})

test('a deploy without changes touches no container, although the version differs', async () => {
  expect(await touchedBy(folder, () => deploy(folder, 'v2'))).toEqual([])
  expectPhases(folder, 'v2')
  expect(releases(folder).at(-1)?.previous_id).toBe(releases(folder).at(0)?.id ?? 'no release')
})

test('a change of one service out of three recreates that one only', async () => {
  writePage(folder, 'page two')
  expect(await touchedBy(folder, () => deploy(folder, 'v3'))).toEqual(['web'])
  await expectPage(folder, web, 'page two')
})

test('deploying the same version again with another content is a change as well', async () => {
  writePage(folder, 'page three')
  expect(await touchedBy(folder, () => deploy(folder, 'v3'))).toEqual(['web'])
  await expectPage(folder, web, 'page three')
})

test("a changed file of a service's env_file recreates that service", async () => {
  folder.write('api.env', 'APP_MODE=loud\n')
  const touched = await touchedBy(folder, async () => {
    const { stderr } = await deploy(folder, 'v4')
    expect(stderr).toContain('environment changed (APP_MODE)')
  })
  expect(touched).toEqual(['api'])
  await expectPage(folder, api, 'loud alpha')
})

test('a changed env_file of the environment recreates the services that its values reach', async () => {
  folder.write('local.env', 'TAG=beta\n')
  expect(await touchedBy(folder, () => deploy(folder, 'v5'))).toEqual(['api'])
  await expectPage(folder, api, 'loud beta')
})

test('a service that is added is created, and the others stay', async () => {
  app = { ...app, services: { ...app.services, cache: idle } }
  writeApp(folder, app)
  expect(await touchedBy(folder, () => deploy(folder, 'v6'))).toEqual(['cache'])
  expect((await folder.containers()).find(({ service }) => service === 'cache')?.state).toBe('running')
})

test('a removed service loses its container but not its data volume, and finds it again later', async () => {
  const { db, ...others } = app.services
  writeApp(folder, { ...app, services: others })
  expect(await touchedBy(folder, () => deploy(folder, 'v7'))).toEqual(['db'])
  expect((await folder.containers()).map(({ service }) => service)).toEqual(['api', 'cache', 'web'])
  expect((await folder.docker(['volume', 'ls', '-q'])).stdout.split('\n')).toContain(`${folder.name}_kept`)

  writeApp(folder, { ...app, services: { ...others, db: db ?? {} } })
  expect(await touchedBy(folder, () => deploy(folder, 'v8'))).toEqual(['db'])
  const born = async () => (await folder.docker(['compose', 'exec', '-T', 'db', 'cat', '/kept/born'])).stdout
  await until('it was born twice', async () => (await born()).trim().split('\n').length === 2 || (await born()))
})

test('more replicas are added to the existing ones, and with fewer the surplus is removed', async () => {
  const scaled = (replicas: number) =>
    writeApp(folder, { ...app, services: { ...app.services, cache: { ...idle, deploy: { replicas } } } })
  const before = (await folder.containers()).map(({ id }) => id)
  scaled(3)
  await deploy(folder, 'v9')
  const after = await folder.containers()
  expect(after.filter(({ service }) => service === 'cache').length).toBe(3)
  const ids = after.map(({ id }) => id)
  expect(before.filter((id) => !ids.includes(id))).toEqual([])
  scaled(1)
  await deploy(folder, 'v10')
  expect((await folder.containers()).filter(({ service }) => service === 'cache').length).toBe(1)
})
