import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ContentStore, isInside, storePath, storeText } from '../../lib/compose/content-store.ts'
import { StagecraftError } from '../../lib/util/errors.ts'

let root = ''
let store: ContentStore = { folder: '', write: true }
beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'stagecraft-content-')))
  store = { folder: join(root, 'store'), write: true }
})
afterEach(() => fs.rmSync(root, { recursive: true }))

function write(path: string, text: string | Uint8Array, mode = 0o644): string {
  const whole = join(root, path)
  fs.mkdirSync(join(whole, '..'), { recursive: true })
  fs.writeFileSync(whole, text)
  fs.chmodSync(whole, mode)
  return whole
}

/** A folder with two files, a folder, and a link. */
function site(name: string): string {
  write(`${name}/a.conf`, 'a\n')
  write(`${name}/sub/b.conf`, 'b\n', 0o600)
  fs.symlinkSync('a.conf', join(root, name, 'link'))
  return join(root, name)
}

function stored(source: string, where = store): { hash: string; path: string } {
  const found = storePath(where, source)
  if ('unfit' in found) throw new Error(found.unfit)
  return found
}

function refusal(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof StagecraftError) return `${error.kind}: ${error.message}`.replaceAll(root, '.')
    throw error
  }
  return 'fine'
}

/** Every entry of a folder, with its mode and what is in it. */
function tree(folder: string): Record<string, string> {
  const entries = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => {
    const path = join(folder, name)
    const stat = fs.lstatSync(path)
    const what = stat.isSymbolicLink()
      ? fs.readlinkSync(path)
      : stat.isFile()
        ? fs.readFileSync(path, 'utf8')
        : 'folder'
    return [name, `${(stat.mode & 0o777).toString(8)} ${what}`]
  })
  return Object.fromEntries(entries.toSorted())
}

