import { afterEach, describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { findSameApplication } from '../../lib/project/adoption/same-application.ts'
import { composeModel, renameProject } from '../fakes/compose-model.ts'
import type { FakeProject } from '../fakes/project.ts'
import { composeUp } from '../scenes/compose-up.ts'
import { change, newShop, told } from '../scenes/shop.ts'
import { newFleet, removeFleets } from '../scenes/shop-fleet.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const projects: FakeProject[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
  removeFleets()
})

/** The application runs as Compose project `shop`; then stagecraft.yml has these environments. */
async function running(title: string, environments: string): Promise<FakeProject> {
  const project = newShop(title)
  projects.push(project)
  await up(project)
  write(project, environments)
  return project
}

/** What `docker compose up` has made in the project folder. */
async function up(project: FakeProject): Promise<void> {
  const { engine, folder } = project
  for (const [image, content] of Object.entries({ ...engine.registry, 'shop-web': 'web one' }))
    engine.addImage(image, content)
  const services = Object.entries(engine.model?.services ?? {}).map(([name, { build: _build, ...service }]) => {
    return [name, { ...service, image: service.image ?? `shop-${name}` }] as const
  })
  const model = { ...engine.model, name: 'shop', services: Object.fromEntries(services) }
  await composeUp(engine, model, Object.keys(model.services))
  engine.state.containers = engine.state.containers.map((one) => ({ ...one, folder }))
}

const write = (project: FakeProject, environments: string) =>
  project.write('stagecraft.yml', `project: {name: shop}\nenvironments: ${environments}\n`)

const QUICK = 'services: {web: {rollout: {min_ready: 0s}}}'

describe('an application that runs under another name', () => {
  test('is not deployed alongside: the error names the line to add', async () => {
    const project = await running('elsewhere', '{prod: {}}')
    const before = project.engine.view('shop')
    const { error, release } = await project.deploy()
    expectGolden('core/plan.md', 'elsewhere', formatError(error).join('\n').replaceAll(project.folder, '/srv/shop'))
    expect(release).toBeUndefined()
    expect([project.engine.view('shop'), project.engine.view('shop-prod')]).toEqual([before, []])
    expect(project.engine.state.owners).toEqual({})
    await expect(project.plan()).rejects.toThrow('it already runs as shop')
  })

  test('is taken over under its name, or left alone, as stagecraft.yml says', async () => {
    const project = await running('answered', '{prod: {}}')
    const ids = project.engine.ids('shop', 'db')
    write(project, `{prod: {compose_project: shop, ${QUICK}}}`)
    expect(told(await project.deploy())).toBe('no error')
    expect(project.engine.ids('shop', 'db')).toEqual(ids)

    const other = await running('alongside', `{prod: {compose_project: shop-prod, ${QUICK}}}`)
    expect(told(await other.deploy())).toBe('no error')
    expect(other.engine.view('shop-prod')).toHaveLength(3)
  })

  test('is found also where a deploy that was refused has recorded this environment as its owner', async () => {
    const project = await running('claimed', '{prod: {compose_project: shop}}')
    change(project, {
      db: { image: 'postgres:16', volumes: [{ type: 'volume', source: 'other', target: '/var/lib/postgresql/data' }] },
    })
    expect((await project.deploy()).error?.message).toContain('its data is in volume shop_data')
    expect(Object.keys(project.engine.state.owners)).toEqual(['stagecraft-shop'])
    write(project, '{prod: {}}')
    expect((await project.deploy()).error?.message).toContain('it already runs as shop')
  })

  test('is another environment’s: the error says how to deploy that one', async () => {
    const project = await running('of-local', '{local: {}, prod: {}}')
    const { error } = await project.deploy({ environment: 'prod' })
    expect(error?.hint).toBe(
      [
        'That is the Compose project of local. To take it over as local: stagecraft deploy --env local',
        'To take it over as prod: environments: {prod: {compose_project: shop}, local: {compose_project: shop-local}}',
        'To start another one with empty volumes: environments: {prod: {compose_project: shop-prod}}',
        'Nothing has been changed.',
      ].join('\n'),
    )
  })

  test('has been taken down: its volumes are not forgotten', async () => {
    const project = await running('down', '{prod: {}}')
    project.engine.state.containers = []
    const { error } = await project.deploy()
    expectGolden('core/plan.md', 'left-behind', formatError(error).join('\n'))
    project.engine.state.volumes.push('shop-prod_data') // it was copied
    write(project, `{prod: {${QUICK}}}`)
    expect(told(await project.deploy())).toBe('no error')
  })

  test('that Stagecraft released for another environment is no concern of this one', async () => {
    const project = await running('two', `{local: {${QUICK}}, prod: {${QUICK}}}`)
    expect(told(await project.deploy({ environment: 'local' }))).toBe('no error')
    expect(told(await project.deploy({ environment: 'prod' }))).toBe('no error')
    project.engine.state.containers = project.engine.state.containers.filter((one) => one.project !== 'shop-prod')
    expect(told(await project.deploy({ environment: 'prod' }))).toBe('no error')
  })

  test('is found on the host that has it', async () => {
    const fleet = newFleet('elsewhere-host')
    fleet.write({ db: { image: 'postgres:16' } }, { db: '{rollout: {min_ready: 200ms}}' }, ['a', 'b'])
    const { b } = fleet.engines
    b.model = composeModel('shop', { services: { db: { image: 'postgres:16' } } })
    b.addImage('postgres:16', 'postgres')
    await composeUp(b, b.model, ['db'])
    const { error } = await fleet.project.deploy()
    expect(error?.message).toBe('Cannot deploy prod as Compose project shop-prod: it already runs on b as shop')
    expect([fleet.view('a'), fleet.view('b')]).toEqual([[], []])
  })
})

