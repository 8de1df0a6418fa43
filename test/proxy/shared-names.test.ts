import { afterAll, describe, expect, test } from 'bun:test'
import { openSettings } from '../../lib/project/open.ts'
import { environmentStatus } from '../../lib/status/environment.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject } from '../fakes/project.ts'
import { byHand } from '../fakes/proxy.ts'
import { told } from '../scenes/shop.ts'

// Two projects on one external network.

const projects: FakeProject[] = []
afterAll(() => {
  for (const project of projects) project.remove()
})

interface Part {
  readonly service: string
  readonly expose?: string
  readonly aliases?: string[]
}

/** A project with one service on the network `shared`. @param beside another one on the same engine */
function part(name: string, { service, expose, aliases }: Part, beside?: FakeProject): FakeProject {
  const project = new FakeProject(name)
  projects.push(project)
  const { engine } = project
  engine.registry = { 'caddy:2': 'caddy 2' }
  if (beside) engine.state = beside.engine.state
  engine.addImage(`${name}:1`, name)
  engine.model = {
    ...composeModel(name, {
      services: { [service]: { image: `${name}:1`, networks: { shared: aliases ? { aliases } : null } } },
    }),
    networks: { shared: { name: 'shared', external: true } },
  }
  engine.state.networks['shared'] ??= { project: '', definition: '' }
  const settings = `{${expose ? `expose: ${expose}, ` : ''}rollout: {min_ready: 0s}}`
  project.write('stagecraft.yml', `environments: {local: {services: {${service}: ${settings}}}}`)
  return project
}

const internal = (port = 3000) => `{internal: true, port: ${port}}`
const call = (project: FakeProject, name: string, port = 3000) => project.engine.proxy.call('shared', name, port)
const deploy = async (project: FakeProject) => told(await project.deploy()).split('\n')[0]

describe('an internal service', () => {
  test('of another project on the same port keeps its callers, in either order of deploys', async () => {
    const api = part('shop', { service: 'api', expose: internal() })
    const mail = part('blog', { service: 'mail', expose: internal() }, api)
    expect([await deploy(api), await deploy(mail), await deploy(api)]).toEqual(['no error', 'no error', 'no error'])
    expect([call(api, 'api'), call(api, 'mail')]).toEqual([['shop'], ['blog']])
  })

  test.each<[string, Part]>([
    ['its name', { service: 'api', expose: internal() }],
    ['its name, in another case', { service: 'API', expose: internal() }],
    ['its name as an alias', { service: 'mail', expose: internal(), aliases: ['api'] }],
  ])('is not taken by one with %s', async (_, other) => {
    const api = part('shop', { service: 'api', expose: internal() })
    await deploy(api)
    const second = part('blog', other, api)
    expect(await deploy(second)).toMatch(
      /^config \(exit 3\): Cannot expose \w+ as http:..(api|API):3000: the project shop has that name on network shared$/,
    )
    expect([call(api, 'api'), second.view()]).toEqual([['shop'], []])
  })

  test('at another port is recognized by it', async () => {
    const api = part('shop', { service: 'api', expose: internal() })
    const other = part('blog', { service: 'api', expose: internal(4000) }, api)
    expect([await deploy(api), await deploy(other)]).toEqual(['no error', 'no error'])
    expect([call(api, 'api'), call(api, 'api', 4000)]).toEqual([['shop'], ['blog']])
  })
})

describe('a service without a route', () => {
  test('is refused the name of an internal service of another project', async () => {
    const api = part('shop', { service: 'api', expose: internal() })
    await deploy(api)
    const plain = part('blog', { service: 'db', aliases: ['Api'] }, api)
    expect(await deploy(plain)).toBe(
      'config (exit 3): Cannot start db on network shared: Api is an internal service of the project shop there',
    )
    expect([call(api, 'api'), plain.view()]).toEqual([['shop'], []])
  })

  test('keeps its name from an internal one that comes later', async () => {
    const plain = part('blog', { service: 'api' })
    expect(await deploy(plain)).toBe('no error')
    const api = part('shop', { service: 'api', expose: internal() }, plain)
    expect(await deploy(api)).toBe(
      'config (exit 3): Cannot expose api as http://api:3000: blog-api-1 of the project blog has that name on network shared',
    )
    expect(call(plain, 'api')).toEqual(['blog'])
  })
})

test('what comes to a network by hand is seen by status', async () => {
  const api = part('shop', { service: 'api', expose: internal() })
  const other = part('blog', { service: 'db' }, api)
  expect([await deploy(api), await deploy(other)]).toEqual(['no error', 'no error'])
  const [id = ''] = other.engine.ids('blog', 'db')
  await byHand(api.engine.exec, 'network', 'disconnect', 'shared', id)
  await byHand(api.engine.exec, 'network', 'connect', '--alias', 'api', 'shared', id)
  const settings = await openSettings({ directory: api.folder, environment: undefined, stateOverride: undefined })
  const { drift } = await environmentStatus(settings, { exec: api.engine.exec, clock: api.engine.clock.now })
  expect(drift.map(({ kind, why }) => `${kind}: ${why}`)).toEqual([
    'route: blog-db-1 of the project blog has the name api on network shared too',
  ])
})
