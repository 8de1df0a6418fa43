import { describe, expect, test } from 'bun:test'
import { readServerError } from '../../lib/migrations/sql/server/messages.ts'
import { isRepeatable, kindOf, wordsOf } from '../../lib/migrations/sql/text/kinds.ts'
import { firstWords } from '../../lib/migrations/sql/text/masked.ts'

describe('what is shown of a statement', () => {
  test.each([
    [
      'postgres',
      "INSERT INTO t VALUES ('a@b', E'\\'x', 12, -1.5e3, $$y$$) -- z",
      'INSERT INTO t VALUES (?, ?, ?, -?, ?)',
    ],
    ['postgres', 'CREATE ROLE "Ana" PASSWORD \'x\'', 'CREATE ROLE "Ana" PASSWORD ?'],
    ['mysql', 'SET PASSWORD = "a", @x = x\'ff\', y = `z`', 'SET PASSWORD = ?, @x = ?, y = `z`'],
    ['mysql', "/*!40101 SET x = 'secret' */", '/*! ? */'],
    ['sqlite', "SELECT 'not closed", 'SELECT ?'],
    ['postgres', 'SELECT "my name", "a@b" FROM "t"', 'SELECT "my name", "?" FROM "t"'],
    ['postgres', `SELECT ${'a, '.repeat(60)}b`, `SELECT ${'a, '.repeat(23)}a, …`],
  ] as const)('%s: %s', (dialect, sql, expected) => {
    expect(firstWords(sql, dialect)).toBe(expected)
  })
})

describe('what is shown of a message', () => {
  const postgres = (code: string, message: string, detail?: string) =>
    readServerError({ errno: code, message, detail }, 'postgres').message
  test.each([
    [
      postgres('23505', 'duplicate key value', 'Key (a, b)=(x)y, z) already exists.'),
      'duplicate key value\nKey (a, b)=(?) already exists.',
    ],
    [
      postgres('23502', 'null value in column "a"', 'Failing row contains (1, x).'),
      'null value in column "a"\nFailing row contains (?).',
    ],
    [postgres('22001', 'value too long for type character varying(3)'), 'value too long for type character varying(?)'],
    [
      postgres('22P02', 'invalid input syntax for type json', 'Token "x y" is invalid.'),
      'invalid input syntax for type json\nToken "?" is invalid.',
    ],
    [postgres('42601', 'syntax error at or near "\'x\'"'), 'syntax error at or near "?"'],
    [postgres('42703', 'column "a@b" does not exist'), 'column "?" does not exist'],
    [postgres('42P01', 'relation "x" does not exist'), 'relation "x" does not exist'],
    [
      readServerError({ errno: 1062, message: "Duplicate entry 'it's x' for key 'k'" }, 'mysql').message,
      "Duplicate entry '?' for key 'k'",
    ],
    [
      readServerError({ errno: 1265, message: "Data truncated for column 'a' at row 1" }, 'mysql').message,
      "Data truncated for column '?' at row ?",
    ],
    [
      readServerError({ errno: 1142, message: "SELECT denied to user 'ana'@'10.0.0.1'" }, 'mysql').message,
      "SELECT denied to user '?'@'?'",
    ],
    [
      readServerError({ code: 'SQLITE_ERROR', message: 'unrecognized token: "\'x"' }, 'sqlite').message,
      'unrecognized token',
    ],
    [
      readServerError({ code: 'SQLITE_ERROR', message: 'near "\'x\'": syntax error' }, 'sqlite').message,
      'near "?": syntax error',
    ],
  ])('%s', (shown, expected) => {
    expect(shown).toBe(expected)
  })
})

describe('what a statement does to its transaction', () => {
  test.each([
    ['postgres', 'CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)', 'alone'],
    ['postgres', 'CREATE TABLE t ()', 'atomic'],
    ['postgres', 'BEGIN ISOLATION LEVEL SERIALIZABLE', 'begin'],
    ['postgres', 'ROLLBACK TO SAVEPOINT a', 'atomic'],
    ['postgres', 'END', 'commit'],
    ['mysql', '/*!40000 ALTER TABLE t DISABLE KEYS */', 'alone'],
    ['mysql', '/*!40101 SET NAMES utf8 */', 'atomic'],
    ['mysql', 'UNLOCK TABLES', 'left out'],
    ['mysql', 'BEGIN NOT ATOMIC SELECT 1; END', 'alone'],
    ['mysql', '(SELECT 1)', 'atomic'],
    ['sqlite', 'PRAGMA foreign_keys = OFF', 'alone'],
  ] as const)('%s: %s: %s', (dialect, sql, kind) => {
    expect(kindOf(wordsOf(sql, dialect), dialect)).toBe(kind)
  })

  test.each([
    ['create index concurrently if not exists i on t (a)', true],
    ['create index concurrently i on t (a)', false],
    ['vacuum', true],
  ])('%s may be run again: %s', (words, expected) => {
    expect(isRepeatable(words)).toBe(expected)
  })
})
