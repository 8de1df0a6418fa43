import { describe, expect, test } from 'bun:test'
import type { ComposeModel } from '../../lib/compose/model.ts'
import type { Image } from '../../lib/docker/client.ts'
import { buildModel, buildTargets, imagesToPull, modelImages } from '../../lib/docker/images.ts'
import { isForPlatform, platformName } from '../../lib/docker/platforms.ts'
import { StagecraftError } from '../../lib/util/errors.ts'

const image = (platform: string): Image => ({
  ...{ id: 'sha256:1', tags: [], digests: [], layers: [], config: {} },
  platform,
})

function pulls(services: ComposeModel['services'], present: Record<string, string>) {
  const model = { name: 'shop', services }
  const images = new Map(Object.entries(present).map(([name, platform]) => [name, image(platform)]))
  return imagesToPull(model, modelImages(model, 'v1'), images)
}

test.each([
  ['arm64', 'linux/arm64'],
  ['linux/arm64/v8', 'linux/arm64'],
  ['linux/aarch64', 'linux/arm64'],
  ['linux/x86_64', 'linux/amd64'],
  ['LINUX/AMD64', 'linux/amd64'],
  ['linux/arm', 'linux/arm/v7'],
  ['linux/arm/v6', 'linux/arm/v6'],
  ['windows/amd64', 'windows/amd64'],
  ['linux', 'linux'],
])('platformName() of %s is %s', (text, name) => {
  expect(platformName(text)).toBe(name)
})

test('isForPlatform() compares what is meant, and a system alone says nothing of the architecture', () => {
  expect(isForPlatform(image('linux/arm64/v8'), 'linux/arm64')).toBe(true)
  expect(isForPlatform(image('linux/amd64'), 'linux/arm64')).toBe(false)
  expect(isForPlatform(image('linux/amd64'), 'linux')).toBe(true)
  expect(isForPlatform(image('linux/amd64'), undefined)).toBe(true)
})

describe('imagesToPull()', () => {
  test('pulls for the platform of the service, also where the engine has the image for another one', () => {
    expect(pulls({ db: { image: 'db', platform: 'linux/arm64' } }, {})).toEqual([
      { name: 'db', platform: 'linux/arm64' },
    ])
    expect(pulls({ db: { image: 'db', platform: 'linux/arm64' } }, { db: 'linux/amd64' })).toHaveLength(1)
    expect(pulls({ db: { image: 'db', platform: 'linux/arm64' } }, { db: 'linux/arm64/v8' })).toEqual([])
    expect(pulls({ db: { image: 'db' } }, { db: 'linux/arm64' })).toEqual([])
  })

  test('refuses one image for two platforms, and takes one platform by two names', () => {
    const two = (other: string) =>
      pulls({ a: { image: 'x', platform: 'linux/amd64' }, b: { image: 'x', platform: other } }, {})
    expect(two('amd64')).toHaveLength(1)
    expect(() => two('linux/arm64')).toThrow(
      new StagecraftError('config', 'Cannot use x for two platforms: a wants linux/amd64, b wants linux/arm64'),
    )
  })
})

test('buildModel() builds for one platform, as docker compose up does', () => {
  const built = (platforms: readonly string[], platform?: string) => {
    const web = { build: { context: '/', platforms }, ...(platform ? { platform } : {}) }
    const model = { name: 'shop', services: { web } }
    return buildModel(model, buildTargets(model, 'v1')).services['web']?.build?.platforms
  }
  expect(built(['linux/amd64', 'linux/arm64'])).toBeUndefined()
  expect(built(['linux/amd64', 'linux/arm64'], 'linux/arm64')).toEqual(['linux/arm64'])
  expect(built(['linux/arm64'])).toEqual(['linux/arm64'])
  expect(built(['linux/amd64', 'linux/arm64'], 'linux/s390x')).toEqual(['linux/amd64', 'linux/arm64'])
})
