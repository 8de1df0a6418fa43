import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { READ } from '../../lib/hosts/scripts/objects.ts'
import { parseHostState } from '../../lib/hosts/state/answer.ts'
import { exec } from '../../lib/system/exec.ts'
import { content, hostFolders, write } from '../scenes/host-folder.ts'

const host = hostFolders()

describe('a mirror of a folder on a host', () => {
  test('takes over what an earlier version has written, which had no objects', async () => {
    for (const [path, text] of EARLIER) {
      fs.mkdirSync(join(host.at(path), '..'), { recursive: true })
      fs.writeFileSync(host.at(path), text)
    }
    const state = await host.readHost()
    if ('why' in state) throw new Error(state.path)
    expect([state.legacy, state.head, state.content]).toEqual([true, '', ['00ff']])
    const mine = await host.fetched()
    expect(await host.kept(mine)).toBe(-1)
    write(mine, 'releases/r1/events.jsonl', 'one\ntwo\n')
    expect(await host.kept(mine)).toBe(0)
    const again = await host.readHost()
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
    const mine = await host.fetched()
    write(mine, 'releases.json', 'one')
    write(mine, 'releases/r1/release.json', '{}')
    await host.kept(mine)
    fs.rmSync(host.at('head'))
    fs.writeFileSync(host.at('releases.json'), 'by hand')
    const again = await host.fetched()
    write(again, 'releases/r1/release.json', '{"v":1}')
    expect(await host.kept(again)).toBe(0)
    const state = await host.readHost()
    if ('why' in state) throw new Error(state.path)
    expect([...state.files.values()].map((bytes) => Buffer.from(bytes).toString()).sort()).toEqual([
      'by hand',
      '{"v":1}',
    ])
  })

  test('readable names are links to the objects, and are restored where they are missing or were copied', async () => {
    const mine = await host.fetched()
    write(mine, 'releases.json', 'one')
    write(mine, 'releases/r1/release.json', '{}')
    await host.kept(mine)
    expect(fs.statSync(host.at('releases.json')).nlink).toBe(2)
    fs.rmSync(host.at('releases'), { recursive: true })
    fs.copyFileSync(host.at('releases.json'), host.at('copy'))
    fs.renameSync(host.at('copy'), host.at('releases.json'))
    const theirs = await host.fetched()
    write(theirs, 'releases/r2/release.json', '{"v":1}')
    expect(await host.kept(theirs)).toBe(0)
    expect(host.readable()).toEqual(['releases.json', 'releases/r1/release.json', 'releases/r2/release.json'])
    expect(fs.statSync(host.at('releases.json')).nlink).toBe(2)
  })

  test.each([
    ['is another one', () => fs.writeFileSync(host.at('releases.json'), 'other'), 'damaged releases.json'],
    ['was replaced', () => replace('releases.json', 'other'), 'damaged releases.json'],
    [
      'of a release was replaced',
      () => replace('releases/r1/release.json', '{"x":1}'),
      'damaged releases/r1/release.json',
    ],
    ['leads elsewhere', () => fs.writeFileSync(host.at('head'), '../../etc/passwd x\n'), /^(foreign head|damaged)/],
    ['is empty', () => fs.writeFileSync(host.at('head'), ''), /^(foreign|damaged)/],
  ] as const)('a file that %s is found out', async (_, change, found) => {
    const mine = await host.fetched()
    write(mine, 'releases.json', 'one')
    write(mine, 'releases/r1/release.json', '{}')
    await host.kept(mine)
    change()
    const state = await host.readHost()
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
  ])('reports that a user may not read %s', async (path, named, mode) => {
    const mine = await host.fetched()
    write(mine, 'releases.json', 'one')
    write(mine, 'releases/r1/release.json', '{}')
    write(mine, 'locks/prod.json', '{}')
    content(mine, 'a')
    await host.kept(mine)
    open(host.at('../..'))
    fs.chmodSync(host.at(path), nobody.length > 0 ? mode : 0)
    const { stdout } = await exec([...nobody, 'sh', '-c', READ, 'sh', host.at(), 'prod'])
    fs.chmodSync(host.at(path), 0o770)
    const state = parseHostState(stdout, 'prod')
    expect('why' in state ? `${state.why} ${state.path}` : 'nothing').toBe(`unreadable ${named}`)
  })

  test('reports that a user may not look into a parent folder', async () => {
    const mine = await host.fetched()
    write(mine, 'releases.json', 'one')
    await host.kept(mine)
    open(host.at('../..'))
    fs.chmodSync(host.at('..'), nobody.length > 0 ? 0o700 : 0)
    const { stdout } = await exec([...nobody, 'sh', '-c', READ, 'sh', host.at(), 'prod'])
    fs.chmodSync(host.at('..'), 0o770)
    expect(parseHostState(stdout, 'prod')).toMatchObject({ why: 'unreadable', path: host.at('..') })
  })

  test('who reads while others write has one of the states that were written', async () => {
    const bin = host.fresh('slow')
    fs.mkdirSync(bin)
    fs.writeFileSync(join(bin, 'sync'), '#!/bin/sh\nsleep 0.1\n', { mode: 0o755 })
    const env = { PATH: `${bin}:${process.env['PATH']}` }
    const mine = await host.fetched()
    const states = new Set([''])
    const print = (text: string, count: number) =>
      JSON.stringify(Array.from({ length: count }, (_, at) => [at, text])).slice(0, 400)
    let over = false
    const writing = (async () => {
      for (let version = 1; version <= 6; version++) {
        for (let at = 0; at < 5; at++) write(mine, `releases/r${at}/release.json`, print(`v${version}`, version))
        write(mine, 'releases.json', `v${version}`)
        states.add(`v${version}`)
        expect(await host.kept(mine, '', { env })).toBe(0)
      }
      over = true
    })()
    let reads = 0
    const seen = new Set<string>()
    while (!over) {
      const state = await host.readHost()
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
  })
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
  fs.writeFileSync(host.at('new'), text)
  fs.renameSync(host.at('new'), host.at(path))
}

/** Lets everybody look in: what is closed below stays closed. */
function open(folder: string): void {
  fs.chmodSync(host.root, 0o755)
  const walk = (path: string) => {
    const stat = fs.lstatSync(path)
    fs.chmodSync(path, stat.isDirectory() ? 0o777 : 0o666)
    if (stat.isDirectory()) for (const name of fs.readdirSync(path)) walk(join(path, name))
  }
  walk(folder)
}
