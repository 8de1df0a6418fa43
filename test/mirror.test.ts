import { afterAll, beforeEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storeText } from '../lib/content.ts'
import { exec } from '../lib/exec.ts'
import { type Mirror, openMirror } from '../lib/mirror.ts'
import { openState } from '../lib/state.ts'
import { FETCH, KEEP } from '../lib/state-scripts.ts'

// The host's side is the same scripts, run by this machine's shell: a folder stands for the host.
const root = fs.mkdtempSync(join(tmpdir(), 'stagecraft-mirror-'))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

let host = ''
let copies = 0
beforeEach(() => {
  host = join(root, `host-${copies}/shop/prod`)
})
const files = () => (fs.existsSync(host) ? [...new Bun.Glob('**').scanSync({ cwd: host, dot: true })].sort() : [])
const read = (path: string) => fs.readFileSync(join(host, path), 'utf8')

async function fetched(): Promise<Mirror> {
  const mirror = openMirror(exec, join(root, `copy-${++copies}`))
  const { code, stdout } = await exec(['sh', '-c', FETCH, 'sh', host, 'prod'])
  expect(code).toBe(0)
  const [head = '', archive = ''] = stdout.split('\nfiles\n')
  const content = [...head.matchAll(/^content (.*)$/gm)].map(([, name = '']) => name)
  await mirror.fill(Buffer.from(archive, 'base64'), content)
  return mirror
}

async function kept(mirror: Mirror, token = '', more: Record<string, string> = {}): Promise<number> {
  const changes = await mirror.changes()
  if (changes === undefined) return -1
  const input = changes.archive.toString('base64')
  const { code, stdout, stderr } = await exec(['sh', '-c', KEEP, 'sh', host, token, '/dev/null'], {
    input,
    env: more,
  })
  if (code === 0) {
    expect([stdout, stderr]).toEqual(['kept\n', ''])
    changes.kept()
  }
  return code
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
    expect(files()).toEqual([
      ...[`content/${hash}`, 'generation', 'locks/state', 'releases.json'],
      ...[`releases/${id}/events.jsonl`, `releases/${id}/release.json`],
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
    fs.writeFileSync(join(host, 'releases/r1/release.json'), 'not sent again')
    const second = (await mine.changes())?.archive.length ?? 0
    expect(await kept(mine)).toBe(0)
    expect(read('releases/r1/events.jsonl')).toBe(`${'x'.repeat(200_000)}\nmore\n`)
    expect(read('releases/r1/release.json')).toBe('not sent again')
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
    expect(files()).toEqual([`content/${a}`, 'generation', 'locks/state', 'releases/r2/release.json'])
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
    const archive = (await mine.changes())?.archive.toString('base64') ?? ''
    const half = archive.slice(0, archive.length / 2)
    const { code } = await exec(['sh', '-c', KEEP, 'sh', host, '', '/dev/null'], { input: half })
    expect(code).toBe(74)
    expect([read('releases.json'), files().filter((path) => path.startsWith('.in-'))]).toEqual(['old', []])
    expect(await kept(mine)).toBe(0)
    expect(read('releases.json')).toBe('new')
  })
})
