import { describe, expect, test } from 'bun:test'
import { mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { openState, type State } from '../../lib/record/releases.ts'
import { clock, complete, NEW, NOW, read, stateFiles } from '../scenes/state-file.ts'
import { errorOf } from '../support/failure.ts'

const { newFile, stateWith } = stateFiles()

describe('ids', () => {
  test('increase when the clock steps back, also past ids that other tools wrote', () => {
    const times = [NOW, NOW - 86_400_000, NOW + 5, 0]
    const state = openState(newFile(), { clock: () => times.shift() ?? Number.NaN })
    const ids = times.map(() => undefined).map(() => state.createRelease(NEW).id)
    expect(ids).toEqual(['643', '644', '648', '649'].map((ms) => `rel-20261122-080225${ms}`))

    const foreign = stateWith(read(state).replace('rel-20261122-080225643', 'rel-20261122-080226'))
    expect(foreign.createRelease(NEW)).toMatchObject({
      id: 'rel-20261122-080226001',
      timestamp: '2026-11-22T08:02:26.001Z',
    })
  })

  test('that leave no later one are a state error', () => {
    const state = openState(newFile(), { clock: () => Date.UTC(9999, 11, 31, 23, 59, 59, 999) })
    state.createRelease(NEW)
    const before = read(state)
    expect(errorOf(() => state.createRelease(NEW))).toMatchObject({
      kind: 'state',
      message: `Cannot create a release in ${state.file}: no id is left after its greatest one`,
    })
    expect(read(state)).toBe(before)
  })
})

describe('releases', () => {
  test('know the release of their environment before them, whatever became of it', () => {
    const state = openState(newFile(), { clock })
    const first = state.createRelease(NEW)
    const other = state.createRelease({ ...NEW, environment: 'staging' })
    state.updatePhases(first.id, { build: 'failed', push: 'skipped' })
    const second = state.createRelease(NEW)
    expect([first.previous_id, other.previous_id, second.previous_id]).toEqual([undefined, undefined, first.id])
    expect(Object.keys(first)).toEqual(['id', 'environment', 'version', 'commit_sha', 'timestamp', 'phases'])
  })

  test('are listed newest first, of one environment, up to a limit', () => {
    const state = openState(newFile(), { clock })
    const environments = ['prod', 'staging', 'prod', 'prod']
    const [a, b, c, d] = environments.map((environment) => state.createRelease({ ...NEW, environment }).id)
    const ids = (filter?: Parameters<State['listReleases']>[0]) => state.listReleases(filter).map(({ id }) => id)
    expect<unknown>([ids(), ids({ limit: 2 }), ids({ environment: 'prod', limit: 2 }), ids({ limit: 0 })]).toEqual([
      [d, c, b, a],
      [d, c],
      [d, c],
      [],
    ])
    expect<unknown>([ids({ environment: 'staging' }), ids({ environment: 'qa' }), ids({ limit: 9 })]).toEqual([
      [b],
      [],
      [d, c, b, a],
    ])
  })

  test('are current only when all six phases are completed', () => {
    const state = openState(newFile(), { clock })
    const [first, second] = [state.createRelease(NEW), state.createRelease(NEW)]
    const current = () => [state.getCurrentRelease('prod')?.id, state.getCurrentRelease('staging')?.id]
    expect(current()).toEqual([undefined, undefined])
    complete(state, second.id)
    complete(state, first.id)
    expect(current()).toEqual([second.id, undefined])
    state.updatePhase(second.id, 'finalize', 'failed')
    expect(current()).toEqual([first.id, undefined])
    expect([state.findRelease('current').id, state.findRelease('latest', 'prod').id]).toEqual([first.id, second.id])
  })

  test('change in one write, however many phases change', () => {
    const state = openState(newFile(), { clock })
    const { id } = state.createRelease(NEW)
    state.updatePhase(id, 'push', 'running')
    const changed = state.updatePhases(id, { push: 'failed', migrate_pre: 'skipped', rollout: 'skipped' })
    expect(changed.phases).toEqual({
      build: 'pending',
      push: 'failed',
      migrate_pre: 'skipped',
      rollout: 'skipped',
      migrate_post: 'pending',
      finalize: 'pending',
    })
    expect(openState(state.file, { clock }).getRelease(id)).toEqual(changed)
  })

  test('run one phase at a time: a second one is a bug, and not written', () => {
    const state = openState(newFile(), { clock })
    const { id } = state.createRelease(NEW)
    state.updatePhase(id, 'build', 'running')
    const before = read(state)
    expect(errorOf(() => state.updatePhase(id, 'push', 'running'))).toMatchObject({
      kind: 'bug',
      message: `Cannot run build and push of ${id} at the same time`,
    })
    expect(read(state)).toBe(before)
    state.updatePhases(id, { build: 'completed', push: 'running' })
    state.updatePhase(id, 'push', 'running')
    expect(state.getRelease(id)?.phases).toMatchObject({ build: 'completed', push: 'running' })
  })

  test('of which two phases run, as another tool left them, can be put right one by one', () => {
    const state = openState(newFile(), { clock })
    const { id } = state.createRelease(NEW)
    writeFileSync(state.file, read(state).replace(/"(build|push|rollout)": "pending"/g, '"$1": "running"'))
    state.updatePhase(id, 'build', 'failed')
    expect(state.updatePhase(id, 'push', 'failed').phases).toMatchObject({ push: 'failed', rollout: 'running' })
  })

  test('that a call returns are copies', () => {
    const state = openState(newFile(), { clock })
    const { id } = state.createRelease(NEW)
    const before = read(state)
    const calls = [
      () => state.getRelease(id),
      () => state.listReleases()[0],
      () => state.findRelease(id),
      () => state.updatePhase(id, 'build', 'pending'),
      () => state.createRelease(NEW),
    ]
    for (const call of calls) {
      const release: { version?: string; phases?: object } = call() ?? {}
      release.version = 'changed'
      Object.assign(release.phases ?? {}, { build: 'failed', extra: 'x' })
    }
    state.listReleases().pop()
    expect(state.listReleases().map(({ version, phases }) => [version, phases.build])).toEqual([
      ['v1', 'pending'],
      ['v1', 'pending'],
    ])
    expect(read(state).slice(0, before.length - 6)).toBe(before.slice(0, -6))
  })

  test('are all in the history, newest first, which a change leaves as it was', () => {
    const state = openState(newFile(), { clock })
    const made = [state.createRelease(NEW), state.createRelease(NEW)]
    const history = state.history()
    expect(history).toEqual(made.toReversed())
    state.createRelease(NEW)
    expect(history).toHaveLength(2)
  })

  test('may hold the character that stands for what is not UTF-8', () => {
    const state = openState(newFile(), { clock })
    const release = state.createRelease({ ...NEW, version: 'v\ufffd' })
    const other = openState(state.file, { clock })
    expect(other.listReleases()).toEqual([release])
    other.updatePhase(release.id, 'build', 'running')
    expect(read(state)).toContain('"version": "v\ufffd"')
  })

  test('hold any text', () => {
    const state = openState(newFile(), { clock })
    const version = '"\\\n\u0000<!-- \u2028 \ud800 🚀 ../../etc __proto__'
    const release = state.createRelease({ environment: '__proto__', version, commit_sha: '$(reboot)' })
    expect(openState(state.file, { clock }).findRelease('latest', '__proto__')).toEqual(release)
    expect(release.version).toBe(version)
  })
})

describe('what other processes write', () => {
  test('is seen by the next call, and kept by the next write', () => {
    const file = newFile()
    const [ours, theirs] = [openState(file, { clock }), openState(file, { clock })]
    const a = ours.createRelease(NEW)
    const b = theirs.createRelease({ ...NEW, environment: 'staging' })
    ours.updatePhase(a.id, 'build', 'running')
    theirs.updatePhase(b.id, 'build', 'failed')
    const c = ours.createRelease(NEW)
    expect(theirs.listReleases().map(({ id, phases }) => [id, phases.build])).toEqual([
      [c.id, 'pending'],
      [b.id, 'failed'],
      [a.id, 'running'],
    ])
  })

  test('is seen also when they write into the file itself, keeping size and modification time', () => {
    const state = openState(newFile(), { clock })
    const { id } = state.createRelease(NEW)
    const { atime, mtime } = statSync(state.file)
    utimesSync(state.file, atime, mtime)
    expect(state.getRelease(id)?.version).toBe('v1')
    writeFileSync(state.file, read(state).replace('"v1"', '"w1"'))
    utimesSync(state.file, atime, mtime)
    expect(state.getRelease(id)?.version).toBe('w1')
  })

  test('is seen when they remove the file', () => {
    const state = openState(newFile(), { clock })
    state.createRelease(NEW)
    rmSync(dirname(state.file), { recursive: true })
    expect(state.listReleases()).toEqual([])
    state.createRelease({ ...NEW, version: 'v2' })
    expect(state.listReleases().map(({ version }) => version)).toEqual(['v2'])
  })

  test('does not go back to what it was when a write of ours failed', () => {
    const state = openState(newFile(), { clock })
    const { id } = state.createRelease(NEW)
    const parked = `${state.file}.parked`
    const before = read(state)
    Bun.spawnSync(['mv', state.file, parked])
    mkdirSync(state.file)
    expect(errorOf(() => state.updatePhase(id, 'build', 'running')).kind).toBe('state')
    rmSync(state.file, { recursive: true })
    Bun.spawnSync(['mv', parked, state.file])
    expect([state.getRelease(id)?.phases.build, read(state)]).toEqual(['pending', before])
  })
})
