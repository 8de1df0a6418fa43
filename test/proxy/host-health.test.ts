import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDocker } from '../../lib/docker/client.ts'
import { refuseTakenRoutes } from '../../lib/plan/routes/conflicts.ts'
import type { Route } from '../../lib/plan/routes/table.ts'
import { caddyConfig } from '../../lib/proxy/caddy/config.ts'
import { afterNotice } from '../../lib/proxy/inside/changing.ts'
import { PROXY_FOLDER, READ } from '../../lib/proxy/inside/scripts.ts'
import { exec } from '../../lib/system/exec.ts'
import { askCaddy, type CaddyConfig } from '../fakes/caddy.ts'
import { errorOf } from '../support/failure.ts'

const route = (service: string, more: Partial<Route> = {}): Route => ({
  ...{ service, hosts: [`${service}.example.com`], path: '/', tls: 'off', ports: { a: 3000, b: 3000 } },
  ...more,
})
const host_health = { path: '/host-up', wait: 10_000 }

describe('what a balancer is answered', () => {
  const projects = { shop: [route('web', { tls: 'auto', host_health })], blog: [route('blog')] }
  const config = JSON.parse(JSON.stringify(caddyConfig(projects))) as CaddyConfig
  const asked = (host: string, port: number, ...files: string[]) => {
    const there = new Set(['live/blog/blog.a', ...files].map((file) => `${PROXY_FOLDER}/${file}`))
    return askCaddy(config, { host, path: '/host-up', port, from: '203.0.113.0/24' }, there)
  }

  test('is 200 under the names of the project, under the address and under names that no project has', () => {
    for (const name of ['web.example.com', '198.51.100.7', 'unknown.example.com'])
      expect([name, asked(name, 80)]).toEqual([name, { status: 200 }])
    expect(asked('web.example.com', 443)).toEqual({ status: 200 })
    expect(asked('blog.example.com', 80)).toEqual({ dial: 'a.blog.blog.stagecraft.internal:3000' })
  })

  test('is 503 under maintenance of the project, and while the proxy is to be recreated', () => {
    expect(asked('198.51.100.7', 80, 'maintenance/shop.html')).toEqual({ status: 503 })
    expect(asked('web.example.com', 443, 'changing')).toEqual({ status: 503 })
    expect(asked('198.51.100.7', 80, 'maintenance/blog.html')).toEqual({ status: 200 })
  })
})

test('two projects with one path are refused, as is a route of another project at that place', () => {
  const own = [route('web', { host_health })]
  const others = { blog: [route('blog', { host_health: { path: '/Host-Up/', wait: 0 } })] }
  expect(errorOf(() => refuseTakenRoutes('shop', own, others)).message).toBe(
    'Cannot use /host-up as `health` of the proxy: the project blog has it',
  )
  const under = { blog: [route('blog', { hosts: ['web.example.com'], path: '/host-up' })] }
  expect(errorOf(() => refuseTakenRoutes('shop', own, under)).message).toBe(
    'Cannot expose web as web.example.com/host-up: the project blog has that route',
  )
  refuseTakenRoutes('shop', own, { blog: [route('blog', { host_health: { path: '/blog-up', wait: 0 } })], shop: own })
})

describe('a change that is announced', () => {
  // The scripts themselves, in a POSIX shell.
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'stagecraft-health-'))
    for (const name of ['config/1', 'live', 'maintenance']) mkdirSync(join(folder, name), { recursive: true })
    for (const name of ['caddy.json', 'loaded']) writeFileSync(join(folder, 'config/1', name), '{}')
    routes([route('web', { host_health })])
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const routes = (all: readonly Route[]) =>
    writeFileSync(join(folder, 'config/1/routes.json'), `${JSON.stringify({ shop: all })}\n`)
  const run = (script: string, ...args: string[]) =>
    exec(['sh', '-c', script.replaceAll(PROXY_FOLDER, folder), ...args])
  const docker = openDocker(
    (argv) => run(argv[argv.indexOf('-c') + 1] ?? '', ...argv.slice(argv.indexOf('-c') + 2)),
    (text) => text,
  )
  const isAnnounced = () => existsSync(join(folder, 'changing'))

  test('is reported before the wait, and no more once it is made, or has failed', async () => {
    const seen: unknown[] = []
    const clock = { now: Date.now, sleep: async (ms: number) => void seen.push(['waits', ms, isAnnounced()]) }
    const change = async () => void seen.push(['changes', isAnnounced()])
    expect(await afterNotice(docker, clock, change)).toBe(10_000)
    expect(seen).toEqual([
      ['waits', 10_000, true],
      ['changes', true],
    ])
    expect(isAnnounced()).toBe(false)
    await expect(afterNotice(docker, clock, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(isAnnounced()).toBe(false)
  })

  test('does not wait if no balancer asks', async () => {
    routes([route('web')])
    const clock = { now: Date.now, sleep: async (ms: number) => expect([ms, isAnnounced()]).toEqual([0, false]) }
    expect(await afterNotice(docker, clock, async () => expect(isAnnounced()).toBe(false))).toBe(0)
  })

  test('is over with the next command, if who has announced it was killed', async () => {
    writeFileSync(join(folder, 'changing'), `${Math.floor(Date.now() / 1000) + 1000}\n`)
    await run(READ)
    expect(readFileSync(join(folder, 'changing'), 'utf8')).not.toBe('') // it may still be at work
    writeFileSync(join(folder, 'changing'), `${Math.floor(Date.now() / 1000) - 1}\n`)
    await run(READ)
    expect(isAnnounced()).toBe(false)
  })
})
