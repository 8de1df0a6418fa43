import { beforeAll, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startHttpLoad } from '../load/http-load.ts'
import { fencesOf } from '../support/golden.ts'
import { host } from '../support/lab.ts'
import { deploy, expectCode, expectPhases, idle, QUICK_STOP, sharedFolders, until, writeApp } from './app.ts'

// A service that rolls behind the HAProxy of its own Compose file: the example of the guide, word for word.
const GUIDE = join(import.meta.dir, '../../spec/guides/own-proxy.md')
const PORT_IN_GUIDE = 8080

const h1 = host('h1')
const [folder, hooks, workers] = sharedFolders(h1, 'own-proxy', 'drain-hooks', 'workers')
let port = 0

beforeAll(async () => {
  port = await h1.freePort()
  const { compose, haproxy, stagecraft } = readExample()
  folder.write('compose.yaml', compose.replace(`"${PORT_IN_GUIDE}:`, `"${port}:`))
  folder.write('haproxy.cfg', `${haproxy}\n`)
  folder.write('stagecraft.yml', stagecraft)
  folder.write('Dockerfile', 'FROM node:20\nCOPY server.js /app/\nCMD ["node", "/app/server.js"]\n')
  folder.write('.dockerignore', '.stagecraft\n')
})

test('three rolling deploys and one that fails, under load: zero downtime, and HAProxy is never touched', async () => {
  writeServer('v1')
  await deploy(folder, 'v1')
  await until('HAProxy answers', async () => (await h1.fetch(port)).status === 200 || 'not yet')
  const haproxy = await containersOf('haproxy')
  const load = startHttpLoad(h1.ip, port, { perSecond: 100, slow: '/slow', slowEvery: 19 })
  for (const version of ['v2', 'v3', 'v4']) {
    const [old] = await containersOf('web')
    writeServer(version)
    const { stderr } = await deploy(folder, version)
    expect(stderr).not.toContain('warning')
    const [now, ...others] = await containersOf('web')
    expect(others).toEqual([])
    expect(now?.id).not.toBe(old?.id)
    expect(await exists(old?.id)).toBe(false)
  }
  const [serving] = await containersOf('web')
  writeServer('v5', 'failing')
  await deploy(folder, 'v5', 5)
  expectPhases(folder, 'v5', 'rollout')
  expect(await containersOf('web')).toEqual(serving ? [serving] : [])
  const result = await load.stop()
  expect(result.failures).toEqual([])
  expect(Object.keys(result.answers).sort()).toEqual(['v1', 'v2', 'v3', 'v4'])
  expect(await containersOf('haproxy')).toEqual(haproxy)
})

test('a drain command that fails, or that the image does not have, is reported, and fails nothing', async () => {
  const release = (version: string, command: string | readonly string[]) => {
    const web = { image: 'busybox:1', command: ['sleep', '1d'], environment: { VERSION: version }, ...QUICK_STOP }
    const settings = { web: { rollout: { strategy: 'rolling', drain: { command, wait: '0s' } } } }
    writeApp(hooks, { services: { web }, settings })
    return deploy(hooks, version)
  }
  await release('v1', 'true')
  for (const [version, command, code] of [
    ['v2', ['no-such-program'], /12[67]/], // which of them depends on the engine
    ['v3', 'exit 3', /3/],
  ] as const) {
    const before = await hooks.containers()
    const { stderr } = await release(version, command)
    const warning = `warning: the drain command of web failed in ${hooks.name}-web-\\d \\(exit code ${code.source}\\)`
    expect(stderr).toMatch(new RegExp(warning))
    expectPhases(hooks, version)
    const after = await hooks.containers()
    expect(after).toHaveLength(1)
    expect(after[0]?.id).not.toBe(before[0]?.id)
  }
})

