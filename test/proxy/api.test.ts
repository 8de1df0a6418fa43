import { expect, test } from 'bun:test'
import type { Docker } from '../../lib/docker/client.ts'
import type { ProjectRoutes, Route } from '../../lib/plan/routes/table.ts'
import { applyRoutes, inFlightTo, probe, readProxyIfUp } from '../../lib/proxy/api.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { answering } from '../fakes/docker-answers.ts'

/** A docker whose proxy has these routes, and those that are then sent to it. */
function proxyWith(projects: ProjectRoutes, writer = ''): { docker: Docker; told: () => ProjectRoutes } {
  let input = ''
  const attempt: Docker['try'] = async (args, options) => {
    if (args.includes('stagecraft-apply')) input = options?.input ?? ''
    return { argv: args, code: 0, stdout: `7${writer}\n${JSON.stringify(projects)}\n`, stderr: '', timedOut: false }
  }
  const docker: Docker = { try: attempt, run: (_, args, options) => attempt(args, options), mask: createMask([]) }
  return { docker, told: () => JSON.parse(input.split('\n')[0] ?? '') as ProjectRoutes } // written by the code under test
}

const internal = (subnets: readonly string[], network = 'net'): Route => ({
  service: 'api',
  hosts: [],
  path: '/',
  tls: 'auto',
  ports: { a: 80, b: 80 },
  internal: { port: 80, names: ['api'], networks: [network], subnets },
})

test('applyRoutes() takes a subnet from who had it before: the engine has given it to another network', async () => {
  const { docker, told } = proxyWith({
    gone: [internal(['10.0.1.0/24', '10.0.2.0/24'])],
    blog: [internal(['10.0.3.0/24'])],
  })
  await applyRoutes(docker, 'shop', [internal(['10.0.1.0/24'], 'new')])
  expect(told()).toEqual({
    gone: [internal(['10.0.2.0/24'])],
    blog: [internal(['10.0.3.0/24'])],
    shop: [internal(['10.0.1.0/24'], 'new')],
  })
})

test('applyRoutes() on a network that is shared takes nothing from who was there first', async () => {
  const first = internal(['10.0.1.0/24'])
  const { docker, told } = proxyWith({ blog: [first] })
  const second = {
    ...first,
    service: 'mail',
    internal: { port: 80, names: ['mail'], networks: ['net'], subnets: ['10.0.1.0/24'] },
  }
  await applyRoutes(docker, 'shop', [second])
  const named = { ...second, internal: { ...second.internal, named: ['10.0.1.0/24'] } }
  expect(told()).toEqual({ blog: [first], shop: [named] })
  const again = proxyWith({ blog: [first], shop: [named] })
  await applyRoutes(again.docker, 'blog', [{ ...first, ports: { a: 80, b: 81 } }])
  expect(again.told()).toEqual({ shop: [named], blog: [{ ...first, ports: { a: 80, b: 81 } }] })
})

test('readProxyIfUp() takes a command that was killed with the proxy for a proxy that does not run', async () => {
  const { docker } = proxyWith({})
  const killed = { argv: [], code: 137, stdout: '', stderr: '', timedOut: false }
  expect(await readProxyIfUp({ ...docker, try: async () => killed })).toBeUndefined()
  expect(readProxyIfUp({ ...docker, try: async () => ({ ...killed, code: 1 }) })).rejects.toThrow(
    'read the state of the proxy',
  )
})

test.each([
  ['wget: error getting response', 'unwell', 'it closes the connection on port 3000 without an answer'],
  ["wget: can't connect to remote host: Connection refused", 'silent', 'nothing answers on port 3000 (can'],
  ['HTTP/1.1 500 Internal Server Error', 'unwell', '/up answers 500 Internal Server Error'],
  ['it speaks no h2c', 'unwell', 'it does not speak HTTP/2 without TLS on port 3000'],
])('probe() says what is wrong: %s', async (stderr, kind, why) => {
  const { docker } = answering({ exec: { code: 1, stderr } })
  const target = { address: '10.0.0.2', port: 3000, h2c: false, health: '/up', host: 'shop.test', scheme: 'http' }
  const failure = await probe(docker, target, 1)
  expect([failure?.kind, failure?.why.slice(0, why.length)]).toEqual([kind, why])
})

test('inFlightTo() adds up what is on its way to a slot, whatever its containers are called', () => {
  const counts = new Map(Object.entries({ 'a.web.x:80': 1, '1.a.web.x:80': 2, '12.a.web.x:80': 4, 'b.a.web.x:80': 8 }))
  expect([inFlightTo(counts, 'a.web.x:80'), inFlightTo(counts, 'b.web.x:80')]).toEqual([7, 0])
})

test('applyRoutes() leaves the routes of others to a newer Stagecraft that has set them', async () => {
  const other = { blog: [internal(['10.0.3.0/24'])] }
  const { docker, told } = proxyWith(other, ' 999.1.0')
  const message = expect.stringContaining('Stagecraft 999.1.0 has set those of blog')
  const work = applyRoutes(docker, 'shop', [internal(['10.0.1.0/24'], 'new')])
  await expect(work).rejects.toMatchObject({ kind: 'config', message })
  expect(told).toThrow() // nothing was written
  const alone = proxyWith({ shop: [internal(['10.0.3.0/24'])] }, ' 999.1.0')
  await applyRoutes(alone.docker, 'shop', [internal(['10.0.1.0/24'], 'new')])
  expect(Object.keys(alone.told())).toEqual(['shop'])
})
