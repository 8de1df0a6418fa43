import { describe, expect, test } from 'bun:test'
import { chmodSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { COMMANDS } from '../../../lib/cli/commands/table.ts'
import { sbomOf } from '../../../lib/cli/distribution/sbom.ts'
import { parseSums, sealRelease, sha256 } from '../../../lib/cli/distribution/sums.ts'
import { changesOf, releaseTexts } from '../../../lib/cli/distribution/texts.ts'
import { scratch } from '../../support/command-line.ts'

const ROOT = join(import.meta.dir, '../../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const lock = JSON.parse(read('package-lock.json'))
const sources = {
  ...{ commands: COMMANDS, lock, changelog: read('CHANGELOG.md'), schema: '{}', outputSchema: '{}', license: 'MIT' },
  ...{ installer: read('install.sh'), publicKey: undefined, releases: undefined },
}

describe('sealRelease()', () => {
  test('compresses binaries, and names all files with their checksums; the same again', () => {
    const { path, remove } = scratch({ 'stagecraft-linux-x64': 'binary', 'stagecraft.1': 'page' })
    chmodSync(join(path, 'stagecraft-linux-x64'), 0o755)
    sealRelease(path, { version: '1.2.3' })
    const sums = readFileSync(join(path, 'SHA256SUMS'), 'utf8')
    const named = ['VERSION', 'stagecraft-linux-x64', 'stagecraft-linux-x64.gz', 'stagecraft.1']
    expect([...parseSums(sums).keys()]).toEqual(named)
    expect(readdirSync(path).toSorted()).toEqual(['SHA256SUMS', ...named])
    for (const [name, sum] of parseSums(sums)) expect(sha256(readFileSync(join(path, name)))).toBe(sum)
    const packed = readFileSync(join(path, 'stagecraft-linux-x64.gz'))
    expect(gunzipSync(packed).toString()).toBe('binary')
    expect(packed.subarray(0, 10).toString('hex')).toMatch(/^1f8b080000000000..ff$/)
    sealRelease(path, { version: '1.2.3' })
    expect(readFileSync(join(path, 'SHA256SUMS'), 'utf8')).toBe(sums)
    remove()
  })
})

describe('releaseTexts()', () => {
  test('are completions, the manual, the schema, changes, parts and the installer', async () => {
    const texts = await releaseTexts(sources)
    expect(Object.keys(texts).toSorted()).toEqual([
      ...['CHANGES.md', 'LICENSE', '_stagecraft', 'install.sh'],
      ...['output.schema.json', 'stagecraft.1', 'stagecraft.bash'],
      ...['stagecraft.cdx.json', 'stagecraft.fish', 'stagecraft.schema.json'],
    ])
    expect(texts['install.sh']).toBe(read('install.sh'))
    expect(texts['stagecraft.1']).toContain('.TH STAGECRAFT 1')
  })

  test('the installer knows the key and the address, and nothing that a shell would read', async () => {
    const releases = 'https://downloads.example.com/stagecraft'
    const { 'install.sh': script } = await releaseTexts({ ...sources, publicKey: 'RWabc+/', releases })
    expect(script).toContain(`\nKEY='RWabc+/'\nRELEASES='${releases}'\n`)
    for (const bad of [`${releases}'; reboot`, '$(reboot)', 'https://a b'])
      expect(releaseTexts({ ...sources, releases: bad })).rejects.toThrow('Cannot write RELEASES')
  })

  test('the changes are those of the version, or what is unreleased', () => {
    const log = '# Changelog\n\n## Unreleased\n\n- c\n\n## [0.2.0] - 2026-01-01\n\n- b\n\n## 0.1.0\n\n- a\n'
    expect(changesOf(log, '0.2.0')).toBe('## [0.2.0] - 2026-01-01\n\n- b\n')
    expect(changesOf(log, '0.1.0')).toBe('## 0.1.0\n\n- a\n')
    expect(changesOf(log, '0.3.0')).toBe('## Unreleased\n\n- c\n')
    expect(() => changesOf('# Changelog\n', '0.3.0')).toThrow('no section')
  })
})

test('sbomOf() lists what the binary contains: dependencies and Bun, and what each uses', () => {
  const text = sbomOf(lock)
  const { components, dependencies } = JSON.parse(text)
  const names = components.map(({ name }: { name: string }) => name)
  const manifest = JSON.parse(read('package.json'))
  expect(names).toEqual(expect.arrayContaining([...Object.keys(manifest.dependencies), 'bun']))
  for (const other of ['typescript', '@biomejs/biome', '@types/bun']) expect(names).not.toContain(other)
  expect(names.filter((name: string) => name.startsWith('@typescript/'))).toEqual([])
  const refs = components.map((part: { 'bom-ref': string }) => part['bom-ref'])
  expect(new Set(refs).size).toBe(refs.length)
  const used = dependencies.flatMap(({ dependsOn }: { dependsOn: string[] }) => dependsOn)
  expect(used.filter((ref: string) => !refs.includes(ref))).toEqual([])
  expect(sbomOf(lock)).toBe(text)
})
