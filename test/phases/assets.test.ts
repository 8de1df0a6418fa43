import { describe, expect, test } from 'bun:test'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { type Application, deployed, newRouted, servicesOf, watched, write } from '../scenes/routed.ts'
import { loads } from '../scenes/routed-projects.ts'
import { told } from '../scenes/shop.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const expose = (more: string) => ({ web: `{expose: {host: shop.example.com, port: 3000, tls: off${more}}}` })
const ASSETS = { settings: expose(', assets: {path: /assets, folder: /app/public}') }
const NO_ASSETS = { settings: expose('') }

function project(application: Application = ASSETS): FakeProject {
  return temporary(newRouted('assets', application))
}

/** Releases a version, and expects it to succeed. */
async function release(shop: FakeProject, web: string, application: Application = ASSETS): Promise<Outcome> {
  write(shop, { ...application, web })
  return deployed(shop)
}

const assets = (shop: FakeProject) => shop.engine.proxy.assets('shop').answer
const warnings = ({ events }: Outcome) =>
  events.flatMap((event) => (event.type === 'warning' ? [event.message.replace(/\n.*/s, '')] : []))
/** Containers that only copy assets. */
const left = (shop: FakeProject) => shop.engine.state.compared
const COPIES = (argv: readonly string[]) => argv.includes('stagecraft-store')

describe('the assets of kept releases', () => {
  test('are served, the newest first, and no release loads a configuration because of them', async () => {
    const shop = project()
    await release(shop, 'web one')
    expect(assets(shop)).toEqual(['web one'])
    shop.engine.calls = []
    await release(shop, 'web two')
    await release(shop, 'web three')
    expect(assets(shop)).toEqual(['web three', 'web two', 'web one'])
    expect(loads(shop)).toEqual([])
    expect(left(shop)).toEqual({})
    await shop.rollback()
    expect(assets(shop)).toEqual(['web two', 'web three', 'web one'])
    expect(loads(shop)).toEqual([])
  })

  test('are there before the switch, with those of the live release', async () => {
    const shop = project()
    await release(shop, 'web one')
    const live = () => shop.engine.proxy.host.volume?.live['shop']?.join()
    const { seen } = await watched(
      shop,
      () => [live(), assets(shop)],
      () => release(shop, 'web two'),
    )
    expect(seen).toEqual([
      ['api.a,web.a', ['web one']],
      ['api.a,web.a', ['missing', 'web one']],
      ['api.a,web.a', ['web two', 'web one']],
      ['api.a,web.b', ['web two', 'web one']],
    ])
  })

  test('include those from before the setting, and are stored once for each image', async () => {
    const shop = project(NO_ASSETS)
    await release(shop, 'web one', NO_ASSETS)
    await release(shop, 'web two')
    expect(assets(shop)).toEqual(['web two', 'web one'])
    shop.engine.calls = []
    const labels = { web: { image: 'web:1', healthcheck: { test: ['CMD', 'true'] }, environment: { A: '1' } } }
    await release(shop, 'web two', { ...ASSETS, services: { ...labels, api: { image: 'api:1' } } })
    expect(assets(shop)).toEqual(['web two', 'web one'])
    expect(shop.engine.calls.filter(COPIES)).toEqual([])
  })

  test('are removed with their release, with the setting, and with the environment', async () => {
    const shop = project()
    const keep = { ...ASSETS, environment: 'keep: 1' }
    for (const web of ['web one', 'web two', 'web three']) await release(shop, web, keep)
    expect(shop.engine.proxy.assets('shop')).toEqual({
      answer: ['web three', 'web two'],
      there: ['web three', 'web two'],
    })
    await release(shop, 'web four', NO_ASSETS)
    expect(shop.engine.proxy.host.volume?.assets).toEqual({})
    await release(shop, 'web five')
    expect(assets(shop)).toEqual(['web five', 'web four'])
    expect(told(await shop.down())).toBe('no error')
    expect(shop.engine.proxy.host.volume?.assets).toEqual({})
    await release(shop, 'web six')
    expect(assets(shop)).toEqual(['web six'])
  })

  test('are kept for ten releases at most', async () => {
    const shop = project()
    for (let number = 1; number <= 12; number++)
      await release(shop, `web ${number}`, { ...ASSETS, environment: 'keep: 30' })
    expect(assets(shop)).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3].map((number) => `web ${number}`))
    expect(shop.engine.proxy.assets('shop').there).toHaveLength(10)
  })

  test('are restored if the proxy has lost its volume', async () => {
    const shop = project()
    await release(shop, 'web one')
    await release(shop, 'web two')
    Object.assign(shop.engine.proxy.host, { boxes: [], loaded: undefined, volume: undefined })
    await deployed(shop)
    expect(assets(shop)).toEqual(['web two', 'web one'])
  })

  test('are kept if a release is undone', async () => {
    const shop = project()
    await release(shop, 'web one')
    write(shop, { ...ASSETS, web: 'sick web' })
    expect((await shop.deploy()).error?.kind).toBe('failed')
    expect(assets(shop)).toContain('web one')
    await release(shop, 'web two')
    expect(shop.engine.proxy.assets('shop').there).toEqual(['web one', 'web two'])
  })
})

