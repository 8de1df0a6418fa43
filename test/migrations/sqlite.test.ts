import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readHistory } from '../../lib/migrations/sql/runner.ts'
import { openDatabase } from '../../lib/migrations/sql/server/database.ts'
import { apply, historyOf, open, sqlFolder, startRunner, until } from '../scenes/sql.ts'
import { failureOf, formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const fresh = () => `sqlite:${join(temporary(sqlFolder({})).path, 'app.db')}`
const USERS = { '1-users.sql': 'CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE);' }
const printed = async (work: Promise<unknown>) => formatError(await failureOf(work)).join('\n')

async function column(url: string, sql: string): Promise<unknown[]> {
  const db = await open(url)
  const rows = await db.run(sql)
  await db.close()
  return rows.map((row) => Object.values(row)[0])
}
const tables = (url: string) => column(url, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")

test('the first run, the second, and a new file', async () => {
  const url = fresh()
  expect(await apply(url, {})).toEqual([])
  expect([await tables(url), await historyOf(url)]).toEqual([[], []])
  const more = { ...USERS, '2-name.sql': 'ALTER TABLE users ADD name text' }
  expect(await apply(url, more, { to: '1-users' })).toEqual(['1-users.sql'])
  expect(await apply(url, more, { release: 'rel-2' })).toEqual(['2-name.sql'])
  expect(await apply(url, more)).toEqual([])
  expect(await historyOf(url)).toEqual(['1-users.sql rel-1', '2-name.sql rel-2'])
})

test('the third of five files fails: it is undone, and the next run continues with it', async () => {
  const url = fresh()
  const five = (third: string) => ({
    ...USERS,
    '2.sql': "INSERT INTO users VALUES (1, 'ana@example.org')",
    '3.sql': third,
    '4.sql': 'CREATE TABLE d (a)',
    '5.sql': 'CREATE TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; SELECT 2; END; CREATE TABLE e (a)',
  })
  const text = await printed(
    apply(url, five("CREATE TABLE c (a);\n\nINSERT INTO users\n  VALUES (4711, 'ana@example.org')")),
  )
  expect(text).toMatchInlineSnapshot(`
    "Cannot apply 3.sql:3 to main: the database refuses it
    3.sql:3: INSERT INTO users VALUES (?, ?)
    SQLITE_CONSTRAINT_UNIQUE: UNIQUE constraint failed: users.email
      hint: Nothing of this file has been applied; files before it stay applied.
            Correct the file, then run it again."
  `)
  expect(await tables(url)).toEqual(['stagecraft_migrations', 'users'])
  expect(await printed(apply(url, five("SELECT 1;\nSELECT 'x',\n  nosuch FROM users")))).toContain('3.sql:3 to main')
  expect(await apply(url, five('SELECT 1'))).toEqual(['3.sql', '4.sql', '5.sql'])
})

test('a file without a transaction continues where it stopped', async () => {
  const url = fresh()
  const file = (third: string) => ({
    ...USERS,
    '2.sql': `-- stagecraft: no-transaction\nPRAGMA foreign_keys = ON;\nBEGIN; CREATE TABLE a (x REFERENCES users (id)); COMMIT;\n${third};\nVACUUM`,
  })
  expect(await printed(apply(url, file('INSERT INTO a VALUES (4711)')))).toContain(
    '2.sql:4: INSERT INTO a VALUES (?)\nSQLITE_CONSTRAINT_FOREIGNKEY',
  )
  expect(await historyOf(url)).toEqual(['1-users.sql rel-1', '2.sql rel-1 4/4'])
  // What the file has set for the session before is set again.
  expect(await printed(apply(url, file('INSERT INTO a VALUES (4712)')))).toContain('FOREIGNKEY')
  expect(await apply(url, file('INSERT INTO a VALUES (NULL)'))).toEqual(['2.sql'])
  expect(await column(url, 'SELECT x FROM a')).toEqual([null])
})

test.each([
  ['SELECT 1;\nBEGIN;', '1.sql:2: the file is one transaction already'],
  ['PRAGMA foreign_keys = OFF', '1.sql:1: it has no effect in a transaction'],
  ['-- stagecraft: no-transaction\nBEGIN;', '1.sql:2: its transaction is not ended'],
])('%j is refused', async (text, message) => {
  expect(await printed(apply(fresh(), { '1.sql': text }))).toStartWith(`Cannot use ${message}\n`)
})

describe('another session', () => {
  test('has locked the file: it times out', async () => {
    const url = fresh()
    const other = await open(url)
    await other.run('BEGIN IMMEDIATE')
    const text = await printed(apply(url, USERS, { lockTimeoutMs: 300 }))
    expect(text.replace(url.slice('sqlite:'.length), '/srv/app.db')).toMatchInlineSnapshot(`
      "Cannot migrate main: another process has locked its file
        hint: Waited 0.3s. This shows who: fuser -v /srv/app.db"
    `)
    await other.run('ROLLBACK')
    await other.close()
    expect(await apply(url, USERS)).toEqual(['1-users.sql'])
  })

  test('is a run: each file is applied once', async () => {
    const url = fresh()
    const files = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`${n}.sql`, `CREATE TABLE t${n} (a)`]))
    const both = await Promise.all([apply(url, files), apply(url, files)])
    expect(both.flat().sort()).toEqual(Object.keys(files))
  })
})

