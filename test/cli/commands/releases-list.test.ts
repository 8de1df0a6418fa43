import { describe, expect, test } from 'bun:test'
import type { Release } from '../../../lib/record/releases-file/format.ts'
import { COMPLETED, firstLine, HISTORY, NEWEST, release, releasesCommand } from '../../scenes/release-history.ts'
import { expectGolden } from '../../support/golden.ts'

const { begin, project, releases, whileWorkedOn } = releasesCommand()

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
    begin()
    expect(await releases('list')).toEqual({
      exit: 0,
      stdout: 'No releases yet. The first one: stagecraft deploy\n',
      stderr: '',
    })
  })

  test.each(['0', '-1', '1.5', '1e3', 'all', ' 1'])('--limit=%p is wrong usage', async (limit) => {
    begin()
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
    begin({ '.stagecraft/releases.json': '{"releases": [' })
    const [list, show] = await Promise.all([releases('list'), releases('show', 'latest')])
    expect([list.exit, show.exit, list.stdout]).toEqual([9, 9, ''])
  })
})
