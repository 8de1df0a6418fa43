import { afterAll, describe, expect, test } from 'bun:test'
import {
  chmodSync,
  existsSync,
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
import { dirname, join } from 'node:path'
import { StagecraftError } from '../lib/errors.ts'
import { openState, PHASES, type State, stateFile } from '../lib/state.ts'
import { expectGolden, fencesOf } from './support/golden.ts'

const WRITER = join(import.meta.dir, 'fixtures/state-writer.ts')
const NOW = Date.UTC(2026, 10, 22, 8, 2, 25, 643)
const clock = () => NOW
const NEW = { environment: 'prod', version: 'v1', commit_sha: '' }

const root = mkdtempSync(join(tmpdir(), 'stagecraft-state-'))
afterAll(() => rmSync(root, { recursive: true }))

let projects = 0
const newFile = () => join(root, String(++projects), '.stagecraft/releases.json')
const read = (state: State) => readFileSync(state.file, 'utf8')
const modeOf = (path: string) => (lstatSync(path).mode & 0o7777).toString(8)

/** A state whose file has that text. */
function stateWith(content: string | Uint8Array): State {
  const file = newFile()
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
  return openState(file, { clock })
}

function complete(state: State, id: string): void {
  for (const phase of PHASES) {
    state.updatePhase(id, phase, 'running')
    state.updatePhase(id, phase, 'completed')
  }
}

function errorOf(act: () => unknown): StagecraftError {
  try {
    act()
  } catch (error) {
    if (error instanceof StagecraftError) return error
    throw error
  }
  throw new Error('there was no error')
}

describe('the file', () => {
  test('is as the spec shows it', () => {
    const state = openState(newFile(), { clock })
    complete(state, state.createRelease(NEW).id)
    state.createRelease({ ...NEW, version: 'v2 <&> "é"', commit_sha: '0123456789abcdef0123456789abcdef01234567' })
    expectGolden('core/state.md', 'state-file', read(state))
    expect(read(state)).not.toEndWith('\n')
  })

  test('keeps what other tools wrote, as the spec shows it', () => {
    const spec = readFileSync(join(import.meta.dir, '../spec/core/state.md'), 'utf8')
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

    const elsewhere = openState(join(root, String(++projects), 'shop.json'), { clock })
    elsewhere.createRelease(NEW)
    expect(readdirSync(dirname(elsewhere.file)).toSorted()).toEqual(['locks', 'shop.json'])
  })

  test('stays a symlink, and its temporary files stand beside its target', () => {
    const state = openState(newFile(), { clock })
    mkdirSync(dirname(state.file), { recursive: true })
    const target = join(root, String(++projects), 'shared.json')
    symlinkSync(target, state.file)
    expect(state.listReleases()).toEqual([])
    mkdirSync(dirname(target))
    const dead = Bun.spawnSync(['true']).pid
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
    const dead = `.releases-${Bun.spawnSync(['true']).pid}-1.tmp`
    const alive = `.releases-${process.ppid}-1.tmp`
    for (const name of [dead, alive]) writeFileSync(join(folder, name), '')
    state.listReleases()
    expect(readdirSync(folder).toSorted()).toEqual(['.gitignore', dead, alive, 'locks', 'releases.json'].toSorted())
    state.createRelease(NEW)
    expect(readdirSync(folder).toSorted()).toEqual(['.gitignore', alive, 'locks', 'releases.json'].toSorted())
  })
})

describe('ids', () => {
  test('a thousand releases in one millisecond have a thousand ids in order, and timestamps that follow', () => {
    const state = openState(newFile(), { clock })
    const made = Array.from({ length: 1000 }, () => state.createRelease(NEW))
    const ids = made.map(({ id }) => id)
    expect([ids[0], ids[1], ids[999]]).toEqual([
      'rel-20261122-080225643',
      'rel-20261122-080225644',
      'rel-20261122-080226642',
    ])
    expect(ids).toEqual([...new Set(ids)].toSorted())
    expect(made.map(({ timestamp }) => timestamp.replace(/\D/g, ''))).toEqual(ids.map((id) => id.replace(/\D/g, '')))
    expect(openState(state.file, { clock }).listReleases()).toEqual(made.toReversed())
  }, 60_000)

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

describe('a file that is not in the format', () => {
  const [a, b] = ['rel-20261122-080225643', 'rel-20261122-080225644']
  const good = (() => {
    const state = openState(newFile(), { clock })
    state.createRelease(NEW)
    state.createRelease(NEW)
    return read(state)
  })()
  const malformed: readonly (string | Uint8Array)[] = [
    '',
    '\n',
    '[]',
    'null',
    '{}',
    '{"releases": null}',
    '{"releases": {}}',
    '{"releases": [null]}',
    '{"releases": [[]]}',
    good.slice(0, -40),
    `${good}}`,
    `\ufeff${good}`,
    good.replace('"prod",', '"prod"'),
    good.replace('"v1"', '"v\u0007"'),
    Buffer.from(good.replace('v1', 'vé'), 'latin1'),
    '\u0000'.repeat(4096),
    good.replace(b, a),
    good.replace(a, 'v1'),
    good.replace('2026-11-22T08:02:25.643Z', 'yesterday'),
    good.replace('"version": "v1"', '"version": 1'),
    good.replace(/"phases"/g, '"stages"'),
    good.replace(/"rollout": "pending"/, '"rollout": null'),
    good.replace(/,\s*"rollout": "pending"/, ''),
  ]

  test('is refused with its place and what to do, and left as it is', () => {
    const messages = malformed.map((content) => {
      const state = stateWith(content)
      const error = errorOf(() => state.listReleases())
      expect([error.kind, error.hint]).toEqual([
        'state',
        'The file was left as it is. Mend it there, or put a whole copy of it back.',
      ])
      for (const call of [() => state.createRelease(NEW), () => state.updatePhase(a, 'build', 'running')]) {
        expect(errorOf(call).message).toBe(error.message)
      }
      expect(readFileSync(state.file)).toEqual(Buffer.from(content))
      expect(readdirSync(dirname(state.file)).toSorted()).toEqual(['locks', 'releases.json'])
      return error.message.replace(dirname(dirname(state.file)), '').replace('/.stage', '.stage')
    })
    expectGolden('core/state.md', 'state-read-errors', messages.join('\n'))
  })

  test('is refused when a rewrite would lose one of two equal keys', () => {
    const state = stateWith(good.replace('"environment"', '"version": "v0",\n      "environment"'))
    expect(errorOf(() => state.updatePhase(a, 'build', 'running')).message).toBe(
      `Cannot read ${state.file}: releases[0] has the key "version" twice`,
    )
    expect(state.updatePhase(b, 'build', 'running').phases.build).toBe('running')
  })
})

describe('a path that is not a readable file', () => {
  const messageOf = (state: State) => errorOf(() => state.listReleases()).message.replace(state.file, 'FILE')

  test('is a state error that says what it is', () => {
    const [folder, fifo, below, loop] = [newFile(), newFile(), newFile(), newFile()]
    mkdirSync(folder, { recursive: true })
    for (const file of [fifo, loop]) mkdirSync(dirname(file), { recursive: true })
    Bun.spawnSync(['mkfifo', fifo])
    symlinkSync(loop, loop)
    mkdirSync(dirname(dirname(below)), { recursive: true })
    writeFileSync(dirname(below), '')
    expect([folder, fifo, below, loop].map((file) => messageOf(openState(file, { clock })))).toEqual([
      'Cannot read FILE: it is a directory',
      'Cannot read FILE: it is not a regular file',
      'Cannot read FILE: a part of its path is not a folder',
      'Cannot read FILE: its symlinks go round in circles',
    ])
  })

  test('is a state error for a user who may not read or write it', () => {
    const state = openState(newFile(), { clock })
    state.createRelease(NEW)
    const before = read(state)
    for (const folder of [root, dirname(dirname(state.file))]) chmodSync(folder, 0o755)
    const hint = 'Run as the user who owns the file and its folder, or give this user access to them.'
    const expected = (verb: string) => `state\nCannot ${verb} ${state.file}: permission denied\n${hint}\n`

    chmodSync(state.file, 0)
    chmodSync(dirname(state.file), 0o755)
    expect(runUnprivileged('list', state.file)).toEqual({ exitCode: 9, stdout: expected('read') })
    chmodSync(state.file, 0o644)
    chmodSync(dirname(state.file), 0o555)
    expect(runUnprivileged('update', state.file)).toEqual({ exitCode: 9, stdout: expected('write') })
    chmodSync(dirname(state.file), 0o750)
    expect([read(state), readdirSync(dirname(state.file)).toSorted()]).toEqual([
      before,
      ['.gitignore', 'locks', 'releases.json'],
    ])
  })
})

/** Root may read everything: the writer gives that up first. */
function runUnprivileged(action: string, file: string): { exitCode: number; stdout: string } {
  const env = { ...process.env, ...(process.getuid?.() === 0 ? { STATE_WRITER_UID: '65534' } : {}) }
  const { exitCode, stdout } = Bun.spawnSync([process.execPath, WRITER, action, file], { env, stderr: 'inherit' })
  return { exitCode, stdout: stdout.toString() }
}
