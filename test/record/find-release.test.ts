import { expect, test } from 'bun:test'
import { findRelease } from '../../lib/record/find-release.ts'
import type { Release } from '../../lib/record/releases-file/format.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { expectGolden } from '../support/golden.ts'

const releases = [
  release('rel-20261120-101500', 'prod', 'completed'),
  release('rel-20261120-101500001', 'staging', 'completed'),
  release('rel-20261121-101500001', 'prod', 'completed'),
  release('rel-20261122-101500001', 'prod', 'failed'),
]

function release(id: string, environment: string, last: string): Release {
  const completed = 'completed'
  const five = {
    build: completed,
    push: completed,
    migrate_pre: completed,
    rollout: completed,
    migrate_post: completed,
  }
  const timestamp = '2026-11-22T10:15:00Z'
  return { id, environment, version: 'v1', commit_sha: '', timestamp, phases: { ...five, finalize: last } }
}

test.each([
  ['an exact id', ['rel-20261121-101500001'], 'rel-20261121-101500001'],
  ['an exact id that is the beginning of another', ['rel-20261120-101500'], 'rel-20261120-101500'],
  ['the beginning of one id', ['rel-20261121'], 'rel-20261121-101500001'],
  ['the beginning of one id of an environment', ['rel-20261120', 'staging'], 'rel-20261120-101500001'],
  ['a version: its newest release that completed', ['v1', 'prod'], 'rel-20261121-101500001'],
  ['latest', ['latest'], 'rel-20261122-101500001'],
  ['latest of an environment', ['latest', 'staging'], 'rel-20261120-101500001'],
  ['current, which has completed all its phases', ['current'], 'rel-20261121-101500001'],
  ['current of an environment', ['current', 'prod'], 'rel-20261121-101500001'],
])('findRelease() finds %s', (_, [reference = '', environment], id) => {
  expect(findRelease(releases, reference, environment).id).toBe(id)
})

test('findRelease() says why it finds nothing', () => {
  const many = Array.from({ length: 7 }, (_, day) => release(`rel-2026120${day + 1}-101500001`, 'prod', 'failed'))
  const problems = [
    problemOf(() => findRelease([], 'latest')),
    problemOf(() => findRelease(releases, 'latest', 'qa')),
    problemOf(() => findRelease(many, 'current', 'prod')),
    problemOf(() => findRelease(releases, 'v1')),
    problemOf(() => findRelease(releases.slice(0, 1), '')),
    problemOf(() => findRelease(releases, 'rel-20261120-101500001', 'prod')),
    problemOf(() => findRelease(releases, 'rel-2026112', 'prod')),
    problemOf(() => findRelease(many, 'rel-2026')),
  ]
  expectGolden('core/state.md', 'state-not-found', problems.join('\n'))
})

function problemOf(find: () => Release): string {
  try {
    return `found ${find().id}`
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind !== 'not-found') throw error
    return `${error.message}\n  ${error.hint}`
  }
}
