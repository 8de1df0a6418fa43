import { describe, expect, test } from 'bun:test'
import type { SqlFile } from '../../lib/migrations/sql/files.ts'
import { type AppliedFile, compareWithHistory, type History } from '../../lib/migrations/sql/history.ts'
import { errorOf, formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const file = (name: string, sha256 = 'a'): SqlFile => ({ name: `${name}.sql`, sha256, text: '', noTransaction: false })
const applied = (name: string): AppliedFile => ({
  ...{ name: `${name}.sql`, sha256: 'a', release: 'rel-1', appliedAt: '2026-11-22T11:57:30.000Z', durationMs: 1 },
  unfinished: undefined,
})
const unfinished = (name: string): AppliedFile => ({
  ...applied(name),
  appliedAt: undefined,
  unfinished: { done: 1, doneSha256: 'b', begun: 1 },
})
const recorded = (rows: AppliedFile[]): History => ({ database: 'shop', applied: rows, elsewhere: [] })
const pending = (files: SqlFile[], rows: AppliedFile[], to?: string) =>
  compareWithHistory(files, recorded(rows), { to }).map(({ name }) => name.slice(0, -4))
const printed = (files: SqlFile[], rows: AppliedFile[]) =>
  formatError(errorOf(() => compareWithHistory(files, recorded(rows)))).join('\n')

test('what is pending, in order', () => {
  const files = [file('1'), file('2'), file('3')]
  expect(pending([], [])).toEqual([])
  expect(pending(files, [])).toEqual(['1', '2', '3'])
  expect(pending(files, [applied('1')])).toEqual(['2', '3'])
  expect(pending(files, ['3', '1', '2'].map(applied))).toEqual([])
})

test('the file that is unfinished is pending, whatever has become of it', () => {
  expect(pending([file('1'), file('2', 'changed'), file('3')], [applied('1'), unfinished('2')])).toEqual(['2', '3'])
})

describe('to', () => {
  const files = [file('1'), file('2'), file('3')]
  test('ends with that file, with or without its extension', () => {
    expect([pending(files, [], '2'), pending(files, [], '2.sql')]).toEqual([
      ['1', '2'],
      ['1', '2'],
    ])
    expect(pending(files, [applied('1'), applied('2')], '1')).toEqual([])
  })

  test('is not there', () => {
    const error = errorOf(() => compareWithHistory(files, recorded([]), { to: '4' }))
    expect([error.kind, error.message]).toEqual(['not-found', 'Cannot migrate to "4": there is no such file'])
  })
})

test('a file that changed, is missing, or sorts before the last applied one is refused with what to do', () => {
  const rows = [applied('1-users'), applied('3-names')]
  const all = [file('1-users', 'changed'), file('2-emails'), file('4-more')]
  const texts = [
    printed([file('1-users', 'changed'), file('3-names')], rows),
    printed([file('3-names')], rows),
    printed([file('1-users'), file('2-emails'), file('3-names')], rows),
    printed(all, rows),
  ]
  expect(errorOf(() => compareWithHistory(all, recorded(rows))).kind).toBe('config')
  expectGolden('core/sql-migrations.md', 'differs', texts.join('\n'))
})

test('under another name of the database nothing is applied again; another folder has its own history', () => {
  const elsewhere = [{ ...applied('1-users'), database: 'main' }]
  const error = errorOf(() =>
    compareWithHistory([file('1-users'), file('2-more')], { database: 'shop', applied: [], elsewhere }),
  )
  expect(formatError(error)).toEqual([
    'Cannot migrate: 1-users.sql was applied with rel-1 by the database main of stagecraft.yml',
    "  hint: If it has another name now: UPDATE stagecraft_migrations SET database_name = 'shop' WHERE database_name = 'main'",
    '        Nothing has been applied.',
  ])
  const other = compareWithHistory([file('1-users', 'other')], { database: 'shop', applied: [], elsewhere })
  expect(other.map(({ name }) => name)).toEqual(['1-users.sql'])
})
