import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import {
  chmodSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ArchiveDigest } from '../../lib/docker/volumes/archive-digest.ts'

let scratch = ''
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'stagecraft-archive-'))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

let count = 0

/** A folder with some of everything, all of it made at the same time. @param change does something to it */
function tree(change: (at: (path: string) => string) => void = () => {}): Buffer {
  const folder = join(scratch, `${++count}`)
  const at = (path: string) => join(folder, path)
  mkdirSync(at('deep/er'), { recursive: true })
  writeFileSync(at('deep/er/long'), 'x'.repeat(1500))
  writeFileSync(at('file'), 'one\n')
  writeFileSync(at('empty'), '')
  writeFileSync(at(`${'n'.repeat(180)}`), 'a long name')
  linkSync(at('file'), at('hard'))
  symlinkSync('file', at('link'))
  lutimesSync(at('link'), 9, 9)
  for (const path of ['file', 'empty', 'deep/er/long', 'n'.repeat(180), 'deep/er', 'deep', '.'])
    utimesSync(at(path), 9, 9)
  change(at)
  const { stdout, exitCode } = Bun.spawnSync(['tar', '-C', folder, '--sort=name', '--format=gnu', '-cf', '-', '.'])
  if (exitCode !== 0) throw new Error('tar failed')
  return stdout
}

/** Writes a file as old as the others. */
function rewrite(path: string, text: string): void {
  rmSync(path)
  writeFileSync(path, text)
  utimesSync(path, 9, 9)
}

/** @param size of the pieces that it comes in */
function digest(archive: Buffer, size = archive.length, limit = 1024 * 1024): string | undefined {
  const into = new ArchiveDigest(limit)
  into.on('error', () => {})
  for (let at = 0; at < archive.length; at += size) into.write(archive.subarray(at, at + size))
  return into.digest()
}

describe('what is in an archive', () => {
  test('is the same however it comes, and whenever its folders were changed', () => {
    const whole = digest(tree())
    expect(whole).toMatch(/^[0-9a-f]{64}$/)
    for (const size of [1, 7, 511, 512, 513, 4096]) expect(digest(tree(), size)).toBe(whole)
    expect(digest(tree((at) => utimesSync(at('deep'), 11, 11)))).toBe(whole)
    expect(digest(tree((at) => utimesSync(at('.'), 11, 11)))).toBe(whole)
  })

  test.each<[string, (at: (path: string) => string) => void]>([
    [
      'content',
      (at) => {
        writeFileSync(at('file'), 'two\n')
        utimesSync(at('file'), 9, 9)
      },
    ],
    ['the end of a content that is longer than a block', (at) => rewrite(at('deep/er/long'), `${'x'.repeat(1499)}y`)],
    ['a size', (at) => rewrite(at('empty'), '\0')],
    ['the time of a file', (at) => utimesSync(at('empty'), 11, 11)],
    ['the mode of a file', (at) => chmodSync(at('empty'), 0o640)],
    ['the mode of a folder', (at) => chmodSync(at('deep'), 0o1777)],
    [
      'where a link leads',
      (at) => {
        rmSync(at('link'))
        symlinkSync('empty', at('link'))
        lutimesSync(at('link'), 9, 9)
      },
    ],
    ['a file that is gone', (at) => rmSync(at('empty'))],
    ['a file that came', (at) => writeFileSync(at('new'), '')],
    ['a folder that came', (at) => mkdirSync(at('new'))],
    ['a link that is a copy now', (at) => rewrite(at('hard'), 'one\n')],
  ])('is another one with %s', (_, change) => {
    expect(digest(tree(change))).not.toBe(digest(tree()))
    expect(digest(tree(change))).toMatch(/^[0-9a-f]{64}$/)
  })

  test('is not known where it ended before its end, or is too large', () => {
    const archive = tree()
    expect(digest(archive.subarray(0, 1024))).toBeUndefined()
    expect(digest(archive.subarray(0, 0))).toBeUndefined()
    expect(digest(archive, 512, archive.length - 1)).toBeUndefined()
    expect(digest(archive, 512, archive.length)).toBeDefined()
  })
})
