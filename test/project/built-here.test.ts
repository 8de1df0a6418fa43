import { expect, test } from 'bun:test'
import { openDocker } from '../../lib/docker/client.ts'
import { inspectImages } from '../../lib/docker/image-store.ts'
import { markBuilt, pruneBuilt } from '../../lib/project/built-here.ts'
import { FakeEngine } from '../fakes/engine.ts'

const [PROD, STAGING] = ['11111111', '22222222'] as const

/** An engine on which several environments have built; `build` gives one an image by a version's tag. */
function builder() {
  const engine = new FakeEngine()
  const docker = openDocker(engine.exec, (text) => text)
  const build = async (mark: string, version: string, content = version) => {
    const versionTag = `shop-web:${version}`
    const id = engine.addImage(versionTag, content)
    const images = await inspectImages(docker, [versionTag])
    await markBuilt(docker, mark, [{ service: 'web', versionTag }], [images])
    return { tag: versionTag, id }
  }
  const prune = (mark: string, tags: { tag: string; id: string }[], named: string[] = []) =>
    pruneBuilt(docker, { bundles: [], tags, named: new Set(named), project: 'shop' }, mark)
  const tags = () =>
    Object.keys(engine.state.tags)
      .toSorted()
      .map((tag) => tag.replace(/sc-[0-9a-f]{12}/, 'sc'))
  return { engine, build, prune, tags }
}

test('what an environment built goes with the last release that needs it', async () => {
  const { build, prune, tags } = builder()
  const one = await build(PROD, 'v1')
  const two = await build(PROD, 'v2')
  await prune(PROD, [one], [two.tag])
  expect(tags()).toEqual(['shop-web:sc-11111111', 'shop-web:v2'])
})

test('what another environment needs stays, until that needs it no more either', async () => {
  const { build, prune, tags } = builder()
  const prod = await build(PROD, 'v1')
  await build(STAGING, 'v1')
  await prune(PROD, [prod])
  expect(tags()).toEqual(['shop-web:sc-22222222', 'shop-web:v1'])
  await prune(STAGING, [prod])
  expect(tags()).toEqual([])
})

test('what an environment of this engine runs stays, and what has no mark', async () => {
  const { engine, build, prune, tags } = builder()
  const one = await build(PROD, 'v1')
  engine.state.tags[`shop-web:sc-${one.id.slice(7, 19)}`] = one.id
  const old = { tag: 'shop-web:v0', id: engine.addImage('shop-web:v0', 'v0') }
  await prune(PROD, [one, old])
  expect(tags()).toEqual(['shop-web:sc', 'shop-web:v0', 'shop-web:v1'])
})

test('one image of two versions stays for the one that stays', async () => {
  const { build, prune, tags } = builder()
  const one = await build(PROD, 'v1', 'same')
  const two = await build(PROD, 'v2', 'same')
  await prune(PROD, [one], [two.tag])
  expect(tags()).toEqual(['shop-web:sc-11111111', 'shop-web:v2'])
})
