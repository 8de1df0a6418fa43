import { describe, expect, test } from 'bun:test'
import type { ComposeModel } from '../../lib/compose/model.ts'
import { type Image, openDocker } from '../../lib/docker/client.ts'
import {
  buildModel,
  buildTargets,
  contentTag,
  fingerprint,
  imageRepository,
  imagesToPull,
  keepImages,
  modelImages,
  releasedImage,
} from '../../lib/docker/images.ts'
import { FakeEngine } from '../fakes/engine.ts'

const build = { context: '/app' }
const MODEL: ComposeModel = {
  name: 'shop',
  services: {
    web: { build, image: 'acme/web:latest' },
    my_worker: {
      build: { context: '/w', tags: ['own:tag'], args: { A: 'b' } },
      platform: 'linux/arm64',
      image: 'acme/worker',
    },
    api: { build },
    cron: { image: 'acme/web:latest' },
    db: { image: 'postgres:16' },
  },
  networks: { default: { name: 'n' } },
}
const targets = buildTargets(MODEL, 'v1')

function image(more: Partial<Image> = {}): Image {
  return {
    id: `sha256:${'a'.repeat(64)}`,
    tags: [],
    digests: [],
    layers: ['l1', 'l2'],
    platform: 'linux/amd64',
    config: { Cmd: ['x'] },
    ...more,
  }
}

describe('what is built', () => {
  test('buildTargets() are the services with build:, in order, tagged with the version', () => {
    expect(targets).toEqual([
      { service: 'api', versionTag: 'shop-api:v1' },
      { service: 'my_worker', versionTag: 'shop-my_worker:v1' },
      { service: 'web', versionTag: 'shop-web:v1' },
    ])
    expect([
      imageRepository('shop', 'My_App'),
      imageRepository('shop', 'my_app'),
      imageRepository('shop', 'a__-b'),
    ]).toEqual([
      expect.stringMatching(/^shop-my-app-[0-9a-f]{8}$/),
      'shop-my_app',
      expect.stringMatching(/^shop-a-b-[0-9a-f]{8}$/),
    ])
  })

  test('buildModel() keeps the user’s own names and adds the version’s', () => {
    expect(buildModel(MODEL, targets)).toEqual({
      ...MODEL,
      services: {
        my_worker: {
          image: 'acme/worker',
          platform: 'linux/arm64',
          build: { context: '/w', args: { A: 'b' }, tags: ['own:tag', 'shop-my_worker:v1'] },
        },
        api: { image: 'shop-api:v1', build },
        web: { image: 'acme/web:latest', build: { ...build, tags: ['shop-web:v1'] } },
      },
    })
  })

  test('modelImages() gives a service what another one builds, and leaves it its own', () => {
    expect(Object.fromEntries(modelImages(MODEL, 'v1').names)).toEqual({
      web: 'shop-web:v1',
      my_worker: 'shop-my_worker:v1',
      api: 'shop-api:v1',
      cron: 'shop-web:v1',
      db: 'postgres:16',
    })
  })
})

describe('imagesToPull()', () => {
  const model: ComposeModel = {
    name: 'shop',
    services: {
      there: { image: 'there' },
      missing: { image: 'missing' },
      again: { image: 'missing' },
      always: { image: 'always', pull_policy: 'always' },
      never: { image: 'never', pull_policy: 'never' },
      built: { build },
    },
  }

  test('are those that are missing, and those that are always pulled', () => {
    const present = new Map([
      ['there', image()],
      ['always', image()],
    ])
    expect(imagesToPull(model, modelImages(model, 'v1'), present)).toEqual([
      { name: 'always', platform: undefined },
      { name: 'missing', platform: undefined },
    ])
  })
})

describe('releasedImage()', () => {
  const facts = { name: 'registry.example.com:5000/postgres:16', project: 'shop', service: 'db', built: false }
  const digest = `registry.example.com:5000/postgres@sha256:${'d'.repeat(64)}`

  test('pins what was pulled by its digest, in its own repository', () => {
    expect(releasedImage(image({ digests: ['other@sha256:1', digest] }), facts)).toEqual({
      name: facts.name,
      reference: digest,
      id: image().id,
      fingerprint: fingerprint(image()),
      built: false,
      volumes: false,
    })
    const bare = { ...facts, name: digest }
    expect(releasedImage(image({ digests: [digest] }), bare).reference).toBe(digest)
  })

  test('calls by its content what was built or has no digest', () => {
    const tag = `shop-db:sc-${'a'.repeat(12)}`
    expect(contentTag('shop', 'db', image().id)).toBe(tag)
    expect(releasedImage(image(), facts).reference).toBe(tag)
    expect(releasedImage(image({ digests: [digest] }), { ...facts, built: true }).reference).toBe(tag)
  })

  test('notes that its containers hold data', () => {
    expect(releasedImage(image({ config: { Volumes: { '/data': {} } } }), facts).volumes).toBe(true)
  })
})

describe('fingerprint()', () => {
  const labelled = (labels: Record<string, string>) => image({ config: { Cmd: ['x'], Labels: labels } })

  test.each<[string, Image]>([
    ['another id', image({ id: 'sha256:other' })],
    ['tags and digests', image({ tags: ['a'], digests: ['b'] })],
    ['the labels of Compose', labelled({ 'com.docker.compose.version': '2', 'com.docker.compose.project': 'p' })],
    [
      'fields of legacy builders',
      image({ config: { Cmd: ['x'], Hostname: 'h', Image: 'sha256:i', Domainname: '', ContainerConfig: {} } }),
    ],
    ['what says nothing', image({ config: { Cmd: ['x'], Volumes: null, Labels: null } })],
  ])('does not see %s', (_, other) => {
    expect(fingerprint(other)).toBe(fingerprint(image()))
  })

  test.each<[string, Image]>([
    ['other layers', image({ layers: ['l1', 'l3'] })],
    ['the order of layers', image({ layers: ['l2', 'l1'] })],
    ['another command', image({ config: { Cmd: ['y'] } })],
    ['another platform', image({ platform: 'linux/arm64' })],
    ['a label of the user', labelled({ owner: 'me' })],
  ])('sees %s', (_, other) => {
    expect(fingerprint(other)).not.toBe(fingerprint(image()))
  })
})

describe('keepImages()', () => {
  test('gives every image its content tag, once', async () => {
    const engine = new FakeEngine()
    const docker = openDocker(engine.exec, (text) => text)
    const id = engine.addImage('web:latest', 'content')
    const released = { web: { name: 'web', reference: 'r', id, fingerprint: 'f', built: true, volumes: false } }
    const tag = contentTag('shop', 'web', id)
    await keepImages(docker, 'shop', released)
    await keepImages(docker, 'shop', released)
    expect(engine.changes()).toEqual([`docker tag ${id} ${tag}`])
    expect(engine.state.tags[tag]).toBe(id)
  })
})
