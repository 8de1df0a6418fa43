import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { EXITS } from '../../lib/hosts/scripts/objects.ts'
import type { Changes } from '../../lib/hosts/state/copy.ts'
import { openState } from '../../lib/record/releases.ts'
import { exec } from '../../lib/system/exec.ts'
import { content, hostFolders, write } from '../scenes/host-folder.ts'

const host = hostFolders()

describe('a mirror of a folder on a host', () => {
  test('brings a new state there, and another one finds it as it was', async () => {
    const mine = await host.fetched()
    const state = openState(join(mine.folder, 'releases.json'), { clock: () => Date.UTC(2026, 10, 22) })
    const { id } = state.createRelease({ environment: 'prod', version: 'v1', commit_sha: '' })
    write(mine, `releases/${id}/release.json`, '{"v":1}')
    write(mine, `releases/${id}/events.jsonl`, 'one\n')
    const hash = content(mine, 'motd', 0o640)
    expect(await host.kept(mine)).toBe(0)
    expect(host.readable()).toEqual([
      ...[`content/${hash}`, 'releases.json', `releases/${id}/events.jsonl`, `releases/${id}/release.json`],
    ])
    const mode = (path: string) => (fs.statSync(host.at(path)).mode & 0o7777).toString(8)
    expect([mode('.'), mode('releases.json'), mode(`content/${hash}`)]).toEqual(['2770', '660', '640'])
    const theirs = await host.fetched()
    const again = openState(join(theirs.folder, 'releases.json'), { clock: Date.now })
    expect(again.listReleases()).toEqual(state.listReleases())
    expect(fs.readFileSync(join(theirs.folder, `releases/${id}/events.jsonl`), 'utf8')).toBe('one\n')
    expect(await host.kept(theirs)).toBe(-1)
  })

  test('sends only what has changed; of events only what was added', async () => {
    const mine = await host.fetched()
    write(mine, 'releases/r1/events.jsonl', `${'x'.repeat(200_000)}\n`)
    write(mine, 'releases/r1/release.json', '{}')
    const first = (await mine.changes())?.archive.length ?? 0
    expect(await host.kept(mine)).toBe(0)
    fs.appendFileSync(join(mine.folder, 'releases/r1/events.jsonl'), 'more\n')
    const second = (await mine.changes())?.archive.length ?? 0
    expect(await host.kept(mine)).toBe(0)
    expect(host.read('releases/r1/events.jsonl')).toBe(`${'x'.repeat(200_000)}\nmore\n`)
    expect([first > 0, second < 1000]).toEqual([true, true])
  })

  test('knows content by its name, and never takes it over; removes what is removed', async () => {
    const mine = await host.fetched()
    const [a, b] = [content(mine, 'a'), content(mine, 'b')]
    write(mine, 'releases/r1/release.json', '{}')
    write(mine, 'releases/r1/compose.json', '{}')
    write(mine, 'releases/r2/release.json', '{}')
    await host.kept(mine)
    const theirs = await host.fetched()
    expect(content(theirs, 'a')).toBe(a)
    expect(await host.kept(theirs)).toBe(-1)
    expect(host.read(`content/${a}`)).toBe('a')
    fs.rmSync(join(theirs.folder, 'content', b))
    fs.rmSync(join(theirs.folder, 'releases/r1'), { recursive: true })
    expect(await host.kept(theirs)).toBe(0)
    expect(host.readable()).toEqual([`content/${a}`, 'releases/r2/release.json'])
    expect(fs.existsSync(host.at('releases/r1'))).toBe(false)
  })

  test('keeps folders of content with their modes, also read-only ones', async () => {
    const mine = await host.fetched()
    const folder = join(mine.folder, 'content/00ff')
    fs.mkdirSync(join(folder, 'inner'), { recursive: true })
    fs.writeFileSync(join(folder, 'inner/file'), 'x', { mode: 0o400 })
    fs.chmodSync(join(folder, 'inner'), 0o555)
    fs.chmodSync(folder, 0o555)
    expect(await host.kept(mine)).toBe(0)
    const modes = ['', '/inner', '/inner/file'].map((path) =>
      (fs.statSync(host.at(`content/00ff${path}`)).mode & 0o777).toString(8),
    )
    expect(modes).toEqual(['555', '555', '400'])
  })

  test('writes nothing for who has lost the lock', async () => {
    const mine = await host.fetched()
    write(mine, 'releases/r1/release.json', '{}')
    await host.kept(mine)
    fs.writeFileSync(host.at('locks/token'), 'another')
    const before = host.files()
    write(mine, 'releases/r1/release.json', '{"changed":true}')
    expect(await host.kept(mine, 'mine')).toBe(75)
    expect(host.files()).toEqual(before)
    expect(host.read('releases/r1/release.json')).toBe('{}')
    expect(await host.kept(mine, 'another')).toBe(0)
    expect(host.read('releases/r1/release.json')).toBe('{"changed":true}')
  })

  test('leaves what was there, whole, where the connection ends in the middle', async () => {
    const mine = await host.fetched()
    write(mine, 'releases.json', 'old')
    await host.kept(mine)
    write(mine, 'releases.json', 'new')
    const changes = await mine.changes()
    const archive = changes?.archive.toString('base64') ?? ''
    for (const length of [4, archive.length / 2, archive.length - 8]) {
      const { code } = await host.writeHost(changes as Changes, '', { input: archive.slice(0, length) })
      expect(code).toBe(74)
      expect([host.read('releases.json'), host.files().filter((path) => path.startsWith('.in-'))]).toEqual(['old', []])
    }
    expect(await host.kept(mine)).toBe(0)
    expect(host.read('releases.json')).toBe('new')
  })

  test('what is sent can be removed by all of the group, where a write has died over it', async () => {
    const mine = await host.fetched()
    write(mine, 'releases/r1/events.jsonl', 'one\n')
    await host.kept(mine)
    fs.appendFileSync(join(mine.folder, 'releases/r1/events.jsonl'), 'two\n')
    write(mine, 'releases.json', '{}')
    write(mine, 'locks/prod.json', '{}')
    const archive = host.fresh('archive')
    fs.writeFileSync(archive, (await mine.changes())?.archive ?? '')
    const { stdout } = await exec(['tar', '-tvzf', archive])
    const modes = [...stdout.matchAll(/^(\S+) .* (\S+)$/gm)].map(([, mode, path]) => `${mode} ${path?.slice(0, 7)}`)
    expect(modes).toEqual(expect.arrayContaining(['./blobs', './tails', './locks'].map((name) => `-rw-rw---- ${name}`)))
    expect(modes.filter((mode) => !mode.startsWith('-rw-rw---- '))).toEqual([])
  })

  test('everything belongs to the group of the folder', async () => {
    const group = process.getuid?.() === 0 ? 12_345 : (process.getgid?.() ?? 0)
    fs.mkdirSync(host.at(), { recursive: true })
    fs.chownSync(host.at(), process.getuid?.() ?? 0, group)
    fs.chmodSync(host.at(), 0o2770)
    const mine = await host.fetched()
    for (const text of ['one\n', 'one\ntwo\n']) {
      write(mine, 'releases/r1/events.jsonl', text)
      write(mine, 'releases.json', text)
      write(mine, 'locks/prod.json', text)
      await host.kept(mine)
    }
    // The lock for one write is made in a folder that has the socket's group, which is another one here.
    const sent = host.files().filter((path) => path !== 'locks/state')
    const others = sent.filter((path) => fs.statSync(host.at(path)).gid !== group)
    expect([others, host.files().length > 8]).toEqual([[], true])
  })

  test('writes nothing where somebody else has written since it was read', async () => {
    const [mine, theirs] = [await host.fetched(), await host.fetched()]
    write(theirs, 'releases.json', 'theirs')
    expect(await host.kept(theirs)).toBe(0)
    write(mine, 'releases.json', 'mine')
    expect(await host.kept(mine)).toBe(EXITS.changed)
    expect([host.read('releases.json'), host.files().filter((path) => path.startsWith('.in-'))]).toEqual(['theirs', []])
  })

  test("replaces nobody's hold that it has not seen; a hold alone changes no state", async () => {
    const [mine, theirs] = [await host.fetched(), await host.fetched()]
    write(theirs, 'locks/prod.hold.json', '{"user":"ben"}')
    expect(await host.kept(theirs)).toBe(0)
    expect(host.files().includes('head')).toBe(false)
    write(mine, 'locks/prod.hold.json', '{"user":"ana"}')
    expect(await host.kept(mine)).toBe(EXITS.changed)
    expect(host.read('locks/prod.hold.json')).toBe('{"user":"ben"}')
    const again = await host.fetched()
    fs.rmSync(join(again.folder, 'locks/prod.hold.json'))
    expect(await host.kept(again)).toBe(0)
    expect(host.files().filter((path) => path.endsWith('.hold.json'))).toEqual([])
  })

  test('waits for a lock that somebody has for a write, but not for ever', async () => {
    const mine = await host.fetched()
    write(mine, 'releases.json', 'one')
    await host.kept(mine)
    const other = exec(['flock', host.at('locks/state'), 'sh', '-c', 'sleep 3'])
    await Bun.sleep(200)
    write(mine, 'releases.json', 'two')
    expect(await host.kept(mine)).toBe(0)
    await other
    expect(host.read('releases.json')).toBe('two')
  })

  test('keeps no object longer than the state after its own', async () => {
    const mine = await host.fetched()
    for (const text of ['one', 'two', 'three', 'four']) {
      write(mine, 'releases.json', text)
      await host.kept(mine)
    }
    expect(host.files().filter((path) => path.startsWith('objects/'))).toHaveLength(4)
  })
})
