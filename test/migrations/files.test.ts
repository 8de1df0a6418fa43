import { describe, expect, test } from 'bun:test'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { readSqlFolder } from '../../lib/migrations/sql/files.ts'
import { checkNames } from '../../lib/migrations/sql/names.ts'
import { sqlFolder } from '../scenes/sql.ts'
import { errorOf } from '../support/failure.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const folderOf = (files: Parameters<typeof sqlFolder>[0]) => temporary(sqlFolder(files)).path
const only = (content: string | Uint8Array) => readSqlFolder(folderOf({ '1.sql': content }))[0]
const refusal = (files: Parameters<typeof sqlFolder>[0]) => {
  const folder = folderOf(files)
  const error = errorOf(() => readSqlFolder(folder))
  expect(error.kind).toBe('config')
  return error.message.replace(`${folder}/`, '')
}

describe('a folder', () => {
  test('its *.sql files, by the bytes of their names', () => {
    const folder = folderOf({
      'b.sql': '',
      '10.sql': '',
      '9.sql': '',
      'B.sql.txt': '',
      'Z.sql': '',
      'é.sql': '',
      '.x.sql': '',
    })
    mkdirSync(join(folder, 'more.sql'))
    expect(readSqlFolder(folder).map(({ name }) => name)).toEqual(['10.sql', '9.sql', 'Z.sql', 'b.sql', 'é.sql'])
  })

  test('an empty one has none, one that is missing is refused', () => {
    expect(readSqlFolder(folderOf({}))).toEqual([])
    expect(errorOf(() => readSqlFolder('/nosuch')).message).toBe('Cannot use /nosuch: it does not exist')
  })

  test('a link within it is a file, one that leads out of it is refused', () => {
    const folder = folderOf({ 'a.txt': 'SELECT 1' })
    symlinkSync('a.txt', join(folder, '1.sql'))
    expect(readSqlFolder(folder).map(({ text }) => text)).toEqual(['SELECT 1'])
    symlinkSync('/etc/hostname', join(folder, '2.sql'))
    expect(errorOf(() => readSqlFolder(folder)).message).toEndWith('2.sql: it is a link that leads out of the folder')
  })
})

describe('a name', () => {
  test.each([
    ['con.sql', 'con.sql: its name is that of a device on Windows'],
    ['LPT1.more.sql', 'LPT1.more.sql: its name is that of a device on Windows'],
    ['a:b.sql', 'a:b.sql: its name has a character that Windows does not take'],
    ['a\nb.sql', 'a\\nb.sql: its name has a character that Windows does not take'],
    ['1.SQL', '1.SQL: its name does not end in ".sql" as it is'],
    [`${'x'.repeat(197)}.sql`, `${'x'.repeat(197)}.sql: its name has more than 200 characters`],
  ])('%j is refused', (name, message) => {
    expect(refusal({ [name]: '' })).toBe(`Cannot use ${message}`)
  })

  test.each([
    ['Users.sql', 'users.sql'],
    ['e\u0301.sql', '\u00e9.sql'],
  ])('%j and %j are refused', (first, second) => {
    const error = errorOf(() => checkNames('db', [first, second]))
    expect(error.message).toBe(`Cannot use db/${second}: "${first}" differs from it only in case or accents`)
  })
})

describe('a text', () => {
  test('has the same hash with and without BOM, and with CRLF and LF; it keeps its line ends', () => {
    const files = ['SELECT 1;\nSELECT 2', '\ufeffSELECT 1;\r\nSELECT 2'].map(only)
    expect(new Set(files.map((file) => file?.sha256)).size).toBe(1)
    expect(files[1]?.text).toBe('SELECT 1;\r\nSELECT 2')
    expect(only('SELECT 1;\nSELECT 3')?.sha256).not.toBe(files[0]?.sha256)
  })

  test.each([
    ['Latin-1', Buffer.from('SELECT 1;\nSELECT \xe9', 'latin1'), '1.sql:2: it is not UTF-8'],
    ['UTF-16, as PowerShell writes', Buffer.from('\ufeffSELECT 1', 'utf16le'), '1.sql:1: it is UTF-16'],
    ['a zero byte', 'SELECT 1;\n\nSELECT \0', '1.sql:3: it holds a zero byte'],
  ])('%s is refused', (_, content, message) => {
    expect(refusal({ '1.sql': content })).toBe(`Cannot use ${message}`)
  })
})

describe('no-transaction', () => {
  test.each([
    ['-- stagecraft: no-transaction', true],
    ['\ufeff--stagecraft:no-transaction \r\nSELECT 1', true],
    ['SELECT 1\n-- Stagecraft: a comment like others', false],
  ])('%j: %j', (text, expected) => {
    expect(only(text)?.noTransaction).toBe(expected)
  })

  test.each([
    ['-- stagecraft: no_transaction', '1.sql:1: it is not known what this line asks for'],
    ['SELECT 1;\n-- stagecraft: no-transaction', '1.sql:2: "-- stagecraft: no-transaction" is not the first line'],
  ])('%j is refused', (text, message) => {
    expect(refusal({ '1.sql': text })).toBe(`Cannot use ${message}`)
  })
})
