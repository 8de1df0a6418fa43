import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openSettings } from '../../lib/project/open.ts'
import { planDown } from '../../lib/release/by-hand/down.ts'
import { FakeFleet } from '../fakes/fleet.ts'
import { expectFresh, folders, tags, twoReleases } from '../scenes/down.ts'
import { deployed, newNeighbour, newRouted } from '../scenes/routed.ts'
import { newShop, told } from '../scenes/shop.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

describe('down --history', () => {
  test('removes records, bundles and images; a deploy is the first one then', async () => {
    const project = await twoReleases(temporary(newShop('history')))
    expect(tags(project)).not.toEqual([])
    expect(told(await project.down({ history: true }))).toBe('no error')
    await expectFresh(project)
  })

  test('may come after a down', async () => {
    const project = await twoReleases(temporary(newShop('history')))
    await project.down()
    expect(project.releases()).toHaveLength(2)
    expect(told(await project.down({ history: true }))).toBe('no error')
    await expectFresh(project)
  })

  test('keeps the history of other environments in the same file, byte for byte, and their images', async () => {
    const project = temporary(newShop('history'))
    project.write('stagecraft.yml', 'environments: {local: {}, other: {compose_project: else}}')
    expect(told(await project.deploy({ version: 'v1', environment: 'other' }))).toBe('no error')
    const [before, kept] = [readFileSync(project.stateFile, 'utf8'), project.releases()]
    const [images, names] = [Object.keys(project.engine.state.tags), folders(project, 'releases')]
    expect(told(await project.deploy({ version: 'v1', environment: 'local' }))).toBe('no error')
    expect(told(await project.down({ history: true }, 'local'))).toBe('no error')
    expect(readFileSync(project.stateFile, 'utf8')).toBe(before)
    expect([project.releases(), folders(project, 'releases')]).toEqual([kept, names])
    expect(Object.keys(project.engine.state.tags)).toEqual(expect.arrayContaining(images))
  })

  test('removes the records of releases without bundles', async () => {
    const project = await twoReleases(temporary(newShop('history')))
    await project.down()
    for (const id of folders(project, 'releases'))
      Bun.spawnSync(['rm', '-r', join(project.folder, '.stagecraft/releases', id)])
    expect((await project.down()).error?.kind).toBe('not-found')
    expect(told(await project.down({ history: true }))).toBe('no error')
    expect(project.releases()).toEqual([])
    expect((await project.down({ history: true })).error?.kind).toBe('not-found')
  })
})

test('a down ends maintenance: the next deploy is not under it', async () => {
  const project = temporary(newRouted('maintained'))
  temporary(newNeighbour(project, 'blog.example.com'))
  await deployed(project)
  const { volume } = project.engine.state.proxy
  Object.assign(volume?.maintenance ?? {}, { shop: 'a page', blog: 'another' })
  const settings = await openSettings({ directory: project.folder, environment: undefined, stateOverride: undefined })
  const wish = { volumes: false, history: false }
  expect((await planDown(settings, wish, project.world()))[0]?.maintenance).toBe(true)
  expect(told(await project.down())).toBe('no error')
  expect(volume?.maintenance).toEqual({ blog: 'another' })
})

test('on several hosts everything is removed, and an unreachable host is finished later', async () => {
  const fleet = temporary(new FakeFleet('history'))
  fleet.write({ web: { image: 'web:1' } })
  const deploy = (version: string) => fleet.project.deploy({ version, environment: 'prod' })
  expect(told(await deploy('v1'))).toBe('no error')
  fleet.onCommand = (name, argv) => {
    if (name === 'b' && argv[1] === 'rm') fleet.lost.add('b')
  }
  const lost = await fleet.project.down({ history: true }, 'prod')
  expect([lost.error?.kind, fleet.project.releases().length]).toEqual(['unreachable', 1])
  fleet.onCommand = () => {}
  fleet.lost.clear()
  expect(told(await fleet.project.down({ history: true }, 'prod'))).toBe('no error')
  expect([fleet.project.releases(), fleet.view('a'), fleet.view('b'), fleet.view('c')]).toEqual([[], [], [], []])
  expect(told(await deploy('v2'))).toBe('no error')
})
