import { expect, test } from 'bun:test'
import { byHand } from '../fakes/proxy.ts'
import { deployed, HOST, servicesOf, write } from '../scenes/routed.ts'
import { ids, routedProjects } from '../scenes/routed-projects.ts'
import { told } from '../scenes/shop.ts'

const { serving } = routedProjects()

// Replicas that the proxy knows one by one.
const settings = { web: `{expose: {host: ${HOST}, port: 3000, tls: off, sticky: true}}` }
const scaled = (scale: number) => ({ services: servicesOf({ web: { ...servicesOf()['web'], scale } }), settings })
type Project = Awaited<ReturnType<typeof serving>>
/** The names of single containers of `web`, as Docker's DNS has them. */
const names = (project: Project) =>
  project.engine.proxy
    .aliases('shop')
    .flatMap((line) => /^\d+\.[ab](?=\.web)/.exec(line)?.[0] ?? [])
    .toSorted()
const routes = (project: Project) => project.engine.proxy.host.volume?.routes['shop'] ?? []
const replicas = (project: Project) => routes(project).find(({ service }) => service === 'web')?.replicas

test('another number of replicas is another route, and the old slot keeps its own until the next release', async () => {
  const project = await serving(scaled(2))
  expect([names(project), replicas(project)]).toEqual([['1.a', '2.a'], { a: 2, b: 2 }])
  write(project, scaled(3))
  await deployed(project)
  expect([names(project), replicas(project)]).toEqual([['1.b', '2.b', '3.b'], { a: 2, b: 3 }])
  write(project, { ...scaled(3), web: 'web two' })
  await deployed(project)
  expect([names(project), replicas(project)]).toEqual([['1.a', '2.a', '3.a'], { a: 3, b: 3 }])
  expect(told(await project.rollback())).toBe('no error')
  expect(names(project)).toEqual(['1.b', '2.b', '3.b'])
})

test('what is on its way to one of the old replicas is waited for', async () => {
  const project = await serving(scaled(2))
  write(project, { ...scaled(2), web: 'web two' })
  let left = 5
  project.engine.proxy.inFlight = (address) => (address.startsWith('2.a.web.') ? Math.max(0, left--) : 0)
  await deployed(project)
  expect(left).toBeLessThan(0)
})

test('one that was connected by hand without its name is given it again', async () => {
  const project = await serving(scaled(2))
  const [one = ''] = ids(project)
  await byHand(project.engine.exec, 'network', 'disconnect', 'stagecraft-shop', one)
  expect(names(project)).toHaveLength(1)
  await deployed(project)
  expect(names(project)).toEqual(['1.a', '2.a'])
})

test('sessions that stick for the first time are those of containers that stay', async () => {
  const plain = { ...scaled(2), settings: {} }
  const project = await serving(plain)
  const before = ids(project)
  write(project, scaled(2))
  await deployed(project)
  expect([ids(project), names(project), replicas(project)]).toEqual([before, ['1.a', '2.a'], { a: 2, b: 2 }])
})
