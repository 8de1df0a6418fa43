import { beforeAll, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import {
  type App,
  deploy,
  expectPage,
  expectPhases,
  httpd,
  QUICK_STOP,
  sharedFolder,
  touchedBy,
  writeApp,
} from './app.ts'

// Services that depend on each other: a job, who waits for it, and a sidecar in another's network.
const h1 = host('h1')
const folder = sharedFolder(h1, 'groups')

let own = 0
let sidecarPort = 0
const web = (greeting: string) => ({
  image: 'busybox:1',
  command: httpd('/kept'),
  environment: { GREETING: greeting },
  ports: [`${own}:80`, `${sidecarPort}:8080`],
  volumes: ['kept:/kept'],
  depends_on: { setup: { condition: 'service_completed_successfully' } },
  ...QUICK_STOP,
})
const setup = (what: string) => ({
  image: 'busybox:1',
  command: ['sh', '-c', `echo ${what} >>/kept/runs; echo did ${what}`],
  volumes: ['kept:/kept'],
})
const app = (greeting: string, what: string): App => ({
  services: {
    web: web(greeting),
    setup: setup(what),
    sidecar: {
      image: 'busybox:1',
      command: ['sh', '-c', 'mkdir /www; echo beside >/www/index.html; exec httpd -f -p 8080 -h /www'],
      network_mode: 'service:web',
      ...QUICK_STOP,
    },
    friend: {
      image: 'busybox:1',
      command: ['sleep', '1d'],
      depends_on: { web: { condition: 'service_started', restart: true } },
      ...QUICK_STOP,
    },
    stranger: { image: 'busybox:1', command: ['sleep', '1d'], depends_on: ['web'], ...QUICK_STOP },
  },
  compose: { volumes: { kept: {} } },
})

beforeAll(async () => {
  own = await h1.freePort()
  sidecarPort = await h1.freePort()
})

test('a job has ended before what waits for it starts, and a sidecar answers through its owner', async () => {
  writeApp(folder, app('hello', 'one'))
  await deploy(folder, 'v1')
  await expectPage(folder, own, 'one', '/runs')
  await expectPage(folder, sidecarPort, 'beside')
})

test('a finished job that did not change is not run again', async () => {
  expect(await touchedBy(folder, () => deploy(folder, 'v2'))).toEqual([])
  await expectPage(folder, own, 'one', '/runs')
})

test('it is not run again either when its container was removed', async () => {
  const job = (await folder.containers()).find(({ service }) => service === 'setup')
  await folder.docker(['rm', job?.id ?? ''])
  expect(await touchedBy(folder, () => deploy(folder, 'v3'))).toEqual([])
  await expectPage(folder, own, 'one', '/runs')
})

test('a sidecar is recreated with the owner of its network, and so is its dependent; the job is not run', async () => {
  writeApp(folder, app('good day', 'one'))
  expect(await touchedBy(folder, () => deploy(folder, 'v4'))).toEqual(['friend', 'sidecar', 'web'])
  await expectPage(folder, sidecarPort, 'beside')
  await expectPage(folder, own, 'one', '/runs')
})

test('a job that changed is run again, once, and no other service is touched', async () => {
  writeApp(folder, app('good day', 'two'))
  expect(await touchedBy(folder, () => deploy(folder, 'v5'))).toEqual(['setup'])
  await expectPage(folder, own, 'one\ntwo', '/runs')
})

test('a job that fails ends the release before anything is switched, and its output is shown', async () => {
  const failing = app('good evening', 'three')
  const services = {
    ...failing.services,
    setup: { ...setup('three'), command: ['sh', '-c', 'echo no such table >&2; exit 4'] },
  }
  writeApp(folder, { ...failing, services })
  const before = await folder.containers()
  const { stderr } = await deploy(folder, 'v6', 5)
  expect(stderr).toContain('Cannot start setup: the job failed with exit code 4')
  expect(stderr).toContain('no such table')
  expectPhases(folder, 'v6', 'rollout')
  const serving = (list: typeof before) => list.filter(({ service }) => service !== 'setup')
  expect(serving(await folder.containers())).toEqual(serving(before))
  await expectPage(folder, sidecarPort, 'beside')
})
