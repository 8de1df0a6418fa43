import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { HISTORY, NEWEST, releasesCommand } from '../../scenes/release-history.ts'
import { expectGolden } from '../../support/golden.ts'

const { project, releases, whileWorkedOn } = releasesCommand()

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
      note: 'this engine built the images',
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
    hint: 'v1 (rel-20261122-080225643) is still live.',
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