const LONG = `CREATE TABLE b AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT max(i) AS m FROM n`
test('kill -9: a file that is a transaction is undone, another one continues', async () => {
  const url = fresh()
  const more = {
    '1.sql': '-- stagecraft: no-transaction\nCREATE TABLE a (x);\nCREATE TABLE c (x)',
    '2.sql': `CREATE TABLE d (x);${LONG}`,
  }
  const runner = startRunner(url, more)
  await until(async () => (await historyOf(url)).includes('1.sql rel-killed'))
  runner.kill()
  await runner.child.exited
  runner.remove()
  expect(['', ...(await historyOf(url))]).toContain('1.sql rel-killed')
  expect(await apply(url, more)).toEqual(['2.sql'])
  expect(await tables(url)).toEqual(['a', 'b', 'c', 'd', 'stagecraft_migrations'])
})

test('a signal ends it between two statements', async () => {
  const url = fresh()
  const controller = new AbortController()
  const onFile = () => controller.abort(15)
  const error = await failureOf(apply(url, { ...USERS, '2.sql': 'SELECT 1' }, { signal: controller.signal, onFile }))
  expect([error.signal, error.message]).toEqual([15, 'Cannot migrate main: ended by signal 15'])
  expect(await historyOf(url)).toEqual([])
})

test('a file of 10,000 statements', async () => {
  const url = fresh()
  const inserts = Array.from({ length: 10_000 }, (_, n) => `INSERT INTO users VALUES (${n}, 'a;${n}'); -- ;`)
  expect(await apply(url, { ...USERS, '2.sql': `\ufeff${inserts.join('\r\n')}` })).toHaveLength(2)
  expect(await column(url, 'SELECT count(*) FROM users')).toEqual([10_000])
})

test('a database that is not there has no history, and to ask for it creates nothing', async () => {
  const url = fresh()
  const options = { lockTimeoutMs: 100, statementTimeoutMs: 0, database: 'main', readOnly: true }
  const db = await openDatabase({ url, ...options })
  expect(await readHistory(db)).toEqual({ database: 'main', applied: [], elsewhere: [] })
  await db.close()
  expect(existsSync(url.slice('sqlite:'.length))).toBe(false)
})

test('a relative path begins in the folder of the project, wherever the command runs', async () => {
  const { path: directory } = temporary(sqlFolder({}))
  const options = { lockTimeoutMs: 100, statementTimeoutMs: 0, database: 'main' }
  const db = await openDatabase({ url: 'sqlite:app.db', ...options, directory })
  await db.run('CREATE TABLE a (n int)')
  await db.close()
  expect(existsSync(`${directory}/app.db`)).toBe(true)
})

test('no such folder, and no database', async () => {
  expect(await printed(open('sqlite:/nosuch/ana.db'))).toMatchInlineSnapshot(`
    "Cannot connect to main: the file or its folder does not exist, or is not ours to write
      hint: Check the connection string of main, and the server (SQLITE_CANTOPEN)."
  `)
  const folder = temporary(sqlFolder({ 'text.db': 'x'.repeat(4096) }))
  expect(await printed(open(`sqlite:${folder.path}/text.db`))).toContain('the file is not a SQLite database')
})

test('a failure, as the spec shows it', async () => {
  const url = fresh()
  const file =
    "CREATE TABLE logins (at text);\n\nINSERT INTO users (id, email)\n  VALUES (1, 'ana@example.org'), (2, 'ana@example.org');"
  expectGolden('core/sql-migrations.md', 'failed', await printed(apply(url, { ...USERS, '2-logins.sql': file })))
})

test('a view in the place of the history is read as it: nothing is applied twice', async () => {
  const url = fresh()
  await apply(url, USERS)
  const db = await open(url)
  await db.run('ALTER TABLE stagecraft_migrations RENAME TO history')
  await db.run('CREATE VIEW stagecraft_migrations AS SELECT * FROM history')
  await db.close()
  expect(await apply(url, USERS)).toEqual([])
  expect(await historyOf(url)).toEqual(['1-users.sql rel-1'])
})
