import { expect, test } from 'bun:test'
import { compareVersions, SEMANTIC_VERSION } from '../../lib/util/semantic-version.ts'

test('compareVersions() orders versions as semver.org does', () => {
  const ordered = [
    ...['0.1.0', '0.2.0', '0.10.0', '1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-alpha.beta', '1.0.0-beta', '1.0.0-beta.2'],
    ...['1.0.0-beta.11', '1.0.0-rc.1', '1.0.0', '1.0.1', '2.0.0-0', '2.0.0'],
  ]
  expect(ordered.toReversed().toSorted(compareVersions)).toEqual(ordered)
  expect(ordered.map((version) => compareVersions(version, version))).toEqual(ordered.map(() => 0))
})

test.each(['', '1', '1.2', 'v1.2.3', '01.2.3', '1.2.3-', '1.2.3-01', '1.2.3+build', '1.2.3\n', '1.2.3 ', '1.2.x'])(
  '%j is no version',
  (text) => expect(SEMANTIC_VERSION.test(text)).toBe(false),
)