describe('findSameApplication()', () => {
  const model = composeModel('shop-prod', {
    services: {
      web: { build: { context: '.' }, ports: [{ target: 80, published: '80' }] },
      db: { image: 'postgres:16' },
    },
  })
  const one = (service: string, image: string, port?: string) => ({
    ...{
      name: `blog-${service}-1`,
      project: 'blog',
      service,
      image,
      folder: '/srv/blog',
      files: ['/srv/blog/compose.yml'],
    },
    ports: port === undefined ? [] : [{ port, address: '' }],
  })
  const because = (started: ReturnType<typeof one>[], own = model) =>
    findSameApplication({ directory: '/srv/shop', model: own, names: ['shop'] }, started)[0]?.because

  test.each([
    ['its own folder', [{ ...one('web', 'x'), folder: '/srv/shop' }], 'it was started from this folder'],
    ['its own folder, but nothing of it', [{ ...one('tool', 'x'), folder: '/srv/shop' }], undefined],
    [
      'its own Compose file',
      [{ ...one('web', 'x'), files: ['/srv/shop/compose.yml'] }],
      'it was started from this folder',
    ],
    ['a name that it may have had', [{ ...one('web', 'x'), project: 'shop' }], 'it has this name and these services'],
    [
      'that name, but also something else',
      [
        { ...one('web', 'x'), project: 'shop' },
        { ...one('x', 'x'), project: 'shop' },
      ],
      undefined,
    ],
    [
      'services, images and ports',
      [one('web', 'blog-web', '80/tcp'), one('db', 'postgres:15')],
      'it has the same services, images and ports',
    ],
    ['another port', [one('web', 'blog-web', '81/tcp'), one('db', 'postgres:15')], undefined],
    ['another image', [one('web', 'blog-web', '80/tcp'), one('db', 'mysql:8')], undefined],
    ['services and images of everybody', [one('web', 'blog-web'), one('db', 'postgres:15')], undefined],
    [
      'a release of Stagecraft',
      [{ ...one('web', 'x'), files: ['/srv/shop/.stagecraft/releases/rel-1/compose.json'], folder: '/srv/shop' }],
      undefined,
    ],
    ['stagecraft dev', [{ ...one('web', 'x'), folder: '/srv/shop', project: 'shop--dev' }], undefined],
    ['a name that is none', [{ ...one('web', 'x'), folder: '/srv/shop', project: '-p x' }], undefined],
  ])('%s', (_, started, wanted) => {
    expect(because(started)).toBe(wanted)
  })

  test('the images of the application’s own are evidence without a port', () => {
    const services: Record<string, Service> = { web: { image: 'ghcr.io/acme/shop:2' }, db: { image: 'postgres:16' } }
    const own = renameProject(composeModel('shop-prod', { services }), 'shop-prod')
    expect(because([one('web', 'ghcr.io/acme/shop:1'), one('db', 'postgres:16')], own)).toBe(
      'it has the same services and images',
    )
  })
})
