import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { Release } from '../../../lib/record/releases-file/format.ts'
import { scratch, stagecraft, stagecraftHere } from '../../support/command-line.ts'
import { expectGolden } from '../../support/golden.ts'
import { temporaries } from '../../support/temporary.ts'

const temporary = temporaries()

describe('stagecraft prune', () => {
  const OLD = 'rel-20261121-070000000'
  const NEW = 'rel-20261122-070000000'
  const ID = `sha256:0123456789ab${'0'.repeat(52)}`

  const record = (id: string, version: string): Release => ({
    ...{ id, environment: 'local', version, commit_sha: '', timestamp: '2026-11-21T07:00:00.000Z' },
    phases: { build: 'completed', push: 'completed', migrate_pre: 'completed', rollout: 'completed', migrate_post: 'completed', finalize: 'completed' }, // biome-ignore format: one thing
  })
  const bundle = (id: string, version: string, image: string) => ({
    ...{ v: 1, id, environment: 'local', version, commit_sha: '', project: 'shop', phases: {}, content: [] },
    ...{ topology: { order: [], needs: {}, jobs: [] }, config_hashes: {} },
    images: {
      web: { name: 'shop-web:x', reference: 'shop-web:x', id: image, fingerprint: '', built: true, volumes: false },
    },
    tags: [{ tag: `shop-web:${version}`, id: image }],
    switched_at: '2026-11-21T07:00:10.000Z',
  })

  /** Two releases, of which the older one can go, and an engine whose `docker` is a script that notes its arguments. */
  function twoReleases(docker: string) {
    const folder = temporary(
      scratch({
        'stagecraft.yml': 'environments: {local: {keep: 0}, prod: {}}',
        '.stagecraft/releases.json': JSON.stringify({ releases: [record(OLD, 'v1'), record(NEW, 'v2')] }),
        [`.stagecraft/releases/${OLD}/release.json`]: JSON.stringify(bundle(OLD, 'v1', ID)),
        [`.stagecraft/releases/${NEW}/release.json`]: JSON.stringify(bundle(NEW, 'v2', `sha256:${'9'.repeat(64)}`)),
        'bin/docker': `#!/bin/sh\necho "$*" >>"$0.log"\n${docker}\n`,
      }),
    )
    fs.chmodSync(join(folder.path, 'bin/docker'), 0o755)
    const env = { PATH: `${folder.path}/bin:${process.env['PATH']}` }
    return {
      run: (...args: string[]) => stagecraft(['prune', '--env', 'local', ...args], { cwd: folder.path, env }),
      there: (id: string) => fs.existsSync(join(folder.path, '.stagecraft/releases', id)),
    }
  }
  const LISTS = `case $1 in image) printf '%s\\n' 'shop-web:v1 ${ID}' 'shop-web:sc-0123456789ab ${ID}';; esac`

  test('says what went, and with --dry-run what would go', async () => {
    const { run, there } = twoReleases(LISTS)
    const dry = await run('--dry-run')
    expect(dry).toEqual({
      exit: 0,
      stdout: [
        `would remove  release  ${OLD}`,
        'would remove  image    shop-web:sc-0123456789ab',
        'would remove  image    shop-web:v1',
        '',
      ].join('\n'),
      stderr: '',
    })
    expect([there(OLD), there(NEW)]).toEqual([true, true])
    const { exit, stdout, stderr } = await run()
    expectGolden('commands/prune.md', 'pruned', stdout)
    expect([exit, stderr]).toEqual([0, ''])
    expect([there(OLD), there(NEW)]).toEqual([false, true])
    expectGolden('commands/prune.md', 'nothing', (await run()).stdout)
  })

  test('--json is one object, then the end', async () => {
    const { run } = twoReleases(LISTS)
    const objects = async (...args: string[]) =>
      (await run('--json', ...args)).stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    const tags = ['shop-web:sc-0123456789ab', 'shop-web:v1']
    expect(await objects('--dry-run')).toEqual([
      { v: 1, type: 'prune-plan', bundles: [OLD], tags: tags.map((tag) => ({ tag, id: ID })) },
      { v: 1, type: 'finished', exit: 0 },
    ])
    expect(await objects()).toEqual([
      { v: 1, type: 'pruned', bundles: [OLD], tags, content: [] },
      { v: 1, type: 'finished', exit: 0 },
    ])
  })

  test('without an engine is exit 8, and nothing has gone', async () => {
    const { run, there } = twoReleases('echo "Cannot connect to the Docker daemon at x" >&2; exit 1')
    const { exit, stderr } = await run()
    expect([exit, stderr.split('\n')[0]]).toEqual([8, 'Cannot reach the Docker engine: it does not answer'])
    expect(there(OLD)).toBe(true)
  })

  test('of an environment that is not there is exit 4, of a state that cannot be read exit 9', async () => {
    const folder = temporary(scratch({ '.stagecraft/releases.json': '{' }))
    expect((await stagecraftHere(['prune', '--env', 'nowhere'], { cwd: folder.path })).exit).toBe(4)
    expect((await stagecraftHere(['prune'], { cwd: folder.path })).exit).toBe(9)
  })
})
