import { afterAll, beforeEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storeText } from '../lib/content.ts'
import { type ExecOptions, exec } from '../lib/exec.ts'
import { type Changes, type Mirror, openMirror } from '../lib/mirror.ts'
import { openState } from '../lib/state.ts'
import { EXITS, READ, WRITE } from '../lib/state-objects.ts'
import { type HostState, parseHostState, type Unusable } from '../lib/state-on-host.ts'

// The host's side is the same scripts, run by this machine's shell: a folder stands for the host.
const root = fs.mkdtempSync(join(tmpdir(), 'stagecraft-mirror-'))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

let host = ''
let copies = 0
beforeEach(() => {
  host = join(root, `host-${copies}/shop/prod`)
})
const files = () => (fs.existsSync(host) ? [...new Bun.Glob('**').scanSync({ cwd: host, dot: true })].sort() : [])
/** What people and other tools see: without the objects and what leads to them. */
const readable = () => files().filter((path) => !/^(objects\/|locks\/state$|head$)/.test(path))
const read = (path: string) => fs.readFileSync(join(host, path), 'utf8')

async function readHost(): Promise<HostState | Unusable> {
  const { code, stdout } = await exec(['sh', '-c', READ, 'sh', host, 'prod'])
  expect(code).toBe(0)
  return parseHostState(stdout, 'prod')
}

async function fetched(): Promise<Mirror> {
  const mirror = openMirror(exec, join(root, `copy-${++copies}`))
  const state = await readHost()
  if ('why' in state) throw new Error(`${state.why}: ${state.path}`)
  mirror.fill(state)
  return mirror
}

/** @returns the exit code; -1: there was nothing to keep */
async function kept(mirror: Mirror, token = '', more: ExecOptions = {}): Promise<number> {
  const changes = await mirror.changes()
  if (changes === undefined) return -1
  const { code, stdout, stderr } = await writeHost(changes, token, more)
  if (code === 0) {
    expect([stdout.replaceAll(/^waits .*\n/gm, ''), stderr]).toEqual(['kept\n', ''])
    changes.kept()
  }
  return code
}

function writeHost({ archive, sums, before, next }: Changes, token = '', more: ExecOptions = {}) {
  const args = [host, token, '/dev/null', sums, before, next]
  return exec(['sh', '-c', WRITE, 'sh', ...args], { input: archive.toString('base64'), ...more })
}

const write = (mirror: Mirror, path: string, text: string) => {
  fs.mkdirSync(join(mirror.folder, path, '..'), { recursive: true })
  fs.writeFileSync(join(mirror.folder, path), text)
}
const content = (mirror: Mirror, text: string, mode = 0o444) =>
  storeText({ folder: join(mirror.folder, 'content'), write: true }, text, mode).hash

