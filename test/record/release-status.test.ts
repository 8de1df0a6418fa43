import { describe, expect, test } from 'bun:test'
import { currentIds, findInterrupted, statusAmong, statusOf, statusText } from '../../lib/record/release-status.ts'
import type { Release } from '../../lib/record/releases-file/format.ts'
import { COMPLETED, FAILED, HISTORY, RUNNING, release, type Statuses } from '../scenes/release-history.ts'

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
