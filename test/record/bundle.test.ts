import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { bundleFolder, isSameModel, modelFile } from '../../lib/record/bundle/ref.ts'
import {
  appendEvent,
  type Bundle,
  contentFolder,
  findLive,
  readBundle,
  readModel,
  withModel,
  writeBundle,
  writeModel,
} from '../../lib/record/bundle.ts'
import { openState } from '../../lib/record/releases.ts'
import { previousOf } from '../../lib/record/rollback-target.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { expectGolden } from '../support/golden.ts'

let root = ''
let file = ''
beforeEach(() => {
  root = fs.mkdtempSync(join(tmpdir(), 'stagecraft-bundle-'))
  file = join(root, '.stagecraft/releases.json')
})
afterEach(() => fs.rmSync(root, { recursive: true }))

const bundle = (id: string, more: Partial<Bundle> = {}): Bundle => ({
  v: 1,
  id,
  environment: 'local',
  version: 'v1',
  commit_sha: '',
  project: 'shop',
  phases: {},
  images: {},
  topology: { order: [], needs: {}, jobs: [] },
  content: [],
  config_hashes: {},
  ...more,
})
const MODEL = { name: 'shop', services: { web: { environment: { A: '$b' } } } }

/** Releases made one after the other; those that are true have a commit point. @returns their ids, oldest first */
function releases(...switched: boolean[]) {
  const state = openState(file, { clock: () => 0 })
  const ids = switched.map((serves, index) => {
    const { id } = state.createRelease({ environment: 'local', version: `v${index}`, commit_sha: '' })
    writeBundle(file, bundle(id, serves ? { switched_at: '2026-11-22T08:00:00.000Z' } : {}))
    writeModel(file, id, MODEL)
    return id
  })
  return { ids, serving: () => findLive(file, state.listReleases({ environment: 'local' })) }
}

function refusal(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof StagecraftError) return `${error.kind}: ${error.message}`.replaceAll(root, '.')
    throw error
  }
  return 'fine'
}

describe('a bundle', () => {
  test('is next to the state, wherever that is', () => {
    expect([bundleFolder('/s/x.json', 'rel-1'), contentFolder('/s/x.json'), modelFile('/s/x.json', 'rel-1')]).toEqual([
      '/s/releases/rel-1',
      '/s/content',
      '/s/releases/rel-1/compose.json',
    ])
  })

  test('is read as it was written, and is its owner’s alone', () => {
    const written = bundle('rel-1', { error: { message: 'm', hint: 'h' } })
    writeBundle(file, written)
    writeModel(file, 'rel-1', MODEL)
    expect(readBundle(file, 'rel-1')).toEqual(written)
    const mode = (path: string) => (fs.statSync(path).mode & 0o777).toString(8)
    const folder = bundleFolder(file, 'rel-1')
    expect([folder, join(folder, 'release.json'), modelFile(file, 'rel-1')].map(mode)).toEqual(['700', '600', '600'])
    expect(fs.readFileSync(modelFile(file, 'rel-1'), 'utf8')).toContain('"$$b"')
    expect(readBundle(file, 'rel-2')).toBeUndefined()
  })

  test.each<[string, string, string]>([
    ['half a file', '{"v": 1,', 'it is not JSON'],
    ['another format', '{"v": 2}', 'it is not a file of this version of Stagecraft'],
    ['a list', '[]', 'it is not a file of this version of Stagecraft'],
    ['nothing', 'null', 'it is not a file of this version of Stagecraft'],
  ])('that is %s is a state error', (_, text, why) => {
    fs.mkdirSync(bundleFolder(file, 'rel-1'), { recursive: true })
    fs.writeFileSync(join(bundleFolder(file, 'rel-1'), 'release.json'), text)
    expect(refusal(() => readBundle(file, 'rel-1'))).toBe(
      `state: Cannot read ./.stagecraft/releases/rel-1/release.json: ${why}`,
    )
  })

  test('that is a folder is a state error', () => {
    fs.mkdirSync(join(bundleFolder(file, 'rel-1'), 'release.json'), { recursive: true })
    expect(refusal(() => readBundle(file, 'rel-1'))).toEndWith('release.json: EISDIR')
  })
})

describe('withModel()', () => {
  test('is the bundle with its model, and nothing without one', () => {
    const written = bundle('rel-1')
    writeBundle(file, written)
    expect(withModel(file, written)).toBeUndefined()
    writeModel(file, 'rel-1', MODEL)
    expect(withModel(file, written)).toEqual({ bundle: written, model: MODEL, modelFile: modelFile(file, 'rel-1') })
  })
})

describe('appendEvent()', () => {
  test('adds a line with the time, for the owner alone', () => {
    writeBundle(file, bundle('rel-1'))
    appendEvent(file, 'rel-1', Date.UTC(2026, 10, 22, 8), { type: 'a' })
    appendEvent(file, 'rel-1', Date.UTC(2026, 10, 22, 9), { type: 'b', text: 'two\nlines' })
    const path = join(bundleFolder(file, 'rel-1'), 'events.jsonl')
    expect(fs.readFileSync(path, 'utf8')).toBe(
      '{"at":"2026-11-22T08:00:00.000Z","event":{"type":"a"}}\n' +
        '{"at":"2026-11-22T09:00:00.000Z","event":{"type":"b","text":"two\\nlines"}}\n',
    )
    expect((fs.statSync(path).mode & 0o777).toString(8)).toBe('600')
  })

  test('fails where the release has no folder: its caller keeps the event', () => {
    expect(() => appendEvent(file, 'rel-1', 0, {})).toThrow('ENOENT')
  })
})

