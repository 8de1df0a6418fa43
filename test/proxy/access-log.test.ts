import { afterEach, beforeEach, expect, test } from 'bun:test'
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Host } from '../../lib/hosts/host.ts'
import type { Route } from '../../lib/plan/routes/table.ts'
import { type AccessLine, followAccess, readAccess } from '../../lib/proxy/access-log.ts'
import { accessRoutes, logging, serverLogs } from '../../lib/proxy/caddy/logging.ts'
import { FORGET, PROXY_FOLDER } from '../../lib/proxy/inside/scripts.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { exec } from '../../lib/system/exec.ts'

// The scripts themselves, in a POSIX shell, on files as Caddy writes them.
let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stagecraft-access-'))
  for (const name of ['access', 'live']) mkdirSync(join(folder, name))
})
afterEach(() => rmSync(folder, { recursive: true }))

const file = (name: string) => join(folder, 'access', name)
/** A request in that second, as Caddy logs it. */
const line = (second: number, path: string, more: object = {}) => {
  const request = { remote_ip: '10.0.0.9', proto: 'HTTP/1.1', method: 'GET', host: 'shop.example.com', uri: path }
  const entry = { ts: 1_795_248_000 + second, logger: 'http.log.access.shop.web', request, status: 200, size: 5 }
  return `${JSON.stringify({ level: 'info', ...entry, duration: 0.012, ...more })}\n`
}
/** A host whose proxy has the folder. */
const host = (name = '') =>
  ({
    name,
    exec: (argv: readonly string[], options?: object) => {
      const [script = '', ...args] = argv.slice(argv.indexOf('-c') + 1)
      return exec(['sh', '-c', script.replaceAll(PROXY_FOLDER, folder), ...args], options)
    },
  }) as Host // nothing else of it is used
const mask = createMask([])
const wish = { project: 'shop', services: ['web'], tail: 'all', since: undefined, until: undefined }
const urls = (lines: readonly AccessLine[]) => lines.map(({ url }) => url.replace('shop.example.com', ''))
const read = async (more: object = {}) => urls(await readAccess([host()], mask, { ...wish, ...more }))

test('what was rolled away comes first; of a project, of its services, the last, since and until', async () => {
  expect(await read()).toEqual([])
  writeFileSync(file('shop.access-2026-11-22T07-00-00.000-size.log'), line(1, '/old'))
  writeFileSync(file('shop-prod.access.log'), line(2, '/others'))
  const api = line(3, '/api', { logger: 'http.log.access.shop.api' })
  const forged = line(4, '/"logger":"http.log.access.shop.api"')
  writeFileSync(file('shop.access.log'), `${line(2, '/a')}${api}${forged}${line(5, '/b')}{"half":`)
  const quoted = '/"logger":"http.log.access.shop.api"'
  expect(await read()).toEqual(['/old', '/a', quoted, '/b'])
  expect(await read({ services: ['api'] })).toEqual(['/api'])
  expect(await read({ tail: '1' })).toEqual(['/b'])
  expect(await read({ tail: '1', services: ['api'] })).toEqual(['/api']) // the last of what is asked for
  expect(await read({ since: 1_795_248_002_000, until: 1_795_248_004_500 })).toEqual(['/a', quoted])
})

test('a line has who has asked: behind a balancer the visitor', async () => {
  const more = { user_agent: 'curl/8', user_id: 'ops', forwarded_for: '203.0.113.7, 10.0.0.1' }
  writeFileSync(file('shop.access.log'), line(1, '/x?REDACTED', more))
  expect(await readAccess([host('h1')], mask, wish)).toEqual([
    {
      host: 'h1',
      service: 'web',
      at: '2026-11-21T08:00:01.000Z',
      client: '203.0.113.7',
      user: 'ops',
      method: 'GET',
      url: 'shop.example.com/x?REDACTED',
      protocol: 'HTTP/1.1',
      status: 200,
      bytes: 5,
      duration_ms: 12,
      user_agent: 'curl/8',
    },
  ])
})

test('new lines follow, each once, also when the file is rolled away', async () => {
  const log = file('shop.access.log')
  writeFileSync(log, line(1, '/a'))
  const ended = new AbortController()
  const seen: AccessLine[] = []
  const next = [
    () => appendFileSync(log, line(2, '/b')),
    () => {
      appendFileSync(log, line(3, '/c'))
      renameSync(log, file('shop.access-2026-11-22T07-00-00.000-size.log'))
      writeFileSync(log, line(4, '/d'))
    },
    () => {},
    () => ended.abort(),
  ]
  const print = (one: AccessLine) => {
    seen.push(one)
    next[seen.length - 1]?.()
  }
  const clock = { now: Date.now, sleep: (ms: number) => Bun.sleep(ms) }
  await followAccess([host()], { mask, clock, signal: ended.signal, print }, wish)
  expect(urls(seen)).toEqual(['/a', '/b', '/c', '/d'])
})

test('a project that is taken down takes its log along, and no other one', async () => {
  for (const name of ['shop.access.log', 'shop.access-2026-1.log', 'shop-prod.access.log', 'shop-2.access-2026-1.log'])
    writeFileSync(file(name), line(1, '/'))
  await exec(['sh', '-c', FORGET.replaceAll(PROXY_FOLDER, folder), 'forget', 'shop'])
  expect((await exec(['ls', join(folder, 'access')])).stdout).toBe('shop-2.access-2026-1.log\nshop-prod.access.log\n')
})

test('a request is logged to the file of its project, without headers and query; others go nowhere', () => {
  const route = { service: 'web', rules: { access_log: true }, trusted: ['10.0.0.0/8'] } as unknown as Route
  const projects = { shop: [route], blog: [{ service: 'web' } as Route] }
  expect(serverLogs(projects)).toEqual({ logs: {} })
  expect(serverLogs({ blog: [{ service: 'web' } as Route] })).toEqual({})
  const logs = JSON.parse(JSON.stringify(logging(projects))).logs
  expect(Object.keys(logs)).toEqual(['default', 'certificates', 'access-shop'])
  expect(logs.default).toEqual({ exclude: ['admin.api', 'http.log.access'] })
  expect(logs['access-shop']).toMatchObject({
    include: ['http.log.access.shop'],
    writer: { filename: '/config/stagecraft/access/shop.access.log', roll_size_mb: 10, roll_keep: 4 },
    encoder: { fields: { 'request>headers': { filter: 'delete' }, resp_headers: { filter: 'delete' } } },
  })
  expect(accessRoutes({ project: 'shop', route })).toEqual([
    {
      handle: [
        { handler: 'vars', access_logger_names: ['shop.web'] },
        { handler: 'log_append', key: 'user_agent', value: '{http.request.header.User-Agent}' },
      ],
    },
    {
      match: [{ remote_ip: { ranges: ['10.0.0.0/8'] } }],
      handle: [{ handler: 'log_append', key: 'forwarded_for', value: '{http.request.header.X-Forwarded-For}' }],
    },
  ])
})