describe('a mirror of a folder on a host', () => {
  test('brings a new state there, and another one finds it as it was', async () => {
    const mine = await fetched()
    const state = openState(join(mine.folder, 'releases.json'), { clock: () => Date.UTC(2026, 10, 22) })
    const { id } = state.createRelease({ environment: 'prod', version: 'v1', commit_sha: '' })
    write(mine, `releases/${id}/release.json`, '{"v":1}')
    write(mine, `releases/${id}/events.jsonl`, 'one\n')
    const hash = content(mine, 'motd', 0o640)
    expect(await kept(mine)).toBe(0)
    expect(readable()).toEqual([
      ...[`content/${hash}`, 'releases.json', `releases/${id}/events.jsonl`, `releases/${id}/release.json`],
    ])
    const mode = (path: string) => (fs.statSync(join(host, path)).mode & 0o7777).toString(8)
    expect([mode('.'), mode('releases.json'), mode(`content/${hash}`)]).toEqual(['2770', '660', '640'])
    const theirs = await fetched()
    const again = openState(join(theirs.folder, 'releases.json'), { clock: Date.now })
    expect(again.listReleases()).toEqual(state.listReleases())
    expect(fs.readFileSync(join(theirs.folder, `releases/${id}/events.jsonl`), 'utf8')).toBe('one\n')
    expect(await kept(theirs)).toBe(-1)
  })

  test('sends only what has changed; of events only what was added', async () => {
    const mine = await fetched()
    write(mine, 'releases/r1/events.jsonl', `${'x'.repeat(200_000)}\n`)
    write(mine, 'releases/r1/release.json', '{}')
    const first = (await mine.changes())?.archive.length ?? 0
    expect(await kept(mine)).toBe(0)
    fs.appendFileSync(join(mine.folder, 'releases/r1/events.jsonl'), 'more\n')
    const second = (await mine.changes())?.archive.length ?? 0
    expect(await kept(mine)).toBe(0)
    expect(read('releases/r1/events.jsonl')).toBe(`${'x'.repeat(200_000)}\nmore\n`)
    expect([first > 0, second < 1000]).toEqual([true, true])
  })

  test('knows content by its name, and never takes it over; removes what is removed', async () => {
    const mine = await fetched()
    const [a, b] = [content(mine, 'a'), content(mine, 'b')]
    write(mine, 'releases/r1/release.json', '{}')
    write(mine, 'releases/r1/compose.json', '{}')
    write(mine, 'releases/r2/release.json', '{}')
    await kept(mine)
    const theirs = await fetched()
    expect(content(theirs, 'a')).toBe(a)
    expect(await kept(theirs)).toBe(-1)
    expect(read(`content/${a}`)).toBe('a')
    fs.rmSync(join(theirs.folder, 'content', b))
    fs.rmSync(join(theirs.folder, 'releases/r1'), { recursive: true })
    expect(await kept(theirs)).toBe(0)
    expect(readable()).toEqual([`content/${a}`, 'releases/r2/release.json'])
    expect(fs.existsSync(join(host, 'releases/r1'))).toBe(false)
  })

  test('keeps folders of content with their modes, also read-only ones', async () => {
    const mine = await fetched()
    const folder = join(mine.folder, 'content/00ff')
    fs.mkdirSync(join(folder, 'inner'), { recursive: true })
    fs.writeFileSync(join(folder, 'inner/file'), 'x', { mode: 0o400 })
    fs.chmodSync(join(folder, 'inner'), 0o555)
    fs.chmodSync(folder, 0o555)
    expect(await kept(mine)).toBe(0)
    const modes = ['', '/inner', '/inner/file'].map((path) =>
      (fs.statSync(join(host, `content/00ff${path}`)).mode & 0o777).toString(8),
    )
    expect(modes).toEqual(['555', '555', '400'])
  })

  test('writes nothing for who has lost the lock', async () => {
    const mine = await fetched()
    write(mine, 'releases/r1/release.json', '{}')
    await kept(mine)
    fs.writeFileSync(join(host, 'locks/token'), 'another')
    const before = files()
    write(mine, 'releases/r1/release.json', '{"changed":true}')
    expect(await kept(mine, 'mine')).toBe(75)
    expect(files()).toEqual(before)
    expect(read('releases/r1/release.json')).toBe('{}')
    expect(await kept(mine, 'another')).toBe(0)
    expect(read('releases/r1/release.json')).toBe('{"changed":true}')
  })

  test('leaves what was there, whole, where the connection ends in the middle', async () => {
    const mine = await fetched()
    write(mine, 'releases.json', 'old')
    await kept(mine)
    write(mine, 'releases.json', 'new')
    const changes = await mine.changes()
    const archive = changes?.archive.toString('base64') ?? ''
    for (const length of [4, archive.length / 2, archive.length - 8]) {
      const { code } = await writeHost(changes as Changes, '', { input: archive.slice(0, length) })
      expect(code).toBe(74)
      expect([read('releases.json'), files().filter((path) => path.startsWith('.in-'))]).toEqual(['old', []])
    }
    expect(await kept(mine)).toBe(0)
    expect(read('releases.json')).toBe('new')
  })

  test('what is sent can be removed by all of the group, where a write has died over it', async () => {
    const mine = await fetched()
    write(mine, 'releases/r1/events.jsonl', 'one\n')
    await kept(mine)
    fs.appendFileSync(join(mine.folder, 'releases/r1/events.jsonl'), 'two\n')
    write(mine, 'releases.json', '{}')
    write(mine, 'locks/prod.json', '{}')
    const archive = join(root, `archive-${copies}`)
    fs.writeFileSync(archive, (await mine.changes())?.archive ?? '')
    const { stdout } = await exec(['tar', '-tvzf', archive])
    const modes = [...stdout.matchAll(/^(\S+) .* (\S+)$/gm)].map(([, mode, path]) => `${mode} ${path?.slice(0, 7)}`)
    expect(modes).toEqual(expect.arrayContaining(['./blobs', './tails', './locks'].map((name) => `-rw-rw---- ${name}`)))
    expect(modes.filter((mode) => !mode.startsWith('-rw-rw---- '))).toEqual([])
  })

  test('everything belongs to the group of the folder', async () => {
    const group = process.getuid?.() === 0 ? 12_345 : (process.getgid?.() ?? 0)
    fs.mkdirSync(host, { recursive: true })
    fs.chownSync(host, process.getuid?.() ?? 0, group)
    fs.chmodSync(host, 0o2770)
    const mine = await fetched()
    for (const text of ['one\n', 'one\ntwo\n']) {
      write(mine, 'releases/r1/events.jsonl', text)
      write(mine, 'releases.json', text)
      write(mine, 'locks/prod.json', text)
      await kept(mine)
    }
    // The lock for one write is made in a folder that has the socket's group, which is another one here.
    const sent = files().filter((path) => path !== 'locks/state')
    const others = sent.filter((path) => fs.statSync(join(host, path)).gid !== group)
    expect([others, files().length > 8]).toEqual([[], true])
  })

  test('writes nothing where somebody else has written since it was read', async () => {
    const [mine, theirs] = [await fetched(), await fetched()]
    write(theirs, 'releases.json', 'theirs')
    expect(await kept(theirs)).toBe(0)
    write(mine, 'releases.json', 'mine')
    expect(await kept(mine)).toBe(EXITS.changed)
    expect([read('releases.json'), files().filter((path) => path.startsWith('.in-'))]).toEqual(['theirs', []])
  })

  test("replaces nobody's hold that it has not seen; a hold alone changes no state", async () => {
    const [mine, theirs] = [await fetched(), await fetched()]
    write(theirs, 'locks/prod.hold.json', '{"user":"ben"}')
    expect(await kept(theirs)).toBe(0)
    expect(files().includes('head')).toBe(false)
    write(mine, 'locks/prod.hold.json', '{"user":"ana"}')
    expect(await kept(mine)).toBe(EXITS.changed)
    expect(read('locks/prod.hold.json')).toBe('{"user":"ben"}')
    const again = await fetched()
    fs.rmSync(join(again.folder, 'locks/prod.hold.json'))
    expect(await kept(again)).toBe(0)
    expect(files().filter((path) => path.endsWith('.hold.json'))).toEqual([])
  })

  test('waits for a lock that somebody has for a write, but not for ever', async () => {
    const mine = await fetched()
    write(mine, 'releases.json', 'one')
    await kept(mine)
    const other = exec(['flock', join(host, 'locks/state'), 'sh', '-c', 'sleep 3'])
    await Bun.sleep(200)
    write(mine, 'releases.json', 'two')
    expect(await kept(mine)).toBe(0)
    await other
    expect(read('releases.json')).toBe('two')
  })

  test('takes over what an earlier version has written, which had no objects', async () => {
    for (const [path, text] of EARLIER) {
      fs.mkdirSync(join(host, path, '..'), { recursive: true })
      fs.writeFileSync(join(host, path), text)
    }
    const state = await readHost()
    if ('why' in state) throw new Error(state.path)
    expect([state.legacy, state.head, state.content]).toEqual([true, '', ['00ff']])
    const mine = await fetched()
    expect(await kept(mine)).toBe(-1)
    write(mine, 'releases/r1/events.jsonl', 'one\ntwo\n')
    expect(await kept(mine)).toBe(0)
    const again = await readHost()
    if ('why' in again) throw new Error(again.path)
    expect(again.legacy).toBe(false)
    const texts = [...again.files].map(([path, bytes]) => [path, Buffer.from(bytes).toString()])
    expect(texts.sort()).toEqual([
      ['releases.json', '{"releases":[]}'],
      ['releases/r1/compose.json', '{}'],
      ['releases/r1/events.jsonl', 'one\ntwo\n'],
      ['releases/r1/release.json', '{}'],
    ])
  })

  test('takes over once more what was taken over before, where somebody has removed head', async () => {
    const mine = await fetched()
    write(mine, 'releases.json', 'one')
    write(mine, 'releases/r1/release.json', '{}')
    await kept(mine)
    fs.rmSync(join(host, 'head'))
    fs.writeFileSync(join(host, 'releases.json'), 'by hand')
    const again = await fetched()
    write(again, 'releases/r1/release.json', '{"v":1}')
    expect(await kept(again)).toBe(0)
    const state = await readHost()
    if ('why' in state) throw new Error(state.path)
    expect([...state.files.values()].map((bytes) => Buffer.from(bytes).toString()).sort()).toEqual([
      'by hand',
      '{"v":1}',
    ])
  })

  test('readable names are links to the objects, and come back where they are gone or were copied', async () => {
    const mine = await fetched()
    write(mine, 'releases.json', 'one')
    write(mine, 'releases/r1/release.json', '{}')
    await kept(mine)
    expect(fs.statSync(join(host, 'releases.json')).nlink).toBe(2)
    fs.rmSync(join(host, 'releases'), { recursive: true })
    fs.copyFileSync(join(host, 'releases.json'), join(host, 'copy'))
    fs.renameSync(join(host, 'copy'), join(host, 'releases.json'))
    const theirs = await fetched()
    write(theirs, 'releases/r2/release.json', '{"v":1}')
    expect(await kept(theirs)).toBe(0)
    expect(readable()).toEqual(['releases.json', 'releases/r1/release.json', 'releases/r2/release.json'])
    expect(fs.statSync(join(host, 'releases.json')).nlink).toBe(2)
  })

  test('keeps no object longer than the state after its own', async () => {
    const mine = await fetched()
    for (const text of ['one', 'two', 'three', 'four']) {
      write(mine, 'releases.json', text)
      await kept(mine)
    }
    expect(files().filter((path) => path.startsWith('objects/'))).toHaveLength(4)
  })

  test.each([
    ['is another one', () => fs.writeFileSync(join(host, 'releases.json'), 'other'), 'damaged releases.json'],
    ['was replaced', () => replace('releases.json', 'other'), 'damaged releases.json'],
    [
      'of a release was replaced',
      () => replace('releases/r1/release.json', '{"x":1}'),
      'damaged releases/r1/release.json',
    ],
    ['leads elsewhere', () => fs.writeFileSync(join(host, 'head'), '../../etc/passwd x\n'), /^(foreign head|damaged)/],
    ['is empty', () => fs.writeFileSync(join(host, 'head'), ''), /^(foreign|damaged)/],
  ] as const)('a file that %s is found out', async (_, change, found) => {
    const mine = await fetched()
    write(mine, 'releases.json', 'one')
    write(mine, 'releases/r1/release.json', '{}')
    await kept(mine)
    change()
    const state = await readHost()
    expect('why' in state ? `${state.why} ${state.path}` : 'nothing').toMatch(found)
  })

  const nobody = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []
  test.each([
    ['releases.json', 'releases.json', 0o600],
    ['releases/r1/release.json', 'releases/r1/release.json', 0o600],
    ['head', 'head', 0o600],
    ['releases', 'releases', 0o700],
    ['objects', 'objects', 0o700],
    ['locks/prod.json', 'locks/prod.json', 0o600],
    ['content', 'content', 0o700],
  ])('a user who may not read %s is told so', async (path, named, mode) => {
    const mine = await fetched()
    write(mine, 'releases.json', 'one')
    write(mine, 'releases/r1/release.json', '{}')
    write(mine, 'locks/prod.json', '{}')
    content(mine, 'a')
    await kept(mine)
    open(join(host, '../..'))
    fs.chmodSync(join(host, path), nobody.length > 0 ? mode : 0)
    const { stdout } = await exec([...nobody, 'sh', '-c', READ, 'sh', host, 'prod'])
    fs.chmodSync(join(host, path), 0o770)
    const state = parseHostState(stdout, 'prod')
    expect('why' in state ? `${state.why} ${state.path}` : 'nothing').toBe(`unreadable ${named}`)
  })

  test('a user who may not look into a folder on the way is told so', async () => {
    const mine = await fetched()
    write(mine, 'releases.json', 'one')
    await kept(mine)
    open(join(host, '../..'))
    fs.chmodSync(join(host, '..'), nobody.length > 0 ? 0o700 : 0)
    const { stdout } = await exec([...nobody, 'sh', '-c', READ, 'sh', host, 'prod'])
    fs.chmodSync(join(host, '..'), 0o770)
    expect(parseHostState(stdout, 'prod')).toMatchObject({ why: 'unreadable', path: join(host, '..') })
  })

  test('who reads while others write has one of the states that were written', async () => {
    const bin = join(root, `slow-${copies}`)
    fs.mkdirSync(bin)
    fs.writeFileSync(join(bin, 'sync'), '#!/bin/sh\nsleep 0.1\n', { mode: 0o755 })
    const env = { PATH: `${bin}:${process.env['PATH']}` }
    const mine = await fetched()
    const states = new Set([''])
    const print = (text: string, count: number) =>
      JSON.stringify(Array.from({ length: count }, (_, at) => [at, text])).slice(0, 400)
    let over = false
    const writing = (async () => {
      for (let version = 1; version <= 6; version++) {
        for (let at = 0; at < 5; at++) write(mine, `releases/r${at}/release.json`, print(`v${version}`, version))
        write(mine, 'releases.json', `v${version}`)
        states.add(`v${version}`)
        expect(await kept(mine, '', { env })).toBe(0)
      }
      over = true
    })()
    let reads = 0
    const seen = new Set<string>()
    while (!over) {
      const state = await readHost()
      if ('why' in state) continue // its objects were gone: it reads again
      const text = (path: string) => Buffer.from(state.files.get(path) ?? '').toString()
      const version = text('releases.json')
      expect(states.has(version)).toBe(true)
      const others = [0, 1, 2, 3, 4].map((at) => text(`releases/r${at}/release.json`))
      const wanted = version === '' ? '' : print(version, Number(version.slice(1)))
      expect(others).toEqual([wanted, wanted, wanted, wanted, wanted])
      seen.add(version)
      reads++
    }
    await writing
    expect([reads > 10, seen.size > 3]).toEqual([true, true])
  }, 60_000)
})

const EARLIER = [
  ['releases.json', '{"releases":[]}'],
  ['releases/r1/release.json', '{}'],
  ['releases/r1/compose.json', '{}'],
  ['releases/r1/events.jsonl', 'one\n'],
  ['content/00ff', 'kept'],
  ['generation', '1'],
] as const

/** As an editor does it that writes a new file. */
function replace(path: string, text: string): void {
  fs.writeFileSync(join(host, 'new'), text)
  fs.renameSync(join(host, 'new'), join(host, path))
}

/** Lets everybody look in: what is closed below stays closed. */
function open(folder: string): void {
  fs.chmodSync(root, 0o755)
  const walk = (path: string) => {
    const stat = fs.lstatSync(path)
    fs.chmodSync(path, stat.isDirectory() ? 0o777 : 0o666)
    if (stat.isDirectory()) for (const name of fs.readdirSync(path)) walk(join(path, name))
  }
  walk(folder)
}
