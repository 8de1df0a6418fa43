import { expect, test } from 'bun:test'
import { refuseIfTooOld } from '../../lib/config/minimum-version.ts'
import { parseConfig } from '../../lib/config/parse.ts'
import { version } from '../../package.json'
import { scratch, stagecraftHere } from '../support/command-line.ts'
import { expectGolden } from '../support/golden.ts'

test('minimum_version is met by this version, an older one, and a pre-release of it', () => {
  for (const needed of [version, '0.0.1', `${version}-rc.1`])
    expect(parseConfig(`minimum_version: ${needed}\n`).environments).toHaveProperty('local')
})

test('a newer minimum_version is refused before keys that only it knows, with the line that upgrades', async () => {
  const { path, remove } = scratch({ 'stagecraft.yml': 'minimum_version: 99.0.0\nfleets: {all: {}}\n' })
  try {
    for (const command of ['plan', 'deploy', 'rollback', 'status']) {
      const { exit, stdout, stderr } = await stagecraftHere([command], { cwd: path })
      expect({ exit, stdout }).toEqual({ exit: 3, stdout: '' })
      expectGolden('core/config.md', 'too-old', stderr.replace('99.0.0', '0.3.0').replace(version, '0.1.0'))
    }
  } finally {
    remove()
  }
})

test('a pre-release is older than its release', () => {
  expect(() => refuseIfTooOld({ minimum_version: '1.0.0' }, '1.0.0-rc.1')).toThrow('needs Stagecraft 1.0.0 or newer')
})

test.each(['0.2', '1', 'v1.0.0', '">=1.0.0"', '[1.0.0]'])('minimum_version: %s is no version', (text) => {
  expect(() => parseConfig(`minimum_version: ${text}\n`)).toThrow('Cannot use stagecraft.yml: 1 error')
})
