import { afterAll, expect } from 'bun:test'
import { readFileSync } from 'node:fs'
import { connect } from 'node:http2'
import { join } from 'node:path'
import { connect as connectSecurely } from 'node:tls'
import { type Generator, startGenerator } from '../load/load.ts'
import { deploy, expectCode, sharedFolders, writeApp } from './app.ts'
import { h1, lab, name } from './proxied.ts'

// gRPC, which is HTTP/2 with trailers, and its streams: through rollouts, with TLS and without.
const [shop] = sharedFolders(h1, 'grpc')
interface Calls {
  readonly made: number
  readonly streams: number
  readonly failures: readonly string[]
  readonly versions: readonly string[]
}
let calls: Generator<Calls> | undefined
afterAll(() => calls?.stop())

function write(version: string, expose: object): void {
  shop.write('server.mjs', readFileSync(join(import.meta.dir, '../load/grpc-server.mjs'), 'utf8'))
  shop.write('Dockerfile', 'FROM node:20\nCOPY server.mjs /app/\nCMD ["node", "/app/server.mjs"]\n')
  shop.write('.dockerignore', '.stagecraft\n')
  // A healthy one has ten seconds to answer the proxy, even if the machine starts it slowly.
  const web = { build: '.', environment: { VERSION: version }, healthcheck: { test: ['CMD', 'true'], interval: '1s' } }
  writeApp(shop, {
    services: { web },
    settings: {
      web: { expose: { host: name(shop), port: 50051, tls: 'internal', http: 'serve', ...expose } },
    },
  })
}

/** The HTTP status, by which gRPC knows what happened if the response has no gRPC status. */
async function statusOfCall(): Promise<number | undefined> {
  const createConnection = () =>
    connectSecurely({
      host: h1.ip,
      port: 443,
      servername: name(shop),
      ALPNProtocols: ['h2'],
      rejectUnauthorized: false,
    })
  const session = connect(`https://${name(shop)}`, { createConnection })
  const call = session.request({ ':method': 'POST', ':path': '/shop.Shop/Version', 'content-type': 'application/grpc' })
  call.end(Buffer.from([0, 0, 0, 0, 1, 0x31]))
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  call.on('response', (headers) => resolve(headers[':status']))
  call.on('error', () => resolve(undefined))
  return promise.finally(() => session.destroy())
}

lab('gRPC calls and streams survive rollouts and a rollback, and a stream ends where it began', async () => {
  write('v0', { protocol: 'h2c' })
  await deploy(shop, 'v0')
  calls = await startGenerator<Calls>(['node', 'grpc.mjs'], { ip: h1.ip, host: name(shop), rate: 40, seconds: 600 })
  for (const version of ['v1', 'v2']) {
    write(version, { protocol: 'h2c' })
    await deploy(shop, version)
  }
  expectCode(await shop.stagecraft(['rollback']), 0)
  const result = await calls.stop()
  expect(result.failures).toEqual([])
  expect(result.versions.toSorted()).toEqual(['v0', 'v1', 'v2'])
  expect([result.made > 100, result.streams > 4]).toEqual([true, true])
})

lab('a call during maintenance gets a status that gRPC knows: unavailable', async () => {
  expectCode(await shop.stagecraft(['maintenance', 'on', '--message', 'soon']), 0)
  expect(await statusOfCall()).toBe(503)
  expectCode(await shop.stagecraft(['maintenance', 'off']), 0)
  expect(await statusOfCall()).toBe(200)
})

lab('a service that does not speak its `protocol` does not go live, and the reason says what to do', async () => {
  write('v3', {})
  expect((await deploy(shop, 'v3', 5)).stderr).toContain('a gRPC server does not, and needs `protocol: h2c`')
  expect(await statusOfCall()).toBe(200)
})
