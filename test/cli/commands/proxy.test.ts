import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Route } from '../../../lib/plan/routes/table.ts'
import { formatProxyStatus } from '../../../lib/proxy/status.ts'
import { printRelease } from '../../../lib/record/releases-file/print.ts'
import { scratch, stagecraftHere } from '../../support/command-line.ts'
import { expectGolden } from '../../support/golden.ts'

/** Answers what is asked of the proxy from files, and keeps the maintenance page in one. */
const DOCKER = `#!/bin/sh
cd "$(dirname "$0")/.."
case "$*" in
*"container inspect stagecraft-proxy") [ -e proxy.json ] && cat proxy.json || { echo "No such container" >&2; exit 1; } ;;
*stagecraft-read*) printf '3\\n%s\\nshop-prod/web.b\\nshop-prod/api.a\\nblog/web.a\\nblog.html\\n' "$(cat routes.json)" ;;
*stagecraft-in-flight*) cat flight.json ;;
*stagecraft-access-log*) cat access.log ;;
*stagecraft-maintenance-on*) cat >page.html ;;
*stagecraft-maintenance-off*) rm -f page.html ;;
"logs "*) echo "$*" ;;
*) echo "not asked for: $*" >&2; exit 1 ;;
esac
`

const route = (service: string, more: Partial<Route>): Route => ({
  service,
  hosts: ['shop.example.com'],
  path: '/',
  tls: 'auto',
  ports: { a: 3000, b: 3000 },
  ...more,
})
const SHOP = [
  route('api', { hosts: [], internal: { port: 3000, names: ['api'], networks: ['n'], subnets: ['10.0.0.0/16'] } }),
  route('web', {}),
]
const BLOG = [route('web', { hosts: ['blog.example.com'], path: '/new' })]
const ID = 'rel-20261122-080000000'

let folder = scratch()
const path = (file: string) => join(folder.path, file)
const run = (...args: string[]) =>
  stagecraftHere(args, { cwd: folder.path, env: { STAGECRAFT_ENV: 'prod', TZ: 'UTC' } })
const PATH = process.env['PATH']

beforeEach(() => {
  folder = scratch({
    'stagecraft.yml': 'environments: {prod: {}, local: {}}\n',
    '.bin/docker': DOCKER,
    'routes.json': JSON.stringify({ 'shop-prod': SHOP, blog: BLOG }),
    'flight.json': JSON.stringify([
      { address: 'b.web.shop-prod.stagecraft.internal:3000', num_requests: 14 },
      { address: 'a.web.shop-prod.stagecraft.internal:3000', num_requests: 1 },
      { address: 'a.api.shop-prod.stagecraft.internal:3000', num_requests: 2 },
    ]),
  })
  chmodSync(path('.bin/docker'), 0o755)
  process.env['PATH'] = `${path('.bin')}:${PATH}`
})
afterEach(() => {
  process.env['PATH'] = PATH
  folder.remove()
})

function startProxy(state = 'running'): void {
  const labels = { 'stagecraft.proxy.image': 'caddy:2', 'stagecraft.proxy': '1' }
  const container = { Id: 'p', Config: { Labels: labels }, State: { Status: state, StartedAt: '2026-11-22T08:00:00Z' } }
  writeFileSync(path('proxy.json'), JSON.stringify([container]))
}

/** A live release of prod, with these routes. */
function release(routes: readonly Route[]): void {
  const phases = { build: 'completed', push: 'completed', migrate_pre: 'completed', rollout: 'completed' } as const
  const record = { environment: 'prod', version: 'v1', commit_sha: '', timestamp: '2026-11-22T08:00:00.000Z' }
  const all = { ...phases, migrate_post: 'completed', finalize: 'completed' } as const
  const printed = printRelease({ id: ID, ...record, phases: all })
  Bun.spawnSync(['mkdir', '-p', path(`.stagecraft/releases/${ID}`)])
  writeFileSync(path('.stagecraft/releases.json'), `{\n  "releases": [\n    ${printed}\n  ]\n}`)
  const bundle = {
    ...{ v: 1, id: ID, ...record, project: 'shop-prod', switched_at: record.timestamp, routes },
    ...{ phases: {}, images: {}, topology: { order: [], needs: {}, jobs: [] }, content: [], config_hashes: {} },
  }
  writeFileSync(path(`.stagecraft/releases/${ID}/release.json`), JSON.stringify(bundle))
}

