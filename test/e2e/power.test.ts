import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { cleanUp } from '../support/clean-up.ts'
import { expectGolden } from '../support/golden.ts'
import { host, isUp } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { deploy, expectCode, idle, makeRoot, QUICK_STOP, sharedFolder, writeApp } from './app.ts'
import { countsDuring } from './counts.ts'

const h1 = host('h1')
const folder = sharedFolder(h1, 'power')
const job = { image: 'busybox:1', command: ['true'] }
const healthy = { test: ['CMD', 'test', '-e', '/tmp/ready'], interval: '1s', retries: 60 }
const web = {
  image: 'busybox:1',
  command: ['sh', '-c', 'rm -f /tmp/ready; sleep 1; touch /tmp/ready; exec sleep 1d'],
  healthcheck: healthy,
  depends_on: { db: { condition: 'service_started' } },
  scale: 2,
  ...QUICK_STOP,
}
const services = { web, db: idle, job }
const settings = { job: { job: true } }

beforeAll(async () => {
  writeApp(folder, { services, settings })
  await deploy(folder, 'v1')
})

const states = async () =>
  (await folder.containers())
    .filter(({ service }) => service !== 'job')
    .map(({ service, state }) => `${service} ${state}`)
const env = { SUDO_USER: 'ana' }

test('a stopped service stays stopped, is remembered, and is started again', async () => {
  const before = await folder.containers()
  const stopped = await folder.stagecraft(['stop', 'web'], { env })
  expect(stopped).toMatchObject({ code: 0, stdout: 'web  2 containers stopped\n' })
  expect(await states()).toEqual(['db running', 'web exited', 'web exited'])
  const status = await folder.stagecraft(['status'])
  expect(status.code).toBe(5)
  expectGolden('commands/stop.md', 'stopped', /Not as released:\n.*\n/.exec(status.stdout)?.[0] ?? '')
  expect((await folder.stagecraft(['plan', '--version', 'v1'])).stdout).toMatch(
    /^ {2}web +recreate +it was stopped by ana/m,
  )
  const started = await folder.stagecraft(['start'])
  expect([started.code, started.stdout]).toEqual([0, 'db   running already\nweb  2 containers started\n'])
  expect((await folder.stagecraft(['status'])).code).toBe(0)
  const ids = (list: typeof before) => list.map(({ id }) => id)
  expect(ids(await folder.containers())).toEqual(ids(before))
})

test('a deploy starts what was stopped', async () => {
  expectCode(await folder.stagecraft(['stop'], { env }), 0)
  expect(await states()).toEqual(['db exited', 'web exited', 'web exited'])
  const { stderr } = await deploy(folder, 'v1')
  expect(stderr).toMatch(/^ {2}web +recreate +it was stopped by ana/m)
  expect((await folder.stagecraft(['status'])).code).toBe(0)
})

test('a restart takes one container after the other: one of two is always ready', async () => {
  const restart = async () => expectCode(await folder.stagecraft(['restart', 'web']), 0)
  const ready = await countsDuring(h1, folder, { service: 'web', from: 'health_status: healthy' }, restart)
  expect([Math.min(...ready), Math.max(...ready)]).toEqual([1, 2])
})

test('a container that does not become ready is reported; a job and an unknown service are refused', async () => {
  expect((await folder.stagecraft(['start', 'job'])).code).toBe(2)
  const unknown = await folder.stagecraft(['stop', 'wbe'])
  expect([unknown.code, unknown.stderr]).toEqual([4, expect.stringContaining('Did you mean "web"?')])
  const bad = { ...web, command: ['sh', '-c', '[ -e /tmp/once ] && exit 3; touch /tmp/once /tmp/ready; exec sleep 1d'] }
  writeApp(folder, { services: { ...services, web: bad }, settings })
  await deploy(folder, 'v2')
  const failed = await folder.stagecraft(['restart', 'web'])
  expect([failed.code, failed.stderr]).toEqual([
    5,
    expect.stringContaining('Cannot start web: it ended with exit code 3'),
  ])
})

describe.skipIf(!isUp('h2') || !isUp('h3'))('on two hosts', () => {
  const far = laptop('h1').folder('power-far')
  const servers = { h2: host(isUp('h2') ? 'h2' : 'h1'), h3: host(isUp('h3') ? 'h3' : 'h1') }
  const ROOT = '/srv/stagecraft'
  afterAll(async () => {
    for (const server of Object.values(servers)) {
      await cleanUp(server, far.name)
      await server.exec(['rm', '-rf', `${ROOT}/${far.name}`])
    }
    await far.cleanUp()
  })

  test('one host can be stopped alone, and this is remembered there', async () => {
    for (const server of Object.values(servers)) await makeRoot(server, ROOT)
    far.write('compose.yaml', JSON.stringify({ services: { web: idle } }))
    const rollout = { strategy: 'rolling', min_ready: '300ms' }
    const prod = { hosts: ['h2', 'h3'], root: ROOT, services: { web: { rollout } } }
    far.write('stagecraft.yml', JSON.stringify({ project: { name: far.name }, environments: { prod } }))
    expectCode(await far.stagecraft(['deploy', '--version', 'v1']), 0)
    const stopped = await far.stagecraft(['stop', '--host', 'h3'], { env })
    expect(stopped).toMatchObject({ code: 0, stdout: 'h3  web  1 container stopped\n' })
    const status = await far.stagecraft(['status'])
    expect([status.code, status.stdout]).toEqual([5, expect.stringContaining('h3  web  it was stopped by ana\n')])
    expect(await far.stagecraft(['start'])).toMatchObject({ code: 0 })
    expect((await far.stagecraft(['status'])).code).toBe(0)
  })
})