test('the assets of a service that loses the setting are kept until the switch', async () => {
  const services = servicesOf({ docs: { image: 'web:1', healthcheck: { test: ['CMD', 'true'] } } })
  const docs = (more: string) => `{expose: {host: docs.example.com, port: 3000, tls: off${more}}}`
  const both = { services, settings: { ...ASSETS.settings, docs: docs(', assets: {path: /, folder: /docs}') } }
  const one = { services, settings: { ...ASSETS.settings, docs: docs('') } }
  const shop = project(both)
  await release(shop, 'web one', both)
  const ofDocs = () => shop.engine.proxy.assets('shop', 'docs').answer
  write(shop, { ...one, web: 'sick web' })
  expect((await shop.deploy()).error?.kind).toBe('failed')
  expect(ofDocs()).toEqual(['web one'])
  await release(shop, 'web two', one)
  expect([assets(shop), ofDocs()]).toEqual([['web two', 'web one'], []])
})

test('a prune and a deploy continue without a proxy', async () => {
  const shop = project()
  await release(shop, 'web one')
  write(shop, { ...ASSETS, web: 'web two' })
  const gone = {
    damage: 'none',
    result: { code: 1, stderr: 'Error response from daemon: No such container: x' },
  } as const
  shop.engine.intercept = (argv) => (argv.includes('stagecraft-link') ? gone : undefined)
  const outcome = await shop.deploy()
  expect([told(outcome), warnings(outcome)]).toEqual([
    'no error',
    ['the assets of this release are not kept: the proxy is not running'],
  ])
})

test('the plan shows a change of the setting; the next release changes nothing about it', async () => {
  const shop = project(NO_ASSETS)
  await release(shop, 'web one', NO_ASSETS)
  write(shop, ASSETS)
  const route = async () => (await shop.plan()).routes.find(({ service }) => service === 'web')
  expect(await route()).toMatchObject({ action: 'change', route: 'http://shop.example.com (rules: assets)' })
  await release(shop, 'web one')
  write(shop, { ...ASSETS, web: 'web two' })
  expect(await route()).toMatchObject({ action: 'keep' })
  await release(shop, 'web two')
  write(shop, NO_ASSETS)
  expect(await route()).toMatchObject({ action: 'change', route: 'http://shop.example.com (rules: none)' })
})

describe('assets that cannot be kept are a warning, and the release continues', () => {
  const failing = {
    'no such folder': [66, 'its image has no files in /app/public'],
    'too large': [67, '/app/public has more than 256 MiB, or more than 20000 files and folders'],
    'a full disk': [1, 'No space left on device'],
  } as const
  test.each(Object.entries(failing))('%s', async (_, [code, why]) => {
    const shop = project()
    await release(shop, 'web one')
    shop.engine.proxy.stores = () => ({ code, stderr: 'cp: …\nNo space left on device\n' })
    const outcome = await release(shop, 'web two')
    expect(warnings(outcome)).toEqual([`the assets of web are not kept: ${why}`])
    expect(left(shop)).toEqual({})
    shop.engine.proxy.stores = () => ({})
    const again = await deployed(shop)
    expect(warnings(again)).toEqual([])
    // What would fail in the same way is not tried again.
    expect(assets(shop)).toEqual([code === 1 ? 'web two' : 'nothing', 'web one'])
  })

  test('a proxy whose disk is full', async () => {
    const shop = project()
    await release(shop, 'web one')
    write(shop, { ...ASSETS, web: 'web two' })
    const stderr = "mkdir: can't create directory: No space left on device"
    shop.engine.intercept = (argv) =>
      argv.includes('stagecraft-link') ? { damage: 'none', result: { code: 1, stderr } } : undefined
    const outcome = await shop.deploy()
    expect([told(outcome), assets(shop)]).toEqual(['no error', ['web one']])
    expect(warnings(outcome)).toEqual([
      'the assets of this release are not kept: Cannot change which assets the proxy has: docker exec exited with 1',
      'Cannot change which assets the proxy has: docker exec exited with 1',
    ])
  })

  test('a missing image: nothing is reported for the previous release', async () => {
    const shop = project()
    await release(shop, 'web one')
    const { image } = { image: shop.engine.state.tags['web:1'] ?? '' }
    await release(shop, 'web two')
    Object.assign(shop.engine.proxy.host.volume ?? {}, { assets: {} })
    delete shop.engine.state.images[image]
    const outcome = await deployed(shop)
    expect([warnings(outcome), assets(shop)]).toEqual([[], ['web two', 'missing']])
  })
})

test.each(['none', 'all'] as const)(
  'a run that dies while it copies leaves nothing for the next one to clean up (%s done)',
  async (damage) => {
    const shop = project()
    await release(shop, 'web one')
    write(shop, { ...ASSETS, web: 'web two' })
    expect(await shop.dieAt(COPIES, damage, () => shop.deploy())).toBe(true)
    expect(Object.keys(left(shop))).toEqual(['stagecraft-assets-from-shop'])
    await release(shop, 'web three')
    expect([left(shop), shop.engine.proxy.assets('shop').there]).toEqual([{}, ['web one', 'web three']])
  },
)
