import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { bundleFolder } from '../../lib/record/bundle/ref.ts'
import { contentFolder, readBundle, writeBundle } from '../../lib/record/bundle.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { composeUp } from '../scenes/compose-up.ts'
import { histories } from '../scenes/prunable.ts'

const newHistory = histories()
const hash = (digit: string) => digit.repeat(32)

test('what another project of the engine calls the same stays', async () => {
  const history = newHistory(['completed', 'completed', 'completed'])
  const name = 'shop-web-api:v0' // of the service web-api of shop, or of api of shop-web
  const id = history.engine.addImage(name, 'image 0')
  const first = readBundle(history.state.file, history.ids[0] ?? '')
  if (first) writeBundle(history.state.file, { ...first, tags: [{ tag: name, id }] })
  const labels = { 'stagecraft.root': '/x', 'stagecraft.host': 'x' }
  history.engine.state.owners = { 'stagecraft-shop': labels, 'stagecraft-shop-web': labels }
  expect((await history.prune(0)).tags).not.toContain(name)
  expect(history.engine.state.tags[name]).toBe(id)
})

describe('prune()', () => {
  test('removes bundles and images, and keeps the history', async () => {
    const history = newHistory(['completed', 'completed', 'completed'])
    const before = history.state.listReleases()
    expect(await history.prune(1)).toEqual({ bundles: ['r0'], tags: ['shop-web:sc', 'shop-web:v0'], content: [] })
    expect(fs.existsSync(bundleFolder(history.state.file, history.ids[0] ?? ''))).toBe(false)
    expect(Object.values(history.engine.state.images).map(({ content }) => content)).toEqual(['image 1', 'image 2'])
    expect(history.state.listReleases()).toEqual(before)
  })

  test('does nothing the second time, and does not ask the engine', async () => {
    const history = newHistory(['completed', 'completed', 'completed'])
    await history.prune(0)
    history.engine.calls = []
    expect(await history.prune(0)).toEqual({ bundles: [], tags: [], content: [] })
    expect(history.engine.calls).toEqual([])
  })

  test('leaves a tag that has moved to another image since', async () => {
    const history = newHistory(['completed', 'completed'])
    const moved = history.engine.addImage('shop-web:v0', 'somebody built it')
    expect((await history.prune(0)).tags).toEqual(['shop-web:sc'])
    expect(history.engine.state.tags['shop-web:v0']).toBe(moved)
  })

  test('leaves a tag that a release that stays has as well', async () => {
    const same = { fate: 'completed', image: 'same', version: 'v1' } as const
    const history = newHistory([same, same, 'completed'])
    expect((await history.prune(1)).tags).toEqual([])
    expect((await history.prune(0)).tags).toEqual(['shop-web:sc', 'shop-web:v1'])
  })

  test('leaves a tag that a bundle of another environment names', async () => {
    const history = newHistory(['completed', { fate: 'completed', environment: 'staging' }, 'completed'])
    const [old = '', staging = ''] = history.ids
    const { images, tags = [] } = readBundle(history.state.file, old) ?? { images: {} }
    const bundle = readBundle(history.state.file, staging)
    // It promotes what prod built: compose_project is the same.
    if (bundle) writeBundle(history.state.file, { ...bundle, project: 'shop', images, tags })
    expect(await history.prune(0)).toEqual({ bundles: ['r0'], tags: [], content: [] })
    expect(tags).toHaveLength(1)
  })

  test('leaves what Stagecraft did not tag, and an image that a container uses', async () => {
    const history = newHistory(['completed', 'completed', 'completed'])
    const { engine } = history
    engine.addImage('mine:latest', 'image 0')
    engine.addImage('unused:1', 'unused')
    const model = composeModel('other', { services: { app: { image: 'shop-web:v1' } } })
    await composeUp(engine, model, ['app'])
    await history.prune(0)
    const contents = Object.values(engine.state.images).map(({ content }) => content)
    expect(contents).toEqual(['image 0', 'image 1', 'image 2', 'unused'])
    expect(engine.state.tags['mine:latest']).toBeDefined()
    expect(engine.view('other')).toEqual(['app of image 1 running on other_default'])
  })

  test('removes content with the last bundle that names it, of any environment', async () => {
    const [a, b, c] = [hash('a'), hash('b'), hash('c')]
    const history = newHistory([
      { fate: 'completed', hash: a },
      { fate: 'completed', hash: b },
      { fate: 'completed', hash: a },
      { fate: 'completed', environment: 'staging', hash: b },
      { fate: 'completed', hash: c },
    ])
    expect((await history.prune(1)).content).toEqual([])
    expect((await history.prune(0)).content).toEqual([a])
    expect(fs.readdirSync(contentFolder(history.state.file)).toSorted()).toEqual([b, c])
  })

  test('removes a read-only folder of content, and follows no link out of it', async () => {
    const history = newHistory(['completed'])
    const path = history.keep(hash('d'))
    fs.chmodSync(join(path, 'deep/file'), 0o400)
    fs.chmodSync(join(path, 'deep'), 0o500)
    fs.chmodSync(path, 0o555)
    fs.symlinkSync('/etc', join(history.keep(hash('e')), 'link'))
    expect((await history.prune(0)).content).toEqual([hash('d'), hash('e')])
    expect(fs.existsSync('/etc/passwd')).toBe(true)
  })

  test('leaves in the content folder what is not content', async () => {
    const history = newHistory(['completed'])
    history.keep('.tmp-1')
    history.keep('notes')
    expect((await history.prune(0)).content).toEqual([])
  })
})
