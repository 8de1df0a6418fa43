import { beforeAll, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import {
  type App,
  deploy,
  expectCode,
  expectPage,
  httpd,
  QUICK_STOP,
  sharedFolder,
  touchedBy,
  writeApp,
} from './app.ts'

// A job that migrates, and refuses a newer schema as Alembic and Flyway do; and one that copies assets into a volume.
const h1 = host('h1')
const folder = sharedFolder(h1, 'rollback-jobs')

let port = 0
const completed = { condition: 'service_completed_successfully' }

/** @param version its files, and the newest schema that it knows */
const app = (version: number, settings: App['settings'] = {}): App => ({
  services: {
    migrate: {
      image: 'busybox:1',
      environment: { VERSION: version },
      command: [
        'sh',
        '-c',
        'test "$$(cat /db/schema || echo 0)" -le $$VERSION || { echo unknown schema; exit 3; }; echo $$VERSION >/db/schema',
      ],
      volumes: ['db:/db'],
    },
    assets: {
      image: 'busybox:1',
      command: ['sh', '-c', `echo assets ${version} >/www/index.html`],
      volumes: ['www:/www'],
    },
    web: {
      image: 'busybox:1',
      command: httpd('/www'),
      environment: { VERSION: version },
      ports: [`${port}:80`],
      volumes: ['www:/www:ro'],
      depends_on: { migrate: completed, assets: completed },
      ...QUICK_STOP,
    },
  },
  compose: { volumes: { db: {}, www: {} } },
  settings,
})

const RUN = { assets: { job: { rollback: 'run' } } }

beforeAll(async () => {
  port = await h1.freePort()
  for (const version of [1, 2]) {
    writeApp(folder, app(version))
    await deploy(folder, `v${version}`)
  }
})

const rollback = async (...args: string[]) => {
  const ran = await folder.stagecraft(['rollback', ...args])
  expectCode(ran, 0)
  return ran
}

test('a rollback runs no job, not even one that would refuse a newer schema, and says how to request one', async () => {
  await expectPage(folder, port, 'assets 2')
  const { stdout } = await rollback('--dry-run')
  expect(stdout).toMatch(/migrate +unchanged +left alone: it completed in v1, and runs only in a deploy/)
  expect(stdout).toContain('environments: {local: {services: {assets: {job: {rollback: run}}}}}')
  expect(await touchedBy(folder, () => rollback())).toEqual(['web'])
  await expectPage(folder, port, 'assets 2')
  expectCode(await folder.stagecraft(['status']), 0)
})

test('a requested job runs, before the services that wait for it', async () => {
  await rollback('--to-version', 'v2')
  writeApp(folder, app(2, RUN))
  expect(await touchedBy(folder, () => rollback('--to-version', 'v1'))).toEqual(['assets', 'web'])
  await expectPage(folder, port, 'assets 1')
})

test('after docker compose down a rollback starts the services that wait for jobs, without the jobs', async () => {
  writeApp(folder, app(2))
  await rollback('--to-version', 'v2')
  expectCode(await folder.docker(['compose', '-p', folder.name, 'down']), 0)
  expect(await touchedBy(folder, () => rollback('--to-version', 'v1'))).toEqual(['web'])
  await expectPage(folder, port, 'assets 1')
})
