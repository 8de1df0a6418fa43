// What no ordinary test can make happen: a full disk, a failing disk, a process that dies between two system calls.
// Needs strace and, for the small file system, root. On CI their absence is a failure; elsewhere it is said.
import { afterAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openState } from '../../lib/record/releases.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { expectGolden } from '../support/golden.ts'
import { type Call, callsOf, eachCall, have, underStrace, untilHit } from '../support/strace.ts'
import { DEAD_PID } from '../support/temporary.ts'

const WRITER = join(import.meta.dir, '../fixtures/state-writer.ts')
const NOW = Date.UTC(2026, 10, 22, 8, 2, 25, 643)
const NEW = { environment: 'prod', version: 'v1', commit_sha: '' }
const root = mkdtempSync(join(tmpdir(), 'stagecraft-faults-'))
afterAll(() => rmSync(root, { recursive: true }))

/** A change, and what the file held before it. */
type Scenario = { action: 'create' | 'update'; before: string | undefined }
type Fault = { scenario: Scenario; call: Call; inject: string }
type Outcome = { fault: string; exit: string; file: string; stdout: string; trace: string }

const MADE: Scenario = { action: 'create', before: undefined }
const CHANGED: Scenario = { action: 'update', before: stateText((state) => void state.createRelease(NEW)) }
const AFTER = {
  create: stateText((state) => void state.createRelease({ ...NEW, version: 'v2' })),
  update: stateText((state) => void state.updatePhase(state.createRelease(NEW).id, 'build', 'completed')),
}

function stateText(change: (state: ReturnType<typeof openState>) => void): string {
  const file = join(mkdtempSync(join(root, 'text-')), 'releases.json')
  change(openState(file, { clock: () => NOW }))
  return readFileSync(file, 'utf8')
}

/** Runs the scenario in a new project under strace. @returns what became of it; the project is left for a look. */
async function run({ action, before }: Scenario, options: readonly string[]): Promise<Outcome & { project: string }> {
  const project = mkdtempSync(join(root, 'project-'))
  const [file, trace] = [join(project, '.stagecraft/releases.json'), join(project, 'trace')]
  if (before !== undefined) {
    mkdirSync(dirname(file), { mode: 0o750 })
    writeFileSync(file, before, { mode: 0o600 })
    writeFileSync(join(dirname(file), `.releases-${DEAD_PID}-1.tmp`), 'half')
  }
  const { exit, stdout } = await underStrace([WRITER, action, file], trace, options)
  const content = existsSync(file) ? readFileSync(file, 'utf8') : undefined
  const state = content === AFTER[action] ? 'new' : content === before ? 'old' : `torn: ${content}`
  return { project, fault: options.join(' '), exit, file: state, stdout, trace: readFileSync(trace, 'utf8') }
}

/** A fault's outcome, checked. @returns what is wrong with it; nothing is fine. */
async function problemsOf({ scenario, call, inject }: Fault): Promise<string[]> {
  const { project, ...outcome } = await untilHit(call, inject, (options) => run(scenario, options))
  const where = `${scenario.action}, ${inject} at ${call.line}`
  const folder = join(project, '.stagecraft')
  const file = join(folder, 'releases.json')
  const failed = /^state\nCannot (read|write) \S+: [a-z][^\n]+\n[A-Z][^\n]+\.\n$/.test(outcome.stdout)
  const fine = {
    killed: inject.startsWith('signal') && outcome.stdout === '',
    0: outcome.stdout === 'ok\n' && outcome.file === 'new',
    9: failed,
  }[outcome.exit]
  const problems = fine ? [] : [`${where}: exit ${outcome.exit}, ${outcome.stdout}`]
  if (!['old', 'new'].includes(outcome.file)) problems.push(`${where}: the file is ${outcome.file}`)
  if (outcome.exit === '9' && call.name !== 'unlink')
    problems.push(...leftoversIn(folder, [`.releases-${DEAD_PID}-1.tmp`], where))
  // Whatever happened, the next command reads it, writes, and leaves a clean folder.
  openState(file, { clock: () => NOW }).createRelease(NEW)
  problems.push(...leftoversIn(folder, [], `${where}, after the next write`))
  if (readFileSync(join(folder, '.gitignore'), 'utf8') !== '*\n') problems.push(`${where}: a torn .gitignore`)
  rmSync(project, { recursive: true })
  return problems
}

function leftoversIn(folder: string, known: readonly string[], where: string): string[] {
  const expected = ['.gitignore', 'locks', 'releases.json', ...known]
  const left = existsSync(folder) ? readdirSync(folder).filter((name) => !expected.includes(name)) : []
  return left.length === 0 ? [] : [`${where}: left ${left.join(', ')}`]
}

/** Every call of a scenario with one fault, a few at a time. @returns all problems. */
async function campaign(
  scenario: Scenario,
  inject: string,
  only = /./,
): Promise<{ calls: string[]; problems: string[] }> {
  const recorded = await run(scenario, [])
  expect({ exit: recorded.exit, file: recorded.file }).toEqual({ exit: '0', file: 'new' })
  const calls = callsOf(recorded.trace).filter(({ name }) => only.test(name))
  const problems = await eachCall(calls, (call) => problemsOf({ scenario, call, inject }))
  return { calls: calls.map(({ name }) => name), problems }
}

