import { afterEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  MOVE,
  MOVE_BUSY,
  MOVE_DATA,
  MOVE_FAR,
  MOVE_MOUNTED,
  MOVE_TWO,
  SAME_DATA,
} from '../../lib/hosts/scripts/state.ts'
import { moveFailed } from '../../lib/release/move-mounted.ts'
import type { StagecraftError } from '../../lib/util/errors.ts'

const made: string[] = []
afterEach(() => {
  for (const folder of made.splice(0)) fs.rmSync(folder, { recursive: true, force: true })
})

/** Two folders of an environment on a host; the first has a history, content, and data. */
function folders(base = tmpdir()) {
  const top = fs.mkdtempSync(join(base, 'stagecraft-move-'))
  made.push(top)
  const [from, to] = [join(top, 'one'), join(top, 'two')]
  const write = (path: string, text: string, mode = 0o660) => {
    fs.mkdirSync(join(path, '..'), { recursive: true })
    fs.writeFileSync(path, text, { mode })
  }
  write(join(from, 'releases.json'), '{"releases":[{"id": "rel-20261122-080000000"}]}\n')
  write(join(from, 'releases/rel-20261122-080000000/release.json'), '{}')
  write(join(from, 'objects/0123'), '{}')
  write(join(from, 'head'), '0123')
  write(join(from, 'content/0123/token'), 'secret', 0o200)
  write(join(from, 'data/uploads/customers'), 'precious')
  fs.mkdirSync(join(to, 'locks'), { recursive: true })
  const move = (script = MOVE) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync(['sh', '-c', script, 'x', from, 'prod', to])
    return [exitCode, `${stdout}`.trim(), exitCode === 0 ? '' : `${stderr}`]
  }
  const inode = (path: string) => fs.statSync(path).ino
  return { from, to, write, move, inode }
}

