import { afterEach, describe, expect, test } from 'bun:test'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Resource, Service } from '../../lib/compose/model.ts'
import { composeModel } from '../fakes/compose-model.ts'
import type { FakeFleet } from '../fakes/fleet.ts'
import { change, newShop, told } from '../scenes/shop.ts'
import { newFleet, removeFleets } from '../scenes/shop-fleet.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

afterEach(removeFleets)

const QUICK = 'rollout: {min_ready: 200ms}'
const db = (volume = 'data'): Service => ({
  image: 'postgres:16',
  volumes: [{ type: 'volume', source: volume, target: '/data' }],
})
/** As the engine was asked to store it. */
const VOLUME = 'shop-prod_data'

/** The database is on one of two hosts, and is live. */
async function onHost(title: string, services: Record<string, Service> = { db: db() }): Promise<FakeFleet> {
  const fleet = newFleet(title)
  place(fleet, 'hosts: [a]', services)
  expect(told(await fleet.project.deploy({ version: 'v1' }))).toBe('no error')
  return fleet
}

function place(
  fleet: FakeFleet,
  where: string,
  services: Record<string, Service> = { db: db() },
  hosts: readonly string[] = ['a', 'b'],
): void {
  fleet.write(services, { db: `{${where}${where === '' ? '' : ', '}${QUICK}}` }, hosts)
}

const deployed = async (fleet: FakeFleet) => told(await fleet.project.deploy())

describe('a service with data on another host', () => {
  test('is refused before anything is changed, with what to do', async () => {
    const fleet = await onHost('moved')
    place(fleet, 'hosts: [b]')
    const before = [fleet.view('a'), fleet.view('b')]
    const { error } = await fleet.project.deploy()
    expectGolden('core/hosts.md', 'moved-data', formatError(error).join('\n'))
    expect(error?.kind).toBe('config')
    expect([fleet.view('a'), fleet.view('b')]).toEqual(before)
    expect(fleet.project.releases()).toHaveLength(1)
    await expect(fleet.project.plan()).rejects.toThrow('its data would stay behind')
  })

  test('is allowed once the settings confirm it, and the data is there', async () => {
    const fleet = await onHost('brought')
    place(fleet, 'hosts: [b], moved_from: a')
    expect(await deployed(fleet)).toContain(`Cannot move db to b: volume ${VOLUME} is not there, or is empty`)
    fleet.engines.b.state.volumes.push(VOLUME)
    expect(await deployed(fleet)).toBe('no error')
    expect([fleet.view('a'), fleet.view('b')]).toEqual([[], ['db of postgres running on shop-prod_default']])
    // What said it then says nothing of the way back: there the data is an old one.
    place(fleet, 'hosts: [a], moved_from: a')
    expect(await deployed(fleet)).toContain('Cannot move db from b to a')
    expect(told(await fleet.project.rollback())).toContain('Cannot move db from b to a')
  })

  test('is also refused if its host is no longer named, or the service is renamed', async () => {
    const fleet = newFleet('left-out')
    place(fleet, 'hosts: [b]')
    expect(await deployed(fleet)).toBe('no error')
    place(fleet, '', { db: db() }, ['a'])
    expect(await deployed(fleet)).toContain('Cannot move db from b to a')
    fleet.write({ database: db() }, {}, ['a'])
    expect(await deployed(fleet)).toContain('Cannot move db from b to a')
  })

  test('on more hosts than before stays where it was: that is not a move', async () => {
    const fleet = await onHost('more')
    place(fleet, 'hosts: [a, b]')
    expect(await deployed(fleet)).toBe('no error')
  })

  test('is not moved if the same host has another name', async () => {
    const fleet = await onHost('alias', { db: db(), web: { image: 'web:1' } })
    fleet.alias = { c: 'b' }
    fleet.write({ db: db(), web: { image: 'web:1' } }, { db: `{hosts: [a], ${QUICK}}` }, ['a', 'c'])
    expect(await deployed(fleet)).toBe('no error')
  })

  test('counts a folder that it writes to, and a volume that only its image declares, as data', async () => {
    const folder: Service = { image: 'redis:7', volumes: [{ type: 'bind', source: '/x', target: '/up' }] }
    for (const [title, service] of [
      ['folder', folder],
      ['image', { image: 'postgres:16' }],
    ] as const) {
      const fleet = newFleet(`moved-${title}`)
      for (const name of ['a', 'b'] as const) fleet.engines[name].withVolume.add('postgres')
      const own = title === 'folder' ? { ...service, volumes: [bind(fleet)] } : service
      place(fleet, 'hosts: [a]', { db: own })
      expect(await deployed(fleet)).toBe('no error')
      place(fleet, 'hosts: [b]', { db: own })
      expect(await deployed(fleet)).toContain('Cannot move db from a to b')
    }
  })
})

