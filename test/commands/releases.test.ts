import { afterEach, describe, expect, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { withLock } from '../../lib/lock.ts'
import { currentIds, findInterrupted, statusAmong, statusOf, statusText } from '../../lib/release-status.ts'
import { PHASES, type Release } from '../../lib/state.ts'
import { scratch, stagecraftHere } from '../support/command-line.ts'
import { expectGolden } from '../support/golden.ts'

let folder = scratch()
afterEach(() => folder.remove())

type Statuses = readonly [string, string, string, string, string, string]
const COMPLETED: Statuses = ['completed', 'completed', 'completed', 'completed', 'completed', 'completed']
const FAILED: Statuses = ['completed', 'completed', 'completed', 'failed', 'skipped', 'skipped']
const RUNNING: Statuses = ['completed', 'completed', 'completed', 'running', 'pending', 'pending']

function release(id: string, environment: string, version: string, statuses: Statuses, more: object = {}): Release {
  const [, y, m, d, hh, mm, ss] = /^rel-(....)(..)(..)-(..)(..)(..)/.exec(id) ?? []
  const phases = Object.fromEntries(PHASES.map((phase, at) => [phase, statuses[at] ?? 'pending']))
  const timestamp = `${y}-${m}-${d}T${hh}:${mm}:${ss}.643Z`
  return { id, environment, version, commit_sha: '', timestamp, phases: phases as Release['phases'], ...more }
}

/** Oldest first, as in the file. */
const HISTORY = [
  release('rel-20261121-070000', 'staging', 'a1b2c3d-dirty', COMPLETED),
  release('rel-20261122-080225643', 'prod', 'v1', COMPLETED),
  release('rel-20261122-091500001', 'prod', 'v2-broken', FAILED, { previous_id: 'rel-20261122-080225643' }),
  release('rel-20261122-101500002', 'prod', 'v3', RUNNING, { previous_id: 'rel-20261122-091500001' }),
]

function project(releases: readonly Release[], files: Readonly<Record<string, string>> = {}): void {
  folder.remove()
  folder = scratch({ '.stagecraft/releases.json': JSON.stringify({ releases }, null, 2), ...files })
}

const releases = (...args: string[]) => stagecraftHere(['releases', ...args], { cwd: folder.path })
/** Does something while a run of `prod` makes this release. */
const whileWorkedOn = <T>({ id, version }: Pick<Release, 'id' | 'version'>, act: () => Promise<T>): Promise<T> =>
  withLock(
    { stateFile: join(folder.path, '.stagecraft/releases.json'), environment: 'prod', command: 'deploy', wait: 0 },
    { user: 'ana', clock: { now: Date.now, sleep: Bun.sleep }, emit: () => {}, signal: new AbortController().signal },
    (held) => {
      held.nameRelease({ id, version })
      return act()
    },
  )
const NEWEST = { id: 'rel-20261122-101500002', version: 'v3' }

const firstLine = ({ exit, stderr }: { exit: number; stderr: string }) => `${exit} ${stderr.split('\n')[0]}`

describe('stagecraft releases list', () => {
  test('prints a table, the newest first, with the current release of each environment marked', async () => {
    project(HISTORY)
    const { exit, stdout, stderr } = await whileWorkedOn(NEWEST, () => releases('list'))
    expectGolden('commands/releases.md', 'list', stdout)
    expect([exit, stderr]).toEqual([0, ''])
  })

  test('says that a release is interrupted when no run is at work on it', async () => {
    project(HISTORY)
    const dead = await releases('list', '--limit', '1')
    expectGolden('commands/releases.md', 'interrupted', dead.stdout.split('\n').slice(0, 2).join('\n'))
    const other = await whileWorkedOn({ id: 'rel-20261122-111500003', version: 'v4' }, () => releases('list', '--json'))
    const [newest] = JSON.parse(other.stdout.split('\n')[0] ?? '').releases
    expect(newest).toMatchObject({ id: NEWEST.id, status: 'interrupted', phase: 'rollout', current: false })
    const alive = await whileWorkedOn(NEWEST, () => releases('list', '--json', '--limit', '1'))
    expect(JSON.parse(alive.stdout.split('\n')[0] ?? '').releases[0]).toMatchObject({ status: 'running' })
  })

  test('prints the newest hundred, and says how many are older', async () => {
    project(HISTORY)
    const one = await whileWorkedOn(NEWEST, () => releases('list', '--limit', '1'))
    expectGolden('commands/releases.md', 'older', one.stdout)
    const id = (n: number) => `rel-20261122-${String(100_000_000 + n)}`
    project(Array.from({ length: 102 }, (_, n) => release(id(n), 'prod', `v${n}`, COMPLETED)))
    const [text, json] = await Promise.all([releases('list'), releases('list', '--json')])
    expect(text.stdout.match(/rel-/g)).toHaveLength(100)
    expect(text.stdout).toEndWith('\n  2 older: stagecraft releases list --limit 102\n')
    expect(JSON.parse(json.stdout.split('\n')[0] ?? '').releases).toHaveLength(102)
  })

  test('prints one environment, and no more than --limit', async () => {
    project(HISTORY)
    const [prod, one, none] = await Promise.all([
      releases('list', '--env', 'prod'),
      releases('list', '--env', 'prod', '--limit', '1', '--json'),
      releases('list', '--limit=99'),
    ])
    expect([...(prod.stdout.match(/rel-[\d-]+/g) ?? [])]).toEqual(
      HISTORY.slice(1)
        .map(({ id }) => id)
        .reverse(),
    )
    expect(JSON.parse(one.stdout.split('\n')[0] ?? '').releases.map(({ id }: Release) => id)).toEqual([HISTORY[3]?.id])
    expect(none.stdout.split('\n')).toHaveLength(6)
  })

  test('--json is one object, then the end', async () => {
    project(HISTORY.slice(1, 3))
    const { stdout } = await releases('list', '--json')
    const [listed, finished] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(listed).toEqual({
      v: 1,
      type: 'releases',
      releases: [
        { ...HISTORY[2], status: 'failed', phase: 'rollout', current: false },
        { ...HISTORY[1], status: 'completed', current: true },
      ],
    })
    expect(finished).toEqual({ v: 1, type: 'finished', exit: 0 })
  })

  test('an environment without releases is there if it is configured, and only then', async () => {
    project(HISTORY, { 'stagecraft.yml': 'environments: {live: {}, prod: {}}' })
    const [configured, unknown, hostile] = await Promise.all([
      releases('list', '--env', 'live'),
      releases('list', '--env', 'stagin'),
      releases('list', '--env', '../x'),
    ])
    expectGolden('commands/releases.md', 'none', configured.stdout)
    expect(unknown.stderr).toBe(
      'Cannot find environment "stagin"\n  hint: Did you mean "staging"? Environments: live, prod, staging\n',
    )
    expect([configured.exit, unknown.exit, hostile.exit]).toEqual([0, 4, 4])
  })

  test('a project without a single release is no error', async () => {
    folder = scratch()
    expect(await releases('list')).toEqual({
      exit: 0,
      stdout: 'No releases yet. The first one: stagecraft deploy\n',
      stderr: '',
    })
  })

  test.each(['0', '-1', '1.5', '1e3', 'all', ' 1'])('--limit=%p is wrong usage', async (limit) => {
    folder = scratch()
    expect(firstLine(await releases('list', `--limit=${limit}`))).toBe(
      `2 Cannot list "${limit}" releases: --limit is a whole number above zero`,
    )
  })

  test('names in the state cannot break a line', async () => {
    project([release('rel-20261122-080225643', 'prod\u001b[2J', 'v1\nrel-x', COMPLETED)])
    const { stdout } = await releases('list')
    expect(stdout.split('\n')).toHaveLength(3)
    expect(stdout).not.toContain('\u001b')
  })

  test('a state that cannot be read is exit 9', async () => {
    folder = scratch({ '.stagecraft/releases.json': '{"releases": [' })
    const [list, show] = await Promise.all([releases('list'), releases('show', 'latest')])
    expect([list.exit, show.exit, list.stdout]).toEqual([9, 9, ''])
  })
})

const BUNDLE = {
  v: 1,
  id: 'rel-20261122-091500001',
  environment: 'prod',
  version: 'v2-broken',
  commit_sha: '3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a',
  project: 'shop-prod',
  phases: {
    build: { started_at: '2026-11-22T09:15:00.100Z', duration_ms: 1234, note: '1 image built' },
    push: {
      started_at: '2026-11-22T09:15:01.400Z',
      duration_ms: 4,
      note: 'the engine that built the images runs them',
    },
    migrate_pre: { started_at: '2026-11-22T09:15:01.410Z', duration_ms: 2, note: 'no databases are configured' },
    rollout: { started_at: '2026-11-22T09:15:01.420Z', duration_ms: 12_345 },
  },
  images: {
    web: {
      name: 'shop-web:v2',
      reference: 'shop-prod-web:sc-0123456789ab',
      id: `sha256:0123456789ab${'0'.repeat(52)}`,
      ...{ fingerprint: '1', built: true, volumes: false },
    },
    db: {
      ...{ name: 'postgres:17', reference: 'postgres:17', id: `sha256:fedcba987654${'0'.repeat(52)}` },
      ...{ fingerprint: '2', built: false, volumes: true },
    },
  },
  topology: { order: [], needs: {}, jobs: [] },
  content: [],
  config_hashes: {},
  error: {
    message: 'Cannot roll out v2-broken: web exited with 1',
    hint: 'What served before serves.',
    detail: 'web-1  | listening on :3000\nweb-1  | no such table: users\u001b[0m',
  },
}

describe('stagecraft releases show', () => {
  const withBundle = () =>
    project(
      HISTORY.map((one) => (one.id === BUNDLE.id ? { ...one, commit_sha: BUNDLE.commit_sha } : one)),
      { [`.stagecraft/releases/${BUNDLE.id}/release.json`]: JSON.stringify(BUNDLE) },
    )

  test('prints the record, the phases, the images and the error', async () => {
    withBundle()
    const { exit, stdout, stderr } = await releases('show', BUNDLE.id)
    expectGolden('commands/releases.md', 'show', stdout)
    expect([exit, stderr]).toEqual([0, ''])
  })

  test('says of an interrupted release that it is, also as a target of a rollback', async () => {
    project(HISTORY)
    const [dead, alive] = [
      await releases('show', NEWEST.id),
      await whileWorkedOn(NEWEST, () => releases('show', NEWEST.id)),
    ]
    expect(dead.stdout).toContain('\nstatus       interrupted in rollout\n')
    expect(dead.stdout).toContain('\nrollback     not to this one: it did not complete (interrupted in rollout)\n')
    expect(alive.stdout).toContain('\nstatus       running rollout\n')
    expect(alive.stdout).toContain('\nrollback     not to this one: it did not complete (running rollout)\n')
    const json = JSON.parse((await releases('show', NEWEST.id, '--json')).stdout.split('\n')[0] ?? '')
    expect(json.release).toMatchObject({ status: 'interrupted', phase: 'rollout' })
  })

  test('prints the record alone where there is no bundle', async () => {
    project(HISTORY)
    const { stdout } = await releases('show', 'current', '--env', 'staging')
    expect(stdout).toBe(
      [
        'release      rel-20261121-070000',
        'environment  staging',
        'version      a1b2c3d-dirty',
        'status       completed, current',
        'started      2026-11-21 07:00:00',
        'details      gone: its bundle was pruned, or removed by hand',
        'rollback     not to this one: its bundle is gone: it was pruned, or removed by hand',
        '',
        ...['build         ', 'push          ', 'migrate_pre   '].map((phase) => `${phase}completed`),
        ...['rollout       ', 'migrate_post  ', 'finalize      '].map((phase) => `${phase}completed`),
        '',
      ].join('\n'),
    )
  })

  test('--json has the record and the details of the bundle', async () => {
    withBundle()
    const { stdout } = await releases('show', BUNDLE.id, '--json')
    const shown = JSON.parse(stdout.split('\n')[0] ?? '')
    expect(shown.release).toMatchObject({ id: BUNDLE.id, status: 'failed', phase: 'rollout', current: false })
    expect(Object.keys(shown.details)).toEqual(['project', 'phases', 'images', 'error'])
  })

  test('finds a release by its id, the beginning of one, latest and current', async () => {
    project(HISTORY)
    const shown = async (...args: string[]) => /rel-[\d-]+/.exec((await releases('show', ...args)).stdout)?.[0]
    expect(
      await Promise.all([
        shown('rel-20261121-070000'),
        shown('rel-20261122-09'),
        shown('latest', '--env', 'prod'),
        shown('current', '--env', 'prod'),
      ]),
    ).toEqual(['rel-20261121-070000', BUNDLE.id, 'rel-20261122-101500002', 'rel-20261122-080225643'])
  })

  test('says what it cannot find, and asks which environment is meant', async () => {
    project(HISTORY)
    const calls = await Promise.all([
      releases('show', 'latest'),
      releases('show', 'rel-2026'),
      releases('show', '../../etc/passwd'),
      releases('show', 'latest', '--env', 'nowhere'),
      releases('show'),
    ])
    expect(calls.map(({ exit }) => exit)).toEqual([2, 4, 4, 4, 2])
    expect(calls[0]?.stderr).toBe(
      'Cannot choose the latest release: there are 2 environments\n  hint: Add --env <name>. Environments: prod, staging\n',
    )
  })

  test('a bundle that cannot be read is exit 9, and named', async () => {
    project(HISTORY, { [`.stagecraft/releases/${BUNDLE.id}/release.json`]: '{' })
    const { exit, stderr } = await releases('show', BUNDLE.id)
    expect(exit).toBe(9)
    expect(stderr).toContain(join('releases', BUNDLE.id, 'release.json'))
  })
})

describe('stagecraft releases diff', () => {
  const [BEFORE, AFTER] = ['rel-20261122-080225643', 'rel-20261122-091500001'] as const
  const hash = (digit: string) => digit.repeat(32)
  const mount = (content: string) => ({ type: 'bind', source: `/c/${content}`, target: '/x', read_only: true })

  function bundleOf(
    id: string,
    version: string,
    web: object,
    others: readonly string[],
    content: string,
    fingerprint = version,
  ) {
    const services = {
      web: { ...web, volumes: [mount(content)] },
      ...Object.fromEntries(others.map((name) => [name, {}])),
    }
    const bundle = {
      ...{ v: 1, id, environment: 'prod', version, commit_sha: '', project: 'shop', phases: {}, config_hashes: {} },
      topology: { order: [], needs: {}, jobs: [] },
      images: {
        web: { name: `shop-web:${version}`, reference: 'x', id: 'sha256:1', fingerprint, built: true, volumes: false },
      },
      content: [{ name: './nginx.conf', hash: content }],
    }
    return {
      [`.stagecraft/releases/${id}/release.json`]: JSON.stringify(bundle),
      [`.stagecraft/releases/${id}/compose.json`]: JSON.stringify({ name: 'shop', services }),
    }
  }

  function twoBundles() {
    project([release(BEFORE, 'prod', 'v1', COMPLETED), release(AFTER, 'prod', 'v2', COMPLETED)], {
      ...bundleOf(BEFORE, 'v1', { environment: { API_URL: 'secret-one' } }, ['old'], hash('a')),
      ...bundleOf(AFTER, 'v2', { environment: { API_URL: 'secret-two' } }, ['worker'], hash('b')),
    })
  }

  test('says what is different, without values', async () => {
    twoBundles()
    const { exit, stdout, stderr } = await releases('diff', BEFORE, 'current')
    expectGolden('commands/releases.md', 'diff', stdout)
    expect([exit, stderr]).toEqual([0, ''])
    const json = await releases('diff', BEFORE, AFTER, '--json')
    expect(JSON.parse(json.stdout.split('\n')[0] ?? '')).toEqual({
      ...{ v: 1, type: 'diff', before: BEFORE, after: AFTER },
      services: [
        { service: 'old', change: 'removed', what: [] },
        {
          service: 'web',
          change: 'changed',
          what: ['its image changed', 'environment changed (API_URL)', 'content of ./nginx.conf changed'],
        },
        { service: 'worker', change: 'added', what: [] },
      ],
      content: [{ name: './nginx.conf', change: 'changed' }],
    })
    expect(`${stdout}${json.stdout}`).not.toContain('secret')
  })

  test('says that two are the same', async () => {
    project([release(BEFORE, 'prod', 'v1', COMPLETED), release(AFTER, 'prod', 'v2', COMPLETED)], {
      ...bundleOf(BEFORE, 'v1', {}, [], hash('a'), 'equal'),
      ...bundleOf(AFTER, 'v2', {}, [], hash('a'), 'equal'),
    })
    expectGolden('commands/releases.md', 'same', (await releases('diff', BEFORE, AFTER)).stdout)
  })

  test('needs both bundles, and says which is not there', async () => {
    project(HISTORY)
    const calls = await Promise.all([
      releases('diff', BEFORE, AFTER),
      releases('diff', BEFORE, 'rel-1999'),
      releases('diff', 'current', AFTER),
      releases('diff', 'current', AFTER, '--env', 'prod'),
      releases('diff', BEFORE),
    ])
    expect(calls.map(({ exit }) => exit)).toEqual([4, 4, 2, 4, 2])
    expect(calls[0]?.stderr).toStartWith(`Cannot compare ${BEFORE} (v1): it has no whole bundle\n  hint: It was pruned`)
  })

  test('does not take part of a bundle for the whole', async () => {
    twoBundles()
    rmSync(join(folder.path, '.stagecraft/releases', AFTER, 'compose.json'))
    expect(firstLine(await releases('diff', BEFORE, AFTER))).toBe(
      `4 Cannot compare ${AFTER} (v2): it has no whole bundle`,
    )
  })
})

describe('statusOf()', () => {
  const text = (...statuses: Statuses) => statusText(statusOf(release('rel-20261122-080225643', 'p', 'v', statuses)))

  test('says in a word what the six phases come to', () => {
    expect(text(...COMPLETED)).toBe('completed')
    expect(text(...FAILED)).toBe('failed in rollout')
    expect(text(...RUNNING)).toBe('running rollout')
    expect(text('pending', 'pending', 'pending', 'pending', 'pending', 'pending')).toBe('pending')
    expect(text('completed', 'completed', 'pending', 'pending', 'pending', 'pending')).toBe('running')
    expect(text('completed', 'waiting', 'pending', 'pending', 'pending', 'pending')).toBe('incomplete')
  })

  describe('findInterrupted()', () => {
    const PENDING: Statuses = ['pending', 'pending', 'pending', 'pending', 'pending', 'pending']
    const BETWEEN: Statuses = ['completed', 'pending', 'pending', 'pending', 'pending', 'pending']
    const older = release('rel-20261122-101500002', 'prod', 'v3', BETWEEN)
    const newer = release('rel-20261122-111500003', 'prod', 'v4', PENDING)
    const other = release('rel-20261122-121500004', 'test', 'v4', RUNNING)
    const all = [other, newer, older, ...HISTORY.slice(0, 3).toReversed()]
    const run = { user: 'ana', machine: 'm', pid: 1, command: 'deploy', since: '2026-11-22T11:00:00.000Z' }
    const dead = (lock: object, again = all, shown = all) => [
      ...findInterrupted(shown, {
        releases: () => again,
        lock: (environment) => (environment === 'prod' ? { locked: true, ...lock } : { locked: false }),
      }),
    ]

    test('goes by the lock of each environment, and by whose release its holder makes', () => {
      expect(dead({ locked: false })).toEqual([other.id, newer.id, older.id])
      expect(dead({ holder: { ...run, release: newer.id } })).toEqual([other.id, older.id])
      const died = { holder: { ...run, release: newer.id }, holderDied: true }
      expect(dead(died)).toEqual([other.id, newer.id, older.id])
      expect(dead({ holder: { ...run, release: 'rel-20261122-131500005' } })).toEqual([other.id, newer.id, older.id])
    })

    test('takes the newest for the work of a holder that has not said so, unless the holder came later', () => {
      expect(dead({})).toEqual([other.id, older.id])
      expect(dead({ holder: run })).toEqual([other.id, older.id])
      expect(dead({ holder: { ...run, since: '2026-11-22T12:00:00.000Z' } })).toEqual([other.id, newer.id, older.id])
    })

    test('says nothing of what has ended since it was first read, nor of what is not asked for', () => {
      const ended = release(newer.id, 'prod', 'v4', COMPLETED)
      expect(dead({ locked: false }, [other, ended, older])).toEqual([other.id, older.id])
      expect(dead({ locked: false }, all, [older])).toEqual([older.id])
    })

    test('looks at no lock where nothing is unfinished', () => {
      const refuse = () => {
        throw new Error('asked for nothing')
      }
      expect(findInterrupted(HISTORY.slice(0, 3), { releases: refuse, lock: refuse }).size).toBe(0)
    })

    test('an interrupted release is in the phase that ran, or was about to', () => {
      const became = (one: Release) => statusText(statusAmong(one, new Set([one.id])))
      expect([older, newer, other, ...HISTORY.slice(1, 3)].map(became)).toEqual([
        'interrupted in push',
        'interrupted in build',
        'interrupted in rollout',
        'completed',
        'failed in rollout',
      ])
    })
  })

  test('currentIds() takes the newest completed release of each environment', () => {
    expect([...currentIds(HISTORY.toReversed())]).toEqual(['rel-20261122-080225643', 'rel-20261121-070000'])
  })
})
