import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import type { LiveRelease } from '../../lib/record/bundle.ts'
import { diffReleases } from '../../lib/record/release-diff.ts'

type Content = Readonly<Record<string, string>>

/** A release of these services; the image of each is what its `image:` says. */
function release(services: Record<string, Service>, content: Content = {}): LiveRelease {
  const images = Object.entries(services).map(([service, { image = '' }]) => [
    service,
    { name: image, reference: image, id: `sha256:${image}`, fingerprint: image, built: false, volumes: false },
  ])
  const bundle = {
    ...{ v: 1 as const, id: 'rel-1', environment: 'local', version: 'v1', commit_sha: '', project: 'shop', phases: {} },
    images: Object.fromEntries(images),
    topology: { order: [], needs: {}, jobs: [] },
    content: Object.entries(content).map(([name, hash]) => ({ name, hash })),
    config_hashes: {},
  }
  return { bundle, model: { name: 'shop', services }, modelFile: '/nowhere' }
}

/** The differences in lines. */
function diff(before: LiveRelease, after: LiveRelease): string[] {
  const { services, content } = diffReleases(before, after)
  return [
    ...services.map(({ service, change, what }) => [service, change, ...what].join(' ')),
    ...content.map(({ name, change }) => `${name} ${change}`),
  ]
}

describe('diffReleases()', () => {
  test('is empty for a release and itself', () => {
    const one = release({ web: { image: 'a', environment: { A: '1' } } }, { './x': 'h' })
    expect(diffReleases(one, one)).toEqual({ services: [], content: [] })
  })

  test('names services that came and went, in order', () => {
    const [before, after] = [
      { b: { image: 'a' }, c: { image: 'a' } },
      { a: { image: 'a' }, c: { image: 'a' } },
    ]
    expect(diff(release(before), release(after))).toEqual(['a added', 'b removed'])
    expect(diff(release(after), release(before))).toEqual(['a removed', 'b added'])
  })

  test('identifies an image by its content, not by its name', () => {
    const before = release({ web: { image: 'a' } })
    const renamed = { ...before, model: { name: 'shop', services: { web: { image: 'sc-1' } } } }
    expect(diff(before, renamed)).toEqual([])
    expect(diff(before, release({ web: { image: 'b' } }))).toEqual(['web changed image changed'])
  })

  test('names variables of the environment that came, went or changed, and says no value', () => {
    const before = release({ web: { environment: { GONE: 'secret-1', SAME: '1', OTHER: 'secret-2', NULL: null } } })
    const after = release({ web: { environment: { NEW: 'secret-3', SAME: '1', OTHER: 'secret-4', NULL: '' } } })
    expect(diff(before, after)).toEqual(['web changed environment changed (GONE, NEW, NULL, OTHER)'])
    expect(JSON.stringify(diffReleases(before, after))).not.toContain('secret')
  })

  test('names every key that is different', () => {
    const before = release({ web: { image: 'a', command: ['a'], ports: [{ target: 80, published: '80' }] } })
    const after = release({ web: { image: 'a', command: ['b'], ports: [{ target: 80, published: '81' }] } })
    expect(diff(before, after)).toEqual(['web changed command changed ports changed'])
  })

  test('names another number of replicas', () => {
    const scaled = (replicas: number) => release({ web: { image: 'a', deploy: { replicas } } })
    expect(diff(scaled(1), scaled(3))).toEqual(['web changed replicas changed (1 to 3)'])
    expect(diff(release({ web: { image: 'a' } }), scaled(1))).toEqual([])
    expect(diff(release({ web: { image: 'a', scale: 2 } }), scaled(2))).toEqual([])
  })

  test('names content files that came, went or changed, and the service that has them', () => {
    const hashes = ['a'.repeat(32), 'b'.repeat(32)] as const
    const mounted = (hash: string): Service => ({
      volumes: [{ type: 'bind', source: `/content/${hash}`, target: '/x', read_only: true }],
    })
    const before = release({ web: mounted(hashes[0]) }, { './x': hashes[0], './gone': 'c' })
    const after = release({ web: mounted(hashes[1]) }, { './x': hashes[1], './new': 'd' })
    expect(diff(before, after)).toEqual([
      'web changed content of ./x changed',
      './gone removed',
      './new added',
      './x changed',
    ])
  })
})