describe('storePath()', () => {
  test('keeps a file under its hash, with its bytes and mode', () => {
    const bytes = new Uint8Array([0, 255, 10, 13, 128])
    const { hash, path } = stored(write('file', bytes, 0o640))
    expect(path).toBe(join(store.folder, hash))
    expect(hash).toMatch(/^[0-9a-f]{32}$/)
    expect(new Uint8Array(fs.readFileSync(path))).toEqual(bytes)
    expect(fs.statSync(path).mode & 0o7777).toBe(0o640)
    expect(fs.statSync(store.folder).mode & 0o777).toBe(0o700)
  })

  test('keeps a folder with its files, modes, folders and links', () => {
    const source = site('site')
    fs.chmodSync(join(source, 'sub'), 0o711)
    expect(tree(stored(source).path)).toEqual(tree(source))
  })

  test('gives equal things one hash and one copy, wherever they are', () => {
    const hashes = [stored(site('one')).hash, stored(site('two')).hash, stored(join(root, 'one')).hash]
    expect(new Set(hashes).size).toBe(1)
    expect(fs.readdirSync(store.folder)).toEqual([hashes[0] ?? ''])
  })

  test.each<[string, (folder: string) => void]>([
    ['the bytes of a file', (folder) => fs.writeFileSync(join(folder, 'a.conf'), 'A\n')],
    ['the mode of a file', (folder) => fs.chmodSync(join(folder, 'a.conf'), 0o600)],
    ['the name of a file', (folder) => fs.renameSync(join(folder, 'a.conf'), join(folder, 'c.conf'))],
    ['a file more', (folder) => fs.writeFileSync(join(folder, 'empty'), '')],
    ['a file less', (folder) => fs.rmSync(join(folder, 'sub/b.conf'))],
    ['an empty folder more', (folder) => fs.mkdirSync(join(folder, 'new'))],
    ['the mode of a folder', (folder) => fs.chmodSync(join(folder, 'sub'), 0o700)],
    ['the mode of the folder itself', (folder) => fs.chmodSync(folder, 0o700)],
    [
      'where a link leads',
      (folder) => {
        fs.rmSync(join(folder, 'link'))
        fs.symlinkSync('sub/b.conf', join(folder, 'link'))
      },
    ],
    [
      'a file in place of a link',
      (folder) => {
        fs.rmSync(join(folder, 'link'))
        fs.writeFileSync(join(folder, 'link'), 'a.conf')
      },
    ],
  ])('gives another hash to %s', (_, change) => {
    const folder = site('site')
    const before = stored(folder).hash
    change(folder)
    expect(stored(folder).hash).not.toBe(before)
  })

  test('does not go by times', () => {
    const folder = site('site')
    const before = stored(folder).hash
    fs.utimesSync(join(folder, 'a.conf'), 0, 0)
    expect(stored(folder).hash).toBe(before)
  })

  test('follows a link that is itself what is mounted', () => {
    const folder = site('site')
    fs.symlinkSync(folder, join(root, 'current'))
    expect(stored(join(root, 'current')).hash).toBe(stored(folder).hash)
  })

  test('keeps a folder that cannot be written to, twice', () => {
    const folder = site('site')
    fs.chmodSync(join(folder, 'sub'), 0o555)
    fs.chmodSync(folder, 0o555)
    const [first, second] = [stored(folder), stored(folder)]
    expect(second).toEqual(first)
    expect(fs.statSync(first.path).mode & 0o777).toBe(0o555)
    expect(fs.readdirSync(store.folder)).toEqual([first.hash])
    for (const path of [folder, first.path]) for (const name of ['', 'sub']) fs.chmodSync(join(path, name), 0o755)
  })

  test('hashes the same and writes nothing where it is asked not to', () => {
    const folder = site('site')
    const dry = stored(folder, { ...store, write: false })
    expect(fs.existsSync(store.folder)).toBe(false)
    expect(dry).toEqual(stored(folder))
  })

  test('leaves what is larger than 50 MB where it is', () => {
    const file = write('big/one', '')
    fs.truncateSync(file, 50 * 1024 * 1024)
    expect(storePath({ ...store, write: false }, join(root, 'big'))).toHaveProperty('hash')
    write('big/two', 'x')
    expect(storePath(store, join(root, 'big'))).toEqual({ unfit: 'it is larger than 50 MB' })
    expect(fs.readdirSync(store.folder)).toEqual([])
  })

  test('leaves sockets and fifos where they are', () => {
    Bun.spawnSync(['mkfifo', join(root, 'fifo')])
    const server = Bun.listen({ unix: join(root, 'socket'), socket: { data() {} } })
    const found = ['fifo', 'socket'].map((name) => storePath(store, join(root, name)))
    server.stop(true)
    expect(found.map((entry) => 'unfit' in entry && entry.unfit.replace(/\d+/, 'mode'))).toEqual([
      'it contains a socket, fifo or device (mode)',
      'it contains a socket, fifo or device (mode)',
    ])
    expect(fs.readdirSync(store.folder)).toEqual([])
  })

  test.each(['/etc/passwd', '../secret', 'sub/../../secret', '..'])('refuses a link to %s', (target) => {
    const folder = site('site')
    write('secret', 's')
    fs.symlinkSync(target, join(folder, 'out'))
    expect(refusal(() => storePath(store, folder))).toBe(
      `config: Cannot keep ./site/out: it is a link that leaves its folder (to ${target})`,
    )
    expect(fs.readdirSync(store.folder)).toEqual([])
  })

  test('takes a link that stays inside, even one that leads nowhere', () => {
    const folder = site('site')
    fs.symlinkSync('../a.conf', join(folder, 'sub/up'))
    fs.symlinkSync('no-such-file', join(folder, 'broken'))
    expect(tree(stored(folder).path)).toEqual(tree(folder))
  })

  test('says what cannot be read, and why', () => {
    expect(refusal(() => storePath(store, join(root, 'nothing')))).toBe(
      'config: Cannot read ./nothing: it does not exist',
    )
    fs.symlinkSync('loop', join(root, 'loop'))
    expect(refusal(() => storePath(store, join(root, 'loop')))).toBe(
      'config: Cannot read ./loop: it cannot be read (ELOOP)',
    )
  })
})

describe('storeText()', () => {
  test('keeps a text as a file of that mode, under a hash of both', () => {
    const one = storeText(store, 'text', 0o444)
    expect([fs.readFileSync(one.path, 'utf8'), fs.statSync(one.path).mode & 0o777]).toEqual(['text', 0o444])
    const hashes = [storeText(store, 'text', 0o444), storeText(store, 'text', 0o400), storeText(store, 'other', 0o444)]
    expect(new Set(hashes.map(({ hash }) => hash)).size).toBe(3)
    expect(hashes[0]).toEqual(one)
    expect(fs.readdirSync(store.folder)).toHaveLength(3)
  })

  test('gives what a file of that text and mode has', () => {
    expect(storeText(store, 'a', 0o640)).toEqual(stored(write('file', 'a', 0o640)))
  })

  test('writes nothing where it is asked not to', () => {
    const { hash } = storeText({ ...store, write: false }, 'text', 0o444)
    expect(fs.existsSync(store.folder)).toBe(false)
    expect(hash).toBe(storeText(store, 'text', 0o444).hash)
  })
})

describe('isInside()', () => {
  test.each<[string, string, boolean]>([
    ['/a', '/a', true],
    ['/a', '/a/b', true],
    ['/a', '/a/..b', true],
    ['/a', '/ab', false],
    ['/a/b', '/a', false],
    ['/a', '/b', false],
    ['/', '/a', true],
  ])('of %j and %j is %p', (folder, path, inside) => {
    expect(isInside(folder, path)).toBe(inside)
  })
})
