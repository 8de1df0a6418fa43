import { afterAll, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Generator,
  type Http3Load,
  type LoadGenerator,
  movedRequests,
  startHttp3,
  startLoad,
} from '../load/load.ts'
import { type Acme, startAcme } from '../support/acme.ts'
import { host, isUp } from '../support/lab.ts'
import { deploy, expectCode, until, writeApp } from './app.ts'
import { askSecurely, renewAlways } from './proxied.ts'

/** `npm run campaign -- --only edge` asks for 20. */
const ROLLOUTS = Number(process.env['STAGECRAFT_ROLLOUTS'] ?? 2)

// What visitors of a real site speak: TLS, HTTP/1.1 on kept and on new connections, HTTP/2, HTTP/3, WebSockets, events. Their certificates
// are renewed meanwhile. On the host of zero-loss.test.ts, after it or before it: another's route may reset connections.
const lab = test.skipIf(!isUp('h3'))
const h3 = host('h3')
const site = h3.folder('edge')
const NAMES = ['', 'www-', 'api-', 'shop-', 'blog-'].map((prefix) => `${prefix}${site.name}.test`)
let acme: Acme | undefined
let load: LoadGenerator | undefined
let http3: Generator<Http3Load> | undefined
afterAll(async () => {
  await Promise.allSettled([load?.stop(), http3?.stop(), acme?.stop()])
  await Promise.allSettled([site.cleanUp(), acme?.remove()])
})

function write(version: string, replicas: number): void {
  const health = { test: ['CMD', 'wget', '-q', '-O', '/dev/null', 'http://127.0.0.1:3000/up'] }
  const web = { build: '.', environment: { VERSION: version }, healthcheck: { ...health, interval: '1s', retries: 30 } }
  site.write('server.mjs', readFileSync(join(import.meta.dir, '../load/server.mjs'), 'utf8'))
  site.write('Dockerfile', 'FROM node:20\nCOPY server.mjs /app/\nCMD ["node", "/app/server.mjs"]\n')
  site.write('.dockerignore', '.stagecraft\n')
  writeApp(site, {
    services: { web: { ...web, scale: replicas } },
    settings: { web: { expose: { host: NAMES, port: 3000, health: '/up' } } },
    environments: { local: { proxy: { acme: { ca: acme?.ca, ca_root: 'root.pem' } } } },
  })
}

lab(
  'rollouts lose no request over TLS, by HTTP/1.1, HTTP/2 and HTTP/3, no WebSocket and no event, while five certificates are renewed',
  async () => {
    acme = await startAcme({ ip: h3.ip, seconds: 600, challenge: 'http-01' })
    site.write('root.pem', acme.root)
    write('v0', 1)
    await deploy(site, 'v0')
    await renewAlways(h3)
    const ca = await acme.issuer()
    await until('the proxy that was restarted serves', async () => {
      const served = await Promise.all(NAMES.map((name) => askSecurely(name, ca, h3)))
      return served.every((one) => typeof one === 'object') || JSON.stringify(served)
    })
    /** When the certificates that each name was served with expire. */
    const ends = NAMES.map(() => new Set<number>())
    const counts = () => ends.map(({ size }) => size).join(', ')
    const look = async () => {
      for (const [index, name] of NAMES.entries()) {
        const served = await askSecurely(name, ca, h3)
        if (typeof served === 'string') throw new Error(`${name}: ${served}`)
        ends[index]?.add(served.until)
      }
    }
    load = await startLoad({ ip: h3.ip, host: NAMES[0] ?? '', rate: 150, seconds: 2400, ca })
    http3 = await startHttp3({ ip: h3.ip, host: NAMES[0] ?? '', rate: 20, seconds: 2400 })
    for (let number = 1; number <= ROLLOUTS; number++) {
      write(`v${number}`, number % 3 === 1 ? 2 : 1)
      await Promise.all([deploy(site, `v${number}`), look()])
    }
    expectCode(await site.stagecraft(['rollback']), 0)
    await until(
      'each name has had another certificate',
      async () => {
        await look()
        return ends.every(({ size }) => size > 1) || counts()
      },
      120,
    )
    const result = await load.stop()
    const byHttp3 = await http3.stop()
    process.stdout.write(`${result.made} requests; certificates of the names: ${counts()}\n`)
    expect(result.failures).toEqual([])
    expect(byHttp3.failures).toEqual([])
    expect(movedRequests(result)).toEqual([])
    expect(byHttp3.made).toBeGreaterThan(100)
    expect(byHttp3.versions).toEqual(expect.arrayContaining(Array.from({ length: ROLLOUTS + 1 }, (_, at) => `v${at}`)))
    expect(result.made).toBeGreaterThan(1_000)
    expect(result.versions).toEqual(expect.arrayContaining(Array.from({ length: ROLLOUTS + 1 }, (_, at) => `v${at}`)))
  },
  2_400_000,
)