function bind(fleet: FakeFleet) {
  const source = join(fleet.project.folder, 'uploads')
  for (const folder of [source, join(fleet.project.folder, '.stagecraft/data/uploads')])
    mkdirSync(folder, { recursive: true })
  return { type: 'bind', source, target: '/up' }
}

describe('another volume or folder at the place of one that is in use', () => {
  const shop = async (title: string) => {
    const project = newShop(title)
    expect(told(await project.deploy({ version: 'v1' }))).toBe('no error')
    return project
  }
  const renamed = (project: ReturnType<typeof newShop>, volumes: Record<string, Resource>, source: string) => {
    change(project, {})
    const services = {
      ...project.engine.model?.services,
      db: { image: 'postgres:16', volumes: [{ type: 'volume', source, target: '/var/lib/postgresql/data' }] },
    }
    project.engine.model = composeModel('shop', { services, volumes })
  }

  test.each([
    ['its name', { data: { name: 'other' } }, 'data', 'other'],
    ['its key', { dbdata: {} }, 'dbdata', 'shop_dbdata'],
  ])('is refused where %s changes', async (_, volumes, source, name) => {
    const project = await shop('renamed')
    renamed(project, volumes, source)
    const { error } = await project.deploy()
    if (name === 'other') expectGolden('core/hosts.md', 'other-volume', formatError(error).join('\n'))
    expect(told({ error })).toContain(`Cannot start db with volume ${name}: its data is in volume shop_data`)
    expect(project.view()).toContain('db of postgres running on shop_default')
    project.engine.state.volumes.push(name) // as it was made, and filled
    expect(told(await project.deploy())).toBe('no error')
  })

  test('is allowed if there was nothing to lose', async () => {
    const project = await shop('nothing-lost')
    project.engine.state.volumes = []
    renamed(project, { data: { name: 'other' } }, 'data')
    expect(told(await project.deploy())).toBe('no error')
  })

  test('a folder with nothing in it is refused for one that holds something', async () => {
    const project = newShop('folders')
    const mount = (name: string) => {
      mkdirSync(join(project.folder, name), { recursive: true })
      const volumes = [{ type: 'bind', source: join(project.folder, name), target: '/up' }]
      change(project, { cache: { image: 'redis:7', volumes } })
    }
    mount('one')
    expect(told(await project.deploy())).toBe('no error')
    mount('two')
    expect(told(await project.deploy())).toBe('no error') // there was nothing yet
    writeFileSync(join(project.folder, 'two/customers'), 'x')
    mount('three')
    writeFileSync(join(project.folder, 'three/.gitkeep'), '')
    expect(told(await project.deploy())).toContain('its data is in')
    writeFileSync(join(project.folder, 'three/customers'), 'x')
    expect(told(await project.deploy())).toBe('no error')
  })
})

test('the first release on a host reports what starts without data', async () => {
  const fleet = newFleet('first')
  place(fleet, 'hosts: [a]')
  const { events } = await fleet.project.deploy()
  const said = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  expect(said).toEqual([`this is the first release of prod on a, so data starts empty: db (volume ${VOLUME})`])
})