describe('a move on one host', () => {
  test('moves all that the environment needs, even unreadable files, and leaves a link to it', () => {
    const { from, to, move, inode } = folders()
    const mounted = ['content/0123/token', 'data/uploads', 'data/uploads/customers']
    const before = mounted.map((path) => inode(join(from, path)))
    expect(move()).toEqual([0, '1', ''])
    // The same files, with any owner and even while mounted: nothing was read or copied.
    expect(mounted.map((path) => inode(join(to, path)))).toEqual(before)
    expect(mounted.map((path) => inode(join(from, path)))).toEqual(before)
    for (const path of ['releases/rel-20261122-080000000/release.json', 'objects/0123', 'head'])
      expect(fs.existsSync(join(to, path))).toBe(true)
    expect(fs.existsSync(join(from, 'head'))).toBe(false)
    expect([fs.existsSync(join(from, 'releases.json')), fs.existsSync(join(from, 'releases.json.moved'))]).toEqual([
      false,
      true,
    ])
  })

  test('can be reversed', () => {
    const { from, to, move } = folders()
    expect(move()[0]).toBe(0)
    const argv = ['sh', '-c', MOVE, 'x', to, 'prod', from]
    expect(Bun.spawnSync(argv).exitCode).toBe(0)
    expect(fs.lstatSync(join(from, 'data')).isDirectory()).toBe(true)
    expect(fs.readFileSync(join(to, 'data/uploads/customers'), 'utf8')).toBe('precious')
  })

  test.each(['data', 'content', 'link', 'releases'])('that was interrupted after %s is done again', (at) => {
    const { from, to, move } = folders()
    const order = ['data', 'content']
    for (const name of at === 'data' ? ['data'] : order) {
      fs.renameSync(join(from, name), join(to, name))
      if (at !== 'link' || name !== 'content') fs.symlinkSync(join(to, name), join(from, name))
    }
    if (at === 'releases') fs.cpSync(join(from, 'releases'), join(to, 'releases'), { recursive: true })
    expect(move()).toEqual([0, '1', ''])
    expect(fs.readFileSync(join(from, 'data/uploads/customers'), 'utf8')).toBe('precious')
    expect(fs.existsSync(join(from, 'content/0123/token'))).toBe(true)
  })

  test('overwrites no existing data, and ignores empty folders', () => {
    const { to, move } = folders()
    fs.mkdirSync(join(to, 'data/uploads'), { recursive: true }) // as a deploy would have made it
    expect(move()[0]).toBe(0)
    const other = folders()
    other.write(join(other.to, 'data/uploads/else'), 'x')
    expect(other.move()[0]).toBe(MOVE_DATA)
    expect(fs.existsSync(join(other.from, 'releases.json'))).toBe(true)
    expect(fs.readFileSync(join(other.to, 'data/uploads/else'), 'utf8')).toBe('x')
  })

  test('is refused while a run is under way there, or while the environment is frozen', () => {
    const { from, write, move } = folders()
    write(join(from, 'locks/prod.lock'), '')
    const holder = Bun.spawn(['flock', join(from, 'locks/prod.lock'), 'sh', '-c', 'echo held; read x'], {
      stdin: 'pipe',
      stdout: 'pipe',
    })
    return holder.stdout
      .getReader()
      .read()
      .then(async () => {
        expect(move()[0]).toBe(MOVE_BUSY)
        holder.stdin.end()
        await holder.exited
        write(join(from, 'locks/prod.hold.json'), '{}')
        expect(move()).toEqual([MOVE_BUSY, '', expect.stringContaining('held by a person')])
        expect(fs.existsSync(join(from, 'releases.json'))).toBe(true)
      })
  })

  test('does not merge two histories', () => {
    const { to, write, move } = folders()
    write(join(to, 'releases.json'), '{"releases":[]}')
    expect(move()[0]).toBe(MOVE_TWO)
  })

  test.skipIf(!fs.existsSync('/dev/shm'))('of data to another file system is refused', () => {
    const { from } = folders()
    const there = folders('/dev/shm')
    const argv = ['sh', '-c', MOVE, 'x', from, 'prod', there.to]
    expect(Bun.spawnSync(argv).exitCode).toBe(MOVE_FAR)
    fs.renameSync(join(from, 'data'), join(from, 'elsewhere')) // as it was moved by hand
    expect(Bun.spawnSync(argv).exitCode).toBe(0)
    expect(fs.statSync(join(there.to, 'content/0123/token')).mode & 0o777).toBe(0o200)
  })

  test('of mounted data alone reports whether there was something to do', () => {
    const { from, move } = folders()
    expect(move(MOVE_MOUNTED)).toEqual([0, 'moved', ''])
    expect(move(MOVE_MOUNTED)).toEqual([0, '', ''])
    expect(fs.existsSync(join(from, 'releases.json'))).toBe(true)
  })

  test.each<[number, StagecraftError['kind']]>([
    [MOVE_BUSY, 'locked'],
    [MOVE_TWO, 'state'],
    [MOVE_DATA, 'config'],
    [MOVE_FAR, 'config'],
    [74, 'state'],
  ])('that ended with %i says what to do', (code, kind) => {
    const result = { argv: [], code, stdout: '', stderr: 'x', timedOut: false }
    expect(moveFailed({ host: 'a', from: '/one', to: '/two' }, result).kind).toBe(kind)
  })
})

describe('whether there is data', () => {
  const same = (before: string, now: string) => Bun.spawnSync(['sh', '-c', SAME_DATA, 'x', before, now]).exitCode

  test('counts neither what only keeps a folder in git, nor what was never there', () => {
    const { from, to, write } = folders()
    const [full, empty] = [join(from, 'data/uploads'), join(to, 'empty')]
    fs.mkdirSync(empty)
    write(join(empty, '.gitkeep'), '')
    expect([same(full, empty), same(full, join(to, 'none')), same(full, full)]).toEqual([1, 1, 0])
    expect([same(empty, join(to, 'none')), same(join(from, 'none'), empty)]).toEqual([0, 0])
    expect([same('', full), same('', empty), same('', join(to, 'none'))]).toEqual([0, 1, 1])
    write(join(empty, 'customers'), 'x')
    expect(same(full, empty)).toBe(0)
  })
})
