import { describe, expect, test } from 'bun:test'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { openState, stateFile } from '../../lib/record/releases.ts'
import { clock, complete, modeOf, NEW, read, stateFiles } from '../scenes/state-file.ts'
import { errorOf } from '../support/failure.ts'
import { expectGolden, fencesOf } from '../support/golden.ts'
import { DEAD_PID } from '../support/temporary.ts'

const { newFile, stateWith } = stateFiles()

describe('the file', () => {
  test('is as the spec shows it', () => {
    const state = openState(newFile(), { clock })
    complete(state, state.createRelease(NEW).id)
    state.createRelease({ ...NEW, version: 'v2 <&> "é"', commit_sha: '0123456789abcdef0123456789abcdef01234567' })
    expectGolden('core/state.md', 'state-file', read(state))
    expect(read(state)).not.toEndWith('\n')
  })

  test('keeps what other tools wrote, as the spec shows it', () => {
    const spec = readFileSync(join(import.meta.dir, '../../spec/core/state.md'), 'utf8')
    const before = fencesOf(spec).find(({ golden }) => golden === 'state-foreign-before')?.content ?? ''
    const state = stateWith(`${before}\n`)
    expectGolden('core/state.md', 'state-foreign-before', read(state))
    state.updatePhase('rel-20261101-101501', 'build', 'running')
    expectGolden('core/state.md', 'state-foreign-after', read(state))
    const once = read(state)
    for (let times = 0; times < 20; times++) state.updatePhase('rel-20261101-101501', 'build', 'running')
    const other = openState(state.file, { clock })
    for (let times = 0; times < 20; times++) other.updatePhase('rel-20261101-101501', 'build', 'running')
    expect(read(state)).toBe(once)
  })

  test("is the project's own unless another is named", () => {
    expect(stateFile('/srv/shop')).toBe('/srv/shop/.stagecraft/releases.json')
    expect(stateFile('/srv/shop', '')).toBe('/srv/shop/.stagecraft/releases.json')
    expect(stateFile('/srv/shop', '/var/lib/shop.json')).toBe('/var/lib/shop.json')
    expect(stateFile('/srv/shop', 'shop.json')).toBe(join(process.cwd(), 'shop.json'))
  })

  test('is not made by reading, nor is its folder', () => {
    const state = openState(newFile(), { clock })
    const found = [state.listReleases(), state.getRelease('x'), state.getCurrentRelease('prod')]
    expect(found).toEqual([[], undefined, undefined])
    expect(existsSync(dirname(dirname(state.file)))).toBe(false)
    expect(errorOf(() => state.updatePhase('rel-x', 'build', 'running'))).toMatchObject({
      kind: 'not-found',
      message: `Cannot find release "rel-x": it is not in ${state.file}`,
      hint: '"stagecraft releases list" shows the releases.',
    })
    expect(existsSync(state.file)).toBe(false)
  })

  test('and its folder are not readable by others, and git does not see them', () => {
    const state = openState(newFile(), { clock })
    const umask = process.umask(0)
    try {
      state.createRelease(NEW)
    } finally {
      process.umask(umask)
    }
    const folder = dirname(state.file)
    expect(readdirSync(folder).toSorted()).toEqual(['.gitignore', 'locks', 'releases.json'])
    expect([modeOf(folder), modeOf(state.file)]).toEqual(['750', '600'])
    expect([modeOf(join(folder, 'locks')), modeOf(join(folder, 'locks/state'))]).toEqual(['700', '600'])
    expect(readFileSync(join(folder, '.gitignore'), 'utf8')).toBe('*\n')
  })

  test('that others could read is closed by the next write', () => {
    const state = openState(newFile(), { clock })
    const { id } = state.createRelease(NEW)
    chmodSync(state.file, 0o644)
    state.updatePhase(id, 'build', 'running')
    expect(modeOf(state.file)).toBe('600')
  })

  test('leaves a .gitignore alone that is there, and makes none in other folders', () => {
    const state = openState(newFile(), { clock })
    const gitignore = join(dirname(state.file), '.gitignore')
    mkdirSync(dirname(state.file), { recursive: true })
    writeFileSync(gitignore, '!releases.json\n')
    state.createRelease(NEW)
    expect(readFileSync(gitignore, 'utf8')).toBe('!releases.json\n')

    const elsewhere = openState(newFile('shop.json'), { clock })
    elsewhere.createRelease(NEW)
    expect(readdirSync(dirname(elsewhere.file)).toSorted()).toEqual(['locks', 'shop.json'])
  })

  test('stays a symlink, and its temporary files are created next to its target', () => {
    const state = openState(newFile(), { clock })
    mkdirSync(dirname(state.file), { recursive: true })
    const target = newFile('shared.json')
    symlinkSync(target, state.file)
    expect(state.listReleases()).toEqual([])
    mkdirSync(dirname(target))
    const dead = DEAD_PID
    writeFileSync(join(dirname(target), `.releases-${dead}-1.tmp`), '')
    const { id } = state.createRelease(NEW)
    state.updatePhase(id, 'build', 'running')
    expect([readlinkSync(state.file), modeOf(target)]).toEqual([target, '600'])
    expect(readdirSync(dirname(target)).toSorted()).toEqual(['locks', 'shared.json'])
    expect(openState(target, { clock }).getRelease(id)?.phases.build).toBe('running')
  })

  test('loses temporary files of dead processes at the next write, not at the next read', () => {
    const state = openState(newFile(), { clock })
    state.createRelease(NEW)
    const folder = dirname(state.file)
    const dead = `.releases-${DEAD_PID}-1.tmp`
    const alive = `.releases-${process.ppid}-1.tmp`
    for (const name of [dead, alive]) writeFileSync(join(folder, name), '')
    state.listReleases()
    expect(readdirSync(folder).toSorted()).toEqual(['.gitignore', dead, alive, 'locks', 'releases.json'].toSorted())
    state.createRelease(NEW)
    expect(readdirSync(folder).toSorted()).toEqual(['.gitignore', alive, 'locks', 'releases.json'].toSorted())
  })
})