describe('stagecraft proxy status', () => {
  test('shows the routes of all projects, what is live and what is on its way', async () => {
    startProxy()
    const { exit, stdout } = await run('proxy', 'status')
    expect(exit).toBe(0)
    const { stdout: json } = await run('proxy', 'status', '--json')
    const status = JSON.parse(json.split('\n')[0] ?? '')
    expect(status).toMatchObject({ v: 1, type: 'proxy', image: 'caddy:2', state: 'running' })
    expect(status.routes.map((each: { project: string }) => each.project)).toEqual(['blog', 'shop-prod', 'shop-prod'])
    const inOrder = { ...status, routes: [...status.routes.slice(1), status.routes[0]] }
    expect(formatProxyStatus(status)).toEqual(stdout.trimEnd().split('\n'))
    expectGolden('commands/proxy.md', 'status', formatProxyStatus(inOrder).join('\n'))
  })

  test('exits 8 where the proxy is not running, and 4 where there is none', async () => {
    startProxy('exited')
    expect(await run('proxy', 'status')).toEqual({
      exit: 8,
      stdout: 'proxy: caddy:2 is exited, 0 routes\n',
      stderr: '',
    })
    Bun.spawnSync(['rm', path('proxy.json')])
    const { exit, stderr } = await run('proxy', 'status')
    expect(exit).toBe(4)
    expectGolden('commands/proxy.md', 'none', stderr)
  })
})

describe('stagecraft proxy logs', () => {
  test('asks the engine for the last lines, and for those that follow', async () => {
    startProxy()
    expect((await run('proxy', 'logs')).stdout).toBe('logs --tail 100 stagecraft-proxy\n')
    expect((await run('proxy', 'logs', '-f', '--lines', '5')).stdout).toBe('logs --follow --tail 5 stagecraft-proxy\n')
    expect((await run('proxy', 'logs', '--lines', 'all')).exit).toBe(2)
  })
})

describe('stagecraft maintenance', () => {
  test('puts a page in the place of the public routes, and takes it away', async () => {
    startProxy()
    release([...SHOP, route('admin', { path: '/api' })])
    const on = await run('maintenance', 'on', '--message', 'Back at <10:00> & "sooner"')
    expect([on.exit, on.stderr]).toEqual([0, ''])
    expectGolden('commands/maintenance.md', 'on', on.stdout)
    expect(readFileSync(path('page.html'), 'utf8')).toContain('<p>Back at &lt;10:00&gt; &amp; &quot;sooner&quot;</p>')
    expectGolden('commands/maintenance.md', 'off', (await run('maintenance', 'off')).stdout)
    expect(existsSync(path('page.html'))).toBe(false)
  })

  test('is refused where nothing is exposed, where the message is empty, and where the proxy is not running', async () => {
    startProxy('exited')
    expect((await run('maintenance', 'on', '--env', 'local')).exit).toBe(4)
    expectGolden('commands/maintenance.md', 'no-routes', (await run('maintenance', 'on', '--env', 'local')).stderr)
    release(SHOP)
    expect((await run('maintenance', 'on', '--message', ' ')).exit).toBe(2)
    expect(await run('maintenance', 'on')).toMatchObject({ exit: 8, stderr: expect.stringContaining('it is exited') })
  })
})

describe('stagecraft logs --access', () => {
  const entry = (second: number, more: object, request: object) => ({
    ...{ ts: Date.UTC(2026, 10, 22, 8, 0, second) / 1000, logger: 'http.log.access.shop-prod.web' },
    ...{ size: 0, duration: 0.012, request: { host: 'shop.example.com', proto: 'HTTP/2.0', ...request }, ...more },
  })

  test('prints the requests that the proxy has logged', async () => {
    startProxy()
    release([...SHOP.slice(0, 1), route('web', { rules: { access_log: true } })])
    const lines = [
      entry(
        1,
        { status: 200, size: 5120, user_agent: 'Mozilla/5.0' },
        { remote_ip: '203.0.113.7', method: 'GET', uri: '/cart?REDACTED' },
      ),
      entry(
        2,
        { status: 502, duration: 10.004, user_id: 'ops', user_agent: 'curl/8.14.1' },
        { remote_ip: '203.0.113.9', method: 'POST', uri: '/admin' },
      ),
    ]
    writeFileSync(path('access.log'), `1 2\n${lines.map((line) => `${JSON.stringify(line)}\n`).join('')}`)
    const { exit, stdout, stderr } = await run('logs', '--access')
    expect([exit, stderr]).toEqual([0, ''])
    expectGolden('commands/logs.md', 'access', stdout)
    const [first] = (await run('logs', '--access', '--json')).stdout.split('\n')
    expect(JSON.parse(first ?? '')).toMatchObject({ v: 1, type: 'access', service: 'web', status: 200 })
  })

  test('is refused for what has none', async () => {
    startProxy()
    release(SHOP)
    const { exit, stderr } = await run('logs', '--access')
    expect(exit).toBe(4)
    expectGolden('commands/logs.md', 'no-access', stderr)
    release([route('web', { rules: { access_log: true } })])
    expect((await run('logs', '--access', 'api')).stderr).toStartWith('Cannot find an access log of "api"\n')
    expect((await run('logs', '--access', '--release', 'latest')).exit).toBe(2)
  })
})
