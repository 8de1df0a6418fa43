import { describe, expect, test } from 'bun:test'
import { openSettings } from '../../lib/project/open.ts'
import { environmentStatus } from '../../lib/status/environment.ts'
import { byHand } from '../fakes/proxy.ts'
import { deployed, HOST, servicesOf, write } from '../scenes/routed.ts'
import { ids, routedProjects } from '../scenes/routed-projects.ts'
import { told } from '../scenes/shop.ts'

const { serving } = routedProjects()

// Replicas that the proxy addresses one by one.
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

test('another number of replicas changes the route, and the old slot keeps its own until the next one', async () => {
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

test('requests in flight to each of the old replicas are waited for, and counted', async () => {
  const web = `{expose: {host: ${HOST}, port: 3000, tls: off, sticky: true}, rollout: {drain_timeout: 2s}}`
  const impatient = { ...scaled(2), settings: { web } }
  const project = await serving(impatient)
  write(project, { ...impatient, web: 'web two' })
  project.engine.proxy.inFlight = (address) => (/^\d\.a\.web\./.test(address) ? 1 : 0)
  const { events } = await deployed(project)
  const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  expect(warnings).toEqual(['2 requests to the old web did not end within 2 s and will be cut'])
})

describe('one of the replicas', () => {
  const disconnected = async () => {
    const project = await serving(scaled(2))
    const [one = ''] = ids(project)
    await byHand(project.engine.exec, 'network', 'disconnect', 'stagecraft-shop', one)
    expect(names(project)).toHaveLength(1)
    return { project, one }
  }

  test('that was disconnected by hand gets its name again', async () => {
    const { project } = await disconnected()
    await deployed(project)
    expect(names(project)).toEqual(['1.a', '2.a'])
  })

  test('that was connected by hand without its name is seen by status, and gets it at the next switch', async () => {
    const { project, one } = await disconnected()
    const alias = 'a.web.shop.stagecraft.internal'
    await byHand(project.engine.exec, 'network', 'connect', '--alias', alias, 'stagecraft-shop', one)
    const settings = await openSettings({ directory: project.folder, environment: undefined, stateOverride: undefined })
    const { drift } = await environmentStatus(settings, { exec: project.engine.exec, clock: project.engine.clock.now })
    expect(drift.map(({ why }) => why)).toEqual(['the proxy does not reach shop-web-1'])
    write(project, { ...scaled(2), api: 'api two' })
    await deployed(project)
    expect(names(project)).toEqual(['1.a', '2.a'])
  })
})

test('making sessions sticky does not replace the containers', async () => {
  const plain = { ...scaled(2), settings: {} }
  const project = await serving(plain)
  const before = ids(project)
  write(project, scaled(2))
  await deployed(project)
  expect([ids(project), names(project), replicas(project)]).toEqual([before, ['1.a', '2.a'], { a: 2, b: 2 }])
})
