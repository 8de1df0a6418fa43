import { describe, expect, test } from 'bun:test'
import { type Fate, histories } from '../scenes/prunable.ts'

const newHistory = histories()

describe('what stays', () => {
  const five: Fate[] = ['completed', 'completed', 'completed', 'completed', 'completed']

  test.each<[number, string[]]>([
    [0, ['r0', 'r1', 'r2', 'r3']],
    [1, ['r0', 'r1', 'r2']],
    [3, ['r0']],
    [4, []],
    [99, []],
  ])('with keep: %d, of five completed releases of which the last serves, without %p', (keep, gone) => {
    expect(newHistory(five).plan(keep).bundles).toEqual(gone)
  })

  test.each<[number, string[]]>([
    [0, ['r0', 'r1', 'r2']],
    [1, ['r0', 'r1', 'r2']],
    [2, ['r0', 'r1']],
    [3, ['r0']],
  ])('with keep: %d, while the last one is in its finalize phase, without %p', (keep, gone) => {
    // The current one besides: it is what a rollback goes to should the last one fail yet.
    const history = newHistory([...five.slice(1), { fate: 'running' }])
    expect(history.plan(keep).bundles).toEqual(gone)
  })

  test('failed releases count for nothing, and keep their bundle as long as an older one stays', () => {
    const history = newHistory(['completed', 'failed', 'completed', 'failed', 'completed', 'failed'])
    const { bundles, tags } = history.plan(1)
    expect(bundles).toEqual(['r0', 'r1'])
    // None of the failed ones is a target: their images go.
    expect(tags.filter((tag) => !tag.endsWith(':sc'))).toEqual([
      'shop-web:v0',
      'shop-web:v1',
      'shop-web:v3',
      'shop-web:v5',
    ])
  })

  test('a release that is live without being completed stays, and so does the current one', () => {
    const history = newHistory(['completed', 'completed', 'served', 'failed'])
    expect(history.plan(0)).toEqual({
      bundles: ['r0'],
      tags: ['shop-web:sc', 'shop-web:sc', 'shop-web:v0', 'shop-web:v3'],
    })
  })

  test('the current one does not count where a later one is live that failed after its switch', () => {
    const history = newHistory([...five, 'served'])
    expect(history.plan(1).bundles).toEqual(['r0', 'r1', 'r2'])
    expect(history.plan(0).bundles).toEqual(['r0', 'r1', 'r2', 'r3'])
  })

  test('a release that another run may be at stays, with its images, however old, and keeps no other', () => {
    const history = newHistory(['running', 'completed', 'completed', 'completed'])
    expect(history.plan(0)).toEqual({
      bundles: ['r1', 'r2'],
      tags: ['shop-web:sc', 'shop-web:sc', 'shop-web:v1', 'shop-web:v2'],
    })
  })

  test('a rolled back release keeps its image, by the release that put it back', () => {
    const first = { fate: 'completed', image: 'one', version: 'v1' } as const
    const history = newHistory([first, { fate: 'completed', version: 'v2' }, first])
    expect(history.plan(0)).toEqual({ bundles: ['r0', 'r1'], tags: ['shop-web:sc', 'shop-web:v2'] })
  })

  test('releases of other environments are neither counted nor touched', () => {
    const staging = { fate: 'completed', environment: 'staging' } as const
    const history = newHistory([staging, 'completed', staging, 'completed', staging, staging])
    expect(history.plan(0)).toEqual({ bundles: ['r1'], tags: ['shop-web:sc', 'shop-web:v1'] })
  })

  test('nothing is removed where nothing is live and nothing was completed', () => {
    const { bundles } = newHistory(['failed', 'failed']).plan(0)
    expect(bundles).toEqual([])
    expect(newHistory([]).plan(0)).toEqual({ bundles: [], tags: [] })
  })
})
