import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startLoad } from '../load/load.ts'
import { host, isUp } from '../support/lab.ts'
import { deploy, echoing, expectCode, type ServiceSource, sharedFolders, writeApp } from './app.ts'
import { app, ask, name, page } from './proxied.ts'

// Rolling on the oldest engine, with Compose 2.26, where its traps are: which containers it starts, waits for and removes.
const lab = test.skipIf(!isUp('h2'))
const h2 = host('h2')
const [shop, traps, single] = sharedFolders(h2, 'rolls', 'traps', 'single')

lab('three rollouts and a failed one under load lose no request', async () => {
  const expose = { host: `${shop.name}.test`, port: 3000, health: '/up', tls: 'off' }
  shop.write('server.mjs', readFileSync(join(import.meta.dir, '../load/server.mjs'), 'utf8'))
  shop.write('Dockerfile', 'FROM node:20\nCOPY server.mjs /app/\nCMD ["node", "/app/server.mjs"]\n')
  shop.write('.dockerignore', '.stagecraft\n')
  const release = (version: string, code = 0, bad = '0') => {
    const healthcheck = {
      test: ['CMD', 'wget', '-q', '-O', '/dev/null', 'http://127.0.0.1:3000/up'],
      interval: '1s',
      timeout: '10s',
      retries: bad === '0' ? 60 : 3, // node starts slowly on a busy machine
    }
    const web = { build: '.', scale: 2, environment: { VERSION: version, BAD: bad }, healthcheck }
    writeApp(shop, { services: { web }, settings: { web: { expose } } })
    return deploy(shop, version, code)
  }
  await release('v1')
  const load = await startLoad({ ip: h2.ip, host: expose.host, rate: 100, seconds: 300 })
  await release('v2')
  await release('v3')
  await release('v4', 5, '1')
  await release('v5')
  const { failures, versions, made } = await load.stop()
  expect(failures).toEqual([])
  expect(versions).toEqual(['v1', 'v2', 'v3', 'v5'])
  expect(made).toBeGreaterThan(500)
})

const web = (text: string, more: ServiceSource = {}): ServiceSource => ({
  ...echoing(text),
  scale: 3,
  ...more,
})

function writeTraps(service: ServiceSource, rollout: object = {}): void {
  const expose = { host: `${traps.name}.test`, port: 80, tls: 'off' }
  writeApp(traps, { services: { web: service }, settings: { web: { expose, rollout } } })
}

const idsOf = async () => (await traps.containers()).map(({ id, started, state }) => `${id} ${started} ${state}`)

lab(
  'a failed rollout leaves exactly the old containers: Compose would remove the wrong ones when it scales down',
  async () => {
    writeTraps(web('one'))
    await deploy(traps, 'v1')
    const before = await idsOf()
    expect(before).toHaveLength(3)
    writeTraps(web('two', { command: ['sh', '-c', 'sleep 1; exit 9'] }))
    await deploy(traps, 'v2', 5)
    expect(await idsOf()).toEqual(before)
  },
)

lab('a version that crashes and is restarted is never switched to: `up --wait` lets it pass', async () => {
  const before = await idsOf()
  writeTraps(web('three', { command: ['sh', '-c', 'exit 3'], restart: 'always' }), {
    health_timeout: '15s',
    min_ready: '10s',
  })
  const { stderr } = await deploy(traps, 'v3', 5)
  expect(stderr).toContain('Cannot start web: it crashes and restarts')
  expect(await idsOf()).toEqual(before)
})

lab('an old container that has ended is not started again by a rollout, and goes with the others', async () => {
  const [first] = await traps.containers()
  expectCode(await traps.docker(['stop', first?.id ?? '']), 0)
  const ended = (await idsOf()).find((line) => line.startsWith(first?.id ?? 'none'))
  writeTraps(web('four', { command: ['sh', '-c', 'sleep 1; exit 9'] }))
  await deploy(traps, 'v4', 5)
  expect(await idsOf()).toContain(ended ?? '')
  writeTraps(web('five'))
  const events = traps.exec([
    'timeout',
    '30',
    'docker',
    'events',
    '--filter',
    `container=${first?.id}`,
    '--format',
    '{{.Action}}',
  ])
  await deploy(traps, 'v5')
  const after = await traps.containers()
  expect(after.map(({ state }) => state)).toEqual(['running', 'running', 'running'])
  expect(after.filter(({ id }) => id === first?.id)).toEqual([])
  expect((await events).stdout).not.toContain('start')
})

lab('a service that cannot run twice is recreated behind its route: requests wait', async () => {
  const web = (text: string) => page(text, { container_name: `${single.name}-only` })
  writeApp(single, app(single, { web: web('seven') }))
  await deploy(single, 'v1')
  writeApp(single, app(single, { web: web('eight') }))
  expect((await single.stagecraft(['plan'])).stdout).toContain(
    `downtime until it is ready, because it has a container_name (${single.name}-only); to avoid it: take \`container_name\` out of the Compose file`,
  )
  const asked = Array.from({ length: 60 }, async (_, at) => {
    await Bun.sleep(at * 50)
    const began = performance.now()
    const { status } = await ask(name(single), '/', [], h2)
    return { status, waited: performance.now() - began }
  })
  await deploy(single, 'v2')
  const answers = await Promise.all(asked)
  // The proxy has them wait for ten seconds: a busy engine may take longer to recreate it.
  expect(answers.filter(({ status, waited }) => status !== 200 && waited < 9_500)).toEqual([])
  expect(answers.filter(({ status }) => status === 200)).not.toEqual([])
  expect((await ask(name(single), '/', [], h2)).body).toBe('eight')
  expect((await single.stagecraft(['plan'])).stdout).toContain('Nothing to do')
  writeApp(single, app(single, { web: web('nine') }))
  expect((await single.stagecraft(['plan'])).stdout).toMatch(/downtime of about \d+\.\ds \(as last time\)/)
})
