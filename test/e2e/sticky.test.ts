import { expect } from 'bun:test'
import http from 'node:http'
import { deploy, expectCode, sharedFolders, writeApp } from './app.ts'
import { h1, lab, name } from './proxied.ts'

// Visitors that stay on one replica, for an application with sessions in memory: also when it dies, and during a release.
const [shop] = sharedFolders(h1, 'sticky')
const SERVER = `const { hostname } = require('os')
require('http').createServer((request, response) => {
  request.resume().on('end', () => response.end(process.env.VERSION + ' ' + hostname()))
}).listen(3000)
process.on('SIGTERM', () => process.exit(0))
`
const agent = new http.Agent({ keepAlive: true })

/** A browser: it keeps the last cookie that it got. */
class Visitor {
  /** The replicas that answered, each once in a row; or how else a request ended. */
  readonly met: string[] = []
  #cookie = ''
  #asked = 0

  async ask(): Promise<void> {
    const method = ++this.#asked % 2 === 0 ? 'POST' : 'GET'
    const headers = { host: name(shop), ...(this.#cookie ? { cookie: this.#cookie } : {}) }
    const said = await new Promise<string>((resolve) => {
      const request = http.request({ host: h1.ip, method, headers, agent }, (response) => {
        for (const one of response.headers['set-cookie'] ?? []) this.#cookie = one.split(';')[0] ?? ''
        let text = ''
        response.on('data', (data) => {
          text += data
        })
        response.on('error', ({ message }) => resolve(message))
        response.on('end', () => resolve(response.statusCode === 200 ? text : `${response.statusCode} ${method}`))
      })
      request.on('error', ({ message }) => resolve(`${message} ${method}`))
      request.end(method === 'POST' ? 'a=1' : undefined)
    })
    if (this.met.at(-1) !== said) this.met.push(said)
  }
}

const visitors = Array.from({ length: 6 }, () => new Visitor())
const askAll = async (times: number) => {
  for (let time = 0; time < times; time++) await Promise.all(visitors.map((visitor) => visitor.ask()))
}
const met = () => visitors.map((visitor) => visitor.met.map((said) => said.replace(/ [0-9a-f]{12}$/, '')))

function release(version: string) {
  const web = { image: 'node:20', command: ['node', '-e', SERVER], scale: 2, environment: { VERSION: version } }
  writeApp(shop, {
    services: { web },
    settings: { web: { expose: { host: name(shop), port: 3000, tls: 'off', sticky: true } } },
  })
  return deploy(shop, version)
}

lab('a visitor gets the same replica each time, and another one without a failed request if it dies', async () => {
  await release('v1')
  await askAll(6)
  expect(met()).toEqual(visitors.map(() => ['v1']))
  const replicas = (await shop.containers()).map(({ id }) => id.slice(0, 12))
  expect([...new Set(visitors.map((visitor) => visitor.met[0]?.slice(3) ?? ''))].toSorted()).toEqual(
    replicas.toSorted(),
  )
  const [dead = ''] = replicas
  expectCode(await h1.docker(['kill', dead]), 0)
  await askAll(4)
  expect(met()).toEqual(visitors.map(({ met: [first] }) => (first === `v1 ${dead}` ? ['v1', 'v1'] : ['v1'])))
})

lab('a rollout loses no request, and gives each visitor one of the new replicas', async () => {
  const before = met()
  let isOver = false
  const load = (async () => {
    while (!isOver) await askAll(1)
  })()
  await release('v2')
  await askAll(4)
  isOver = true
  await load
  expect(met()).toEqual(before.map((said) => [...said, 'v2']))
})