test('an unrouted service rolls if configured, in the number that was set by hand; the plan says why others do not', async () => {
  const writer = (version: string) => ({
    image: 'busybox:1',
    command: ['sh', '-c', 'echo $$VERSION >>/data/started; exec sleep 1d'],
    environment: { VERSION: version },
    volumes: ['data:/data'],
    healthcheck: { test: ['CMD-SHELL', 'grep -q $$VERSION /data/started'], interval: '1s', retries: 60 },
    ...QUICK_STOP,
  })
  const write = (version: string) =>
    writeApp(workers, {
      services: {
        worker: { ...idle, environment: { VERSION: version } },
        keeper: writer(version),
        plain: { ...idle, environment: { VERSION: version } },
      },
      compose: { volumes: { data: {} } },
      settings: {
        worker: { rollout: { strategy: 'rolling' } },
        keeper: { rollout: { strategy: 'rolling', drain: { command: 'cat /data/started >/data/beside', wait: '0s' } } },
      },
    })
  write('v1')
  await deploy(workers, 'v1')
  const scaled = await workers.docker(['compose', 'up', '-d', '--no-recreate', '--scale', 'worker=3', 'worker'])
  expectCode(scaled, 0)
  const before = await workers.containers()
  expect(before.map(({ service }) => service)).toEqual(['keeper', 'plain', 'worker', 'worker', 'worker'])

  write('v2')
  const { stdout } = await workers.stagecraft(['plan', '--version', 'v2'])
  expect(stdout).toMatch(/^ *worker +rolling +environment changed \(VERSION\)/m)
  expect(stdout).toMatch(/^ *keeper +rolling +environment changed \(VERSION\)$/m)
  expect(stdout).toMatch(
    /^ *plain +recreate .*; downtime until it is ready, because it is not routed.* set `strategy: rolling` if two/m,
  )
  await deploy(workers, 'v2')
  const after = await workers.containers()
  expect(after.map(({ service, state }) => `${service} ${state}`)).toEqual(
    ['keeper', 'plain', 'worker', 'worker', 'worker'].map((service) => `${service} running`),
  )
  const ids = new Set(before.map(({ id }) => id))
  expect(after.filter(({ id }) => ids.has(id))).toEqual([])
  // The drain command ran in the old one, when the new one had begun to write to the same volume.
  const { stdout: seen } = await workers.docker(['compose', 'exec', '-T', 'keeper', 'cat', '/data/beside'])
  expect(seen).toBe('v1\nv2\n')
})

/** The example of the guide's section on HAProxy: its Compose file, haproxy.cfg and stagecraft.yml, in this order. */
function readExample(): { compose: string; haproxy: string; stagecraft: string } {
  const section = /^## HAProxy[\s\S]*?(?=^## )/m.exec(readFileSync(GUIDE, 'utf8'))?.[0] ?? ''
  const [compose, haproxy, stagecraft, ...more] = fencesOf(section)
  const languages = [compose, haproxy, stagecraft].map((fence) => fence?.language)
  if (!compose || !haproxy || !stagecraft || more.length > 0 || languages.join() !== 'yaml,haproxy,yaml')
    throw new Error(`the guide's section on HAProxy holds ${languages.join()} and ${more.length} more blocks`)
  return { compose: compose.content, haproxy: haproxy.content, stagecraft: stagecraft.content }
}

/**
 * It listens a while after it has started, and ends at once on SIGTERM, whatever is on its way. One that fails listens too, and
 * answers with errors, but after HAProxy's first look at it: until then HAProxy calls it healthy (see the guide).
 */
function writeServer(version: string, kind: 'well' | 'failing' = 'well'): void {
  const up = kind === 'well' ? `existsSync('/tmp/drain') ? 503 : 200` : '503'
  folder.write(
    'server.js',
    `const { existsSync } = require('node:fs')
const server = require('node:http').createServer((request, response) => {
  if (request.url === '/up') return response.writeHead(${up}).end()
  response.writeHead(${kind === 'well' ? 200 : 500}, { 'Content-Length': ${version.length} })
  setTimeout(() => response.end('${version}'), request.url === '/slow' ? 1000 : 0)
})
process.on('SIGTERM', () => process.exit(0))
setTimeout(() => server.listen(3000), ${kind === 'well' ? 700 : 1500})
`,
  )
}

async function containersOf(service: string) {
  return (await folder.containers()).filter((container) => container.service === service)
}

async function exists(id = ''): Promise<boolean> {
  return (await h1.docker(['container', 'inspect', id])).code === 0
}