describe.if(have('strace', Bun.which('strace') !== null, import.meta.path))('every system call of a write', () => {
  const LOCK = ['openat', 'flock', 'statx', 'statx']
  const REPLACE = [
    'openat',
    'fchmod',
    'write',
    'fsync',
    'statx',
    'close',
    'rename',
    'openat',
    'fsync',
    'close',
    'statx',
  ]
  const WRITE = [...REPLACE, 'flock', 'close']

  test('is the one that the spec names, in its order', async () => {
    const { trace } = await run(CHANGED, [])
    const calls = callsOf(trace)
    const names = calls.map(({ name }) => name)
    expect(names.slice(-WRITE.length)).toEqual(WRITE)
    const lock = names.indexOf('flock') - 1
    expect(names.slice(lock, lock + LOCK.length)).toEqual(LOCK)
    expect(calls.filter(({ line }) => line.includes(`.releases-${DEAD_PID}-1.tmp`)).map(({ name }) => name)).toEqual([
      'unlink',
    ])
  })

  for (const [title, scenario] of [
    ['creating', MADE],
    ['updating', CHANGED],
  ] as const) {
    test(`may be where the process is killed, when ${title}`, async () => {
      const { calls, problems } = await campaign(scenario, 'signal=KILL')
      expect(problems).toEqual([])
      expect(calls).toEqual(expect.arrayContaining(WRITE))
    })

    test.each(['EIO', 'ENOSPC', 'EDQUOT'])(`may fail with %s, when ${title}`, async (code) => {
      const { problems } = await campaign(scenario, `error=${code}`)
      expect(problems).toEqual([])
    })

    test(`may find the file system read-only, when ${title}`, async () => {
      const { problems } = await campaign(scenario, 'error=EROFS', /^(open|openat|mkdir|chmod|fchmod|rename|unlink)$/)
      expect(problems).toEqual([])
    })
  }

  test('says what went wrong as the spec shows it', async () => {
    const rename = async (code: string) => {
      const { stdout, project } = await run(CHANGED, ['-e', `inject=rename:error=${code}`])
      return stdout.replace('state\n', '').replace('\n', '\n  ').replaceAll(`${project}/`, '')
    }
    const codes = ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EIO', 'ENOTDIR', 'EXDEV']
    expectGolden('core/state.md', 'state-write-errors', (await Promise.all(codes.map(rename))).join(''))
  })

  test('may be the sync of a folder that cannot be synced: some network file systems say EINVAL', async () => {
    const { trace } = await run(CHANGED, [])
    const last = callsOf(trace).findLast(({ name }) => name === 'fsync')
    const outcome = await untilHit(
      last ?? { name: 'fsync', index: 0, within: 0, line: '' },
      'error=EINVAL',
      (options) => run(CHANGED, options),
    )
    expect([outcome.exit, outcome.file]).toEqual(['0', 'new'])
  })
})

describe.if(have('root', process.getuid?.() === 0, import.meta.path))('a small file system', () => {
  const mount = (options: string) => {
    const folder = mkdtempSync(join(root, 'mount-'))
    const { exitCode, stderr } = Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', options, 'stagecraft-test', folder])
    if (exitCode !== 0) throw new Error(`Cannot mount: ${stderr}`)
    mounts.push(folder)
    return folder
  }
  const mounts: string[] = []
  afterAll(() => {
    for (const folder of mounts) Bun.spawnSync(['umount', folder])
  })

  /** Tries a create and an update; both must fail alike, and change nothing. */
  function refusalOf(folder: string): string {
    const file = join(folder, '.stagecraft/releases.json')
    const before = readFileSync(file)
    const names = readdirSync(dirname(file))
    const state = openState(file, { clock: () => NOW })
    const { id } = state.findRelease('latest')
    const messages = [() => state.createRelease(NEW), () => state.updatePhase(id, 'build', 'completed')].map(messageOf)
    expect([readFileSync(file), readdirSync(dirname(file))]).toEqual([before, names])
    expect(messages[0]).toBe(messages[1])
    // What could not be written is not remembered either.
    expect(state.listReleases()).toEqual(openState(file, { clock: () => NOW }).listReleases())
    return messages[0]?.replace(file, 'FILE') ?? ''
  }

  function messageOf(change: () => unknown): string {
    try {
      change()
      return 'no error'
    } catch (error) {
      return error instanceof StagecraftError ? `${error.kind}: ${error.message}` : String(error)
    }
  }

  /** A history of 20 kB: a write of it fills more than one page. */
  function fill(folder: string): void {
    const state = openState(join(folder, '.stagecraft/releases.json'), { clock: () => NOW })
    for (let count = 0; count < 50; count++) state.createRelease(NEW)
  }

  test('that is full leaves the old state', () => {
    const folder = mount('size=64k')
    fill(folder)
    writeFileSync(join(folder, 'ballast'), 'x'.repeat(28 * 1024))
    expect(refusalOf(folder)).toBe('state: Cannot write FILE: no space left on the device')
    rmSync(join(folder, 'ballast'))
    const state = openState(join(folder, '.stagecraft/releases.json'), { clock: () => NOW })
    expect([state.createRelease(NEW).id, state.listReleases().length]).toEqual(['rel-20261122-080225693', 51])
  })

  test('without a free inode leaves the old state', () => {
    const folder = mount('nr_inodes=7')
    fill(folder)
    writeFileSync(join(folder, 'ballast'), '')
    expect(refusalOf(folder)).toBe('state: Cannot write FILE: no space left on the device')
  })

  test('that is read-only leaves the old state, and can be read', () => {
    const folder = mount('size=64k')
    fill(folder)
    Bun.spawnSync(['mount', '-o', 'remount,ro', folder])
    expect(refusalOf(folder)).toBe('state: Cannot write FILE: the file system is read-only')
  })
})