describe('previousOf()', () => {
  test.each<[string, Record<string, Partial<Bundle>>, string | undefined]>([
    ['nothing before the first', { c: {} }, undefined],
    ['what was live before', { b: {}, c: { served_before: 'b' } }, 'b'],
    ['what was live before, although its bundle is gone', { c: { served_before: 'b' } }, 'b'],
    [
      'of a rollback what was live before its target',
      { b: { served_before: 'a' }, c: { served_before: 'b1', rollback_to: 'b' } },
      'a',
    ],
    [
      'of a rollback to a rollback the same, once more',
      {
        b: { served_before: 'a' },
        b2: { served_before: 'b1', rollback_to: 'b' },
        c: { served_before: 'b3', rollback_to: 'b2' },
      },
      'a',
    ],
    ['nothing where the target of the rollback is gone', { c: { served_before: 'b1', rollback_to: 'b' } }, undefined],
  ])('is %s', (_, bundles, previous) => {
    for (const [id, more] of Object.entries(bundles)) writeBundle(file, bundle(id, more))
    expect(previousOf(file, bundle('c', bundles['c']))).toBe(previous)
  })
})

describe('what somebody has changed', () => {
  const id = 'rel-20261122-080225643'
  const change = (model: object) => {
    writeModel(file, id, MODEL)
    fs.writeFileSync(modelFile(file, id), JSON.stringify(model))
    return refusal(() => readModel(file, id)).replaceAll(root, '/srv/shop')
  }

  test('in a model is reported with its place, and nothing is done by it', () => {
    writeModel(file, id, MODEL)
    expect(readModel(file, id)).toEqual(MODEL)
    fs.writeFileSync(
      modelFile(file, id),
      JSON.stringify({ ...MODEL, services: { web: { env_file: ['/etc/passwd'] } } }),
    )
    try {
      readModel(file, id)
      throw new Error('it was read')
    } catch (error) {
      const { kind, message, hint } = error as StagecraftError
      expect(kind).toBe('state')
      const shown = `${message}\n  hint: ${hint}`.replaceAll(root, '/srv/shop')
      expectGolden('core/bundle.md', 'changed-model', shown)
    }
    expect(change({ name: 'shop', services: { web: { command: ['$HOME'] } } })).toContain('a $ that is not doubled')
  })

  test('in a model of what was adopted, too, but its files may be where they are', () => {
    const adopted = `${id}/adopted`
    writeModel(file, adopted, { ...MODEL, configs: { a: { file: '/srv/app/a.conf' } } })
    expect(readModel(file, adopted)?.configs).toEqual({ a: { file: '/srv/app/a.conf' } })
    writeModel(file, adopted, { ...MODEL, configs: { a: { environment: 'TOKEN' } } })
    expect(refusal(() => readModel(file, adopted))).toContain('configs.a.environment is not allowed in a release')
    writeModel(file, id, { ...MODEL, configs: { a: { file: '/srv/app/a.conf' } } })
    expect(refusal(() => readModel(file, id))).toContain('configs.a.file points outside')
  })

  test('in a bundle is reported with its place', () => {
    writeBundle(file, bundle(id))
    const path = join(bundleFolder(file, id), 'release.json')
    fs.writeFileSync(
      path,
      fs.readFileSync(path, 'utf8').replace('"content": []', '"content": [{"name":"x","hash":"../x"}]'),
    )
    expect(refusal(() => readBundle(file, id))).toContain('release.json: content[0].hash is not the hash of a file')
  })
})

describe('findServing()', () => {
  test('is the newest release with a commit point, whatever became of later ones', () => {
    const { ids, serving } = releases(true, true, false)
    expect(serving()).toEqual({
      bundle: bundle(ids[1] ?? '', { switched_at: '2026-11-22T08:00:00.000Z' }),
      model: MODEL,
      modelFile: modelFile(file, ids[1] ?? ''),
    })
  })

  test('is none where none has one', () => {
    expect(releases(false, false).serving()).toBeUndefined()
    expect(findLive(file, [])).toBeUndefined()
  })

  test('passes over releases without a bundle', () => {
    const { ids, serving } = releases(true, true)
    fs.rmSync(bundleFolder(file, ids[1] ?? ''), { recursive: true })
    expect(serving()?.bundle.id).toBe(ids[0] ?? '')
  })

  test('does not guess where its model is gone or broken', () => {
    const { ids, serving } = releases(true)
    const path = modelFile(file, ids[0] ?? '')
    fs.writeFileSync(path, '{"name": "shop"}')
    expect(refusal(serving)).toEndWith('compose.json: it is not a file of this version of Stagecraft')
    fs.rmSync(path)
    expect(refusal(serving)).toEndWith(`compose.json: it does not exist, but the live release (${ids[0]}) needs it`)
    expect(fs.existsSync(dirname(path))).toBe(true)
  })
})

test('isSameModel() distinguishes models by the release, not by where a copy of the bundles is', () => {
  const at = (folder: string, id: string) => modelFile(join(folder, 'releases.json'), id)
  expect(isSameModel(at('/tmp/copy-1/state', 'r1'), at('/tmp/copy-2/state', 'r1'))).toBe(true)
  expect(isSameModel(at('/tmp/releases/state', 'r1'), at('/tmp/releases/state', 'r2'))).toBe(false)
  expect(isSameModel(at('/x', 'r1'), at('/x', 'r1/adopted'))).toBe(false)
  expect(isSameModel('/home/ana/compose.yaml', at('/x', 'r1'))).toBe(false)
  expect(isSameModel(at('/x', 'r1'), undefined)).toBe(false)
})
