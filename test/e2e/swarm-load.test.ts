import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type LoadGenerator, startLoad } from '../load/load.ts'
import { canSwarm, MANAGERS, SwarmApp } from '../scenes/swarm.ts'
import { host } from '../support/lab.ts'
import { expectCode, until } from './app.ts'

// Rollouts on a Swarm of three nodes, good ones and one that fails, while two of the nodes are asked. The arrangement is that of
// spec/core/swarm.md, No request is lost: a proxy at a port of both nodes, and behind it tasks that are found by DNS.
describe.skipIf(!canSwarm)('an application on a Swarm, behind a proxy of its own', () => {
  const app = new SwarmApp('swarm-load')
  const { folder } = app
  const [, , third] = MANAGERS
  const asked = MANAGERS.slice(0, 2).map(host)
  const PORT = 8461
  let loads: LoadGenerator[] = []

  beforeAll(async () => {
    await app.begin()
    const spec = readFileSync(join(import.meta.dir, '../../spec/core/swarm.md'), 'utf8')
    folder.write('edge/Caddyfile', /```caddyfile\n([\s\S]*?)```/.exec(spec)?.[1] ?? '')
    folder.write('edge/Dockerfile', 'FROM caddy:2\nCOPY Caddyfile /etc/caddy/Caddyfile\n')
    folder.write('web/server.mjs', readFileSync(join(import.meta.dir, '../load/server.mjs'), 'utf8'))
    folder.write('web/Dockerfile', 'FROM node:20\nCOPY server.mjs /app/\nCMD ["node", "/app/server.mjs"]\n')
    write('v0')
    expectCode(await app.deploy('v0'), 0)
    for (const { ip } of asked)
      await until('the proxy answers', async () => {
        const answer = await fetch(`http://${ip}:${PORT}/`).catch(String)
        return (typeof answer !== 'string' && answer.status === 200) || String(answer)
      })
  })
  afterAll(async () => {
    await Promise.allSettled(loads.map((load) => load.stop())) // those of a failed test still run
    await app.end()
  })

  /** It keeps serving for 3 s after SIGTERM, and then until all open requests are answered. */
  function write(version: string, { bad = false } = {}): void {
    const ask = `fetch('http://127.0.0.1:3000/up').then((up) => process.exit(up.ok ? 0 : 1), () => process.exit(1))`
    const web = {
      build: './web',
      environment: { VERSION: version, BAD: bad ? '1' : '0', GRACE: '3000' },
      healthcheck: { test: ['CMD', 'node', '-e', ask], interval: '1s', timeout: '10s', retries: bad ? 3 : 60 },
      stop_grace_period: '20s',
      deploy: { replicas: 3, endpoint_mode: 'dnsrr' },
    }
    const edge = {
      build: './edge',
      ports: [{ target: 80, published: String(PORT), mode: 'host' }],
      deploy: {
        mode: 'global',
        endpoint_mode: 'dnsrr',
        placement: { constraints: [`node.hostname != ${third}`] },
      },
    }
    app.write({ web, edge })
  }

  test('of 200 requests per second none is lost while it is rolled out, fails, and is rolled back', async () => {
    const started = asked.map(({ ip }) =>
      startLoad({ ip, port: PORT, host: 'shop.test', rate: 100, seconds: 900, long: false }),
    )
    loads = await Promise.all(started)
    write('v1')
    expectCode(await app.deploy('v1'), 0)
    write('v2', { bad: true })
    const ran = await app.deploy('v2')
    expectCode(ran, 5)
    expect(ran.stderr).toContain('is still live.')
    expectCode(await folder.stagecraft(['rollback']), 0)
    expect((await app.releases()).at(-1)?.version).toBe('v0')
    const results = await Promise.all(loads.map((load) => load.stop()))
    process.stdout.write(`${results.map(({ made, skipped }) => `${made} requests, ${skipped} left out`).join('; ')}\n`)
    expect(results.map(({ failures }) => failures)).toEqual([[], []])
    for (const { versions, made } of results) {
      expect(versions.toSorted()).toEqual(['v0', 'v1'])
      expect(made).toBeGreaterThan(3_000)
    }
  })
})
