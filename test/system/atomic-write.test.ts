import { afterAll, describe, expect, test } from 'bun:test'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeFileAtomic } from '../../lib/system/atomic-write.ts'
import { pidSpace } from '../../lib/system/pid-space.ts'
import { errnoOf } from '../../lib/util/errors.ts'
import { DEAD_PID } from '../support/temporary.ts'

const root = mkdtempSync(join(tmpdir(), 'stagecraft-atomic-'))
afterAll(() => rmSync(root, { recursive: true }))

let folders = 0
const newFolder = () => {
  const folder = join(root, String(++folders))
  mkdirSync(folder)
  return folder
}
const MODES = { mode: 0o600, folderMode: 0o750 }
const modeOf = (path: string) => (lstatSync(path).mode & 0o7777).toString(8)
const codeOf = (write: () => unknown) => {
  try {
    write()
    return undefined
  } catch (error) {
    return errnoOf(error)
  }
}

describe('writeFileAtomic()', () => {
  test('creates the file and its folders with exactly the modes asked for, whatever the umask', () => {
    const folder = newFolder()
    const umask = process.umask(0o077)
    try {
      writeFileAtomic(join(folder, 'a/b/file.json'), 'é', { mode: 0o664, folderMode: 0o2775 })
    } finally {
      process.umask(umask)
    }
    expect(['a', 'a/b', 'a/b/file.json'].map((path) => modeOf(join(folder, path)))).toEqual(['2775', '2775', '664'])
    expect(readFileSync(join(folder, 'a/b/file.json'), 'utf8')).toBe('é')
    expect(readdirSync(join(folder, 'a/b'))).toEqual(['file.json'])
  })

  test('replaces content and mode of a file that is there, and leaves its folder alone', () => {
    const folder = newFolder()
    const file = join(folder, 'file.json')
    writeFileSync(file, 'a long old content', { mode: 0o644 })
    chmodSync(folder, 0o711)
    writeFileAtomic(file, 'new', MODES)
    expect([readFileSync(file, 'utf8'), modeOf(file), modeOf(folder)]).toEqual(['new', '600', '711'])
  })

  test('never changes the file that someone has open', () => {
    const file = join(newFolder(), 'file.json')
    writeFileSync(file, 'old')
    const reader = Bun.file(file).stream()
    const before = statSync(file).ino
    writeFileAtomic(file, 'new', MODES)
    expect(statSync(file).ino).not.toBe(before)
    return reader.cancel()
  })

  test('returns the identity of the file that it wrote', () => {
    const file = join(newFolder(), 'file.json')
    const { ino, size, mtimeNs } = writeFileAtomic(file, new Uint8Array([1, 2, 3]), MODES)
    const now = statSync(file, { bigint: true })
    expect({ ino, size, mtimeNs }).toEqual({ ino: now.ino, size: 3n, mtimeNs: now.mtimeNs })
  })

  test('keeps a chain of symlinks and replaces its end, in the folder of the end', () => {
    const folder = newFolder()
    mkdirSync(join(folder, 'real/deep'), { recursive: true })
    symlinkSync('real/deep', join(folder, 'short'))
    symlinkSync('../target.json', join(folder, 'real/deep/second'))
    symlinkSync('short/second', join(folder, 'first'))
    for (const content of ['created', 'replaced']) {
      writeFileAtomic(join(folder, 'first'), content, MODES)
      expect(readFileSync(join(folder, 'real/target.json'), 'utf8')).toBe(content)
    }
    expect([readlinkSync(join(folder, 'first')), readlinkSync(join(folder, 'short/second'))]).toEqual([
      'short/second',
      '../target.json',
    ])
    const listed = ['.', 'real', 'real/deep'].map((path) => readdirSync(join(folder, path)).toSorted())
    expect(listed).toEqual([['first', 'real', 'short'], ['deep', 'target.json'], ['second']])
  })

  test('leaves nothing behind when it fails', () => {
    const folder = newFolder()
    mkdirSync(join(folder, 'taken/full'), { recursive: true })
    symlinkSync('loop', join(folder, 'loop'))
    writeFileSync(join(folder, 'plain'), '')
    const codes = ['taken', 'loop', 'plain/file'].map((path) =>
      codeOf(() => writeFileAtomic(join(folder, path), 'x', MODES)),
    )
    expect(codes).toEqual(['EISDIR', 'ELOOP', 'ENOTDIR'])
    expect(readdirSync(folder).toSorted()).toEqual(['loop', 'plain', 'taken'])
  })
})

describe('temporary files', () => {
  test('of dead processes are removed, of living ones and of other files never', () => {
    const folder = newFolder()
    const dead = DEAD_PID
    const kept = [
      // The pid of a process of somebody else is alive too.
      `.file-1-1.tmp`,
      `.file-${process.ppid}-1.tmp`,
      // Perhaps of an earlier process with our number, perhaps of a live one in another container.
      `.file-${process.pid}-999999.tmp`,
      `.other-${dead}-1.tmp`,
      `.file-${dead}-1.tmp.bak`,
      `.file-${dead}.tmp`,
      `.file-x${dead}-1.tmp`,
      `file-${dead}-1.tmp`,
      '.file-99999999999999999999-1.tmp',
      // Of another pid namespace: that nobody has its pid here says nothing.
      `.file-0123abcd-${dead}-1.tmp`,
    ]
    const stale = `.file-0123abcd-${dead}-2.tmp`
    const gone = [`.file-${dead}-1.tmp`, `.file-${dead}-27.tmp`, `.file-${pidSpace()}-${dead}-3.tmp`, stale]
    for (const name of [...kept, ...gone]) writeFileSync(join(folder, name), name)
    const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 3600
    utimesSync(join(folder, stale), twoDaysAgo, twoDaysAgo)
    writeFileAtomic(join(folder, 'file.json'), 'new', MODES)
    expect(readdirSync(folder).toSorted()).toEqual([...kept, 'file.json'].toSorted())
  })

  test('are called as the caller says', () => {
    const folder = newFolder()
    const dead = DEAD_PID
    for (const stem of ['file', 'releases']) writeFileSync(join(folder, `.${stem}-${dead}-1.tmp`), '')
    writeFileAtomic(join(folder, 'file.json'), 'new', { ...MODES, stem: 'releases' })
    expect(readdirSync(folder).toSorted()).toEqual([`.file-${dead}-1.tmp`, 'file.json'].toSorted())
  })

  test('that an earlier process with our number left are stepped over', () => {
    const folder = newFolder()
    const program = `
      import { writeFileAtomic } from ${JSON.stringify(join(import.meta.dir, '../../lib/system/atomic-write.ts'))}
      import { temporaryName } from ${JSON.stringify(join(import.meta.dir, '../../lib/system/temporaries.ts'))}
      import { writeFileSync } from 'node:fs'
      for (const n of [1, 2]) writeFileSync(temporaryName('file', n), 'of an earlier process')
      writeFileAtomic('file.json', 'new', { mode: 0o600, folderMode: 0o750 })
      console.log(process.pid)`
    const { stdout, exitCode } = Bun.spawnSync([process.execPath, '-e', program], { cwd: folder })
    const pid = stdout.toString().trim()
    expect([exitCode, readFileSync(join(folder, 'file.json'), 'utf8')]).toEqual([0, 'new'])
    const name = (n: number) => `.file-${pidSpace()}-${pid}-${n}.tmp`
    expect(readdirSync(folder).toSorted()).toEqual([name(1), name(2), 'file.json'].toSorted())
  })
})
