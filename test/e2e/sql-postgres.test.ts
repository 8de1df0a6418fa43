import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import type { Database } from '../../lib/migrations/sql/server/database.ts'
import { apply, historyOf, open, printedFailure, type Server, startRunner, startServer, until } from '../scenes/sql.ts'
import { host } from '../support/lab.ts'

let server: Server
let other: Database
beforeAll(async () => {
  server = await startServer(host('h1'), 'postgres')
  other = await server.other()
})
afterAll(async () => {
  await other?.close()
  await server?.remove()
})
beforeEach(async () => {
  await other.run('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
})

const USERS = { '1-users.sql': 'CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE);' }
const column = async (sql: string) => (await other.run(sql)).map((row) => Object.values(row)[0])
const tables = () => column("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")

const PATIENT = { lockTimeoutMs: 120_000 } // longer than what a run that was killed has begun still takes
const printed = (work: Promise<unknown>) => printedFailure(work, ['ana@example.org', server.url])

test('the first run, the second, and a new file', async () => {
  expect(await apply(server.url, {})).toEqual([])
  expect([await tables(), await historyOf(server.url)]).toEqual([[], []])
  const more = { ...USERS, '2-name.sql': 'ALTER TABLE users ADD name text' }
  expect(await apply(server.url, more, { to: '1-users' })).toEqual(['1-users.sql'])
  expect(await apply(server.url, more, { release: 'rel-2' })).toEqual(['2-name.sql'])
  expect(await apply(server.url, more)).toEqual([])
  expect(await historyOf(server.url)).toEqual(['1-users.sql rel-1', '2-name.sql rel-2'])
  expect(await tables()).toEqual(['stagecraft_migrations', 'users'])
})

test('what a file sets for the session ends with it', async () => {
  await other.run('DROP ROLE IF EXISTS weak; CREATE ROLE weak')
  await apply(server.url, {
    '1.sql':
      "SELECT pg_catalog.set_config('search_path', '', false); SET statement_timeout = 1; RESET statement_timeout",
    '2.sql': "CREATE TABLE a (x text DEFAULT current_setting('application_name')); SET ROLE weak",
    '3.sql':
      "SET standard_conforming_strings = off; INSERT INTO a VALUES (default), (current_role), (current_setting('lock_timeout'))",
  })
  expect(await column('SELECT x FROM public.a')).toEqual(['stagecraft rel-1', 'postgres', '10s'])
  expect(await historyOf(server.url)).toHaveLength(3)
})

describe('a statement fails', () => {
  const five = (third: string) => ({
    ...USERS,
    '2.sql': "INSERT INTO users VALUES (1, 'ana@example.org')",
    '3.sql': third,
    '4.sql': 'CREATE TABLE d ()',
    '5.sql': 'CREATE TABLE e ()',
  })

  test('in the third of five files: it is undone, and the next run goes on with it', async () => {
    const text = await printed(
      apply(server.url, five("CREATE TABLE c ();\n\n-- who\nINSERT INTO users\n  VALUES (2, 'ana@example.org');")),
    )
    expect(text).toMatchInlineSnapshot(`
      "Cannot apply 3.sql:4 to main: the database refuses it
      3.sql:4: INSERT INTO users VALUES (?, ?)
      23505: duplicate key value violates unique constraint "users_email_key"
      Key (email)=(?) already exists.
        hint: Nothing of this file has been applied; files before it stay applied.
              Correct the file, then run it again."
    `)
    expect([await tables(), await historyOf(server.url)]).toEqual([
      ['stagecraft_migrations', 'users'],
      ['1-users.sql rel-1', '2.sql rel-1'],
    ])
    expect(await apply(server.url, five('SELECT 1'))).toEqual(['3.sql', '4.sql', '5.sql'])
  })

  test.each([
    [
      "SELECT 1;\nSELECT\n 'ana@example.org', 4711\n FROM nosuch",
      '3.sql:4 3.sql:2: SELECT ?, ? FROM nosuch\n42P01: relation "nosuch" does not exist',
    ],
    ["SELECT 'ana@example.org' 4711 'x'", '3.sql:1 3.sql:1: SELECT ? ? ?\n42601: syntax error at or near "?"'],
    [
      "SELECT 'ana@example.org'::int",
      '3.sql:1 3.sql:1: SELECT ?::int\n22P02: invalid input syntax for type integer: "?"',
    ],
    [
      "DO $$ BEGIN RAISE EXCEPTION 'no % for 4711', 'ana@example.org'; END $$",
      '3.sql:1 3.sql:1: DO ?\nP0001: no ? for ?\nin PL/pgSQL function inline_code_block line 1',
    ],
    [
      "ALTER TABLE users ADD CONSTRAINT c CHECK (email <> 'ana@example.org')",
      '3.sql:1 3.sql:1: ALTER TABLE users ADD CONSTRAINT c CHECK (email <> ?)\n23514: check constraint "c" of relation "users" is violated by some row',
    ],
    [
      'CREATE TABLE f (x int REFERENCES users DEFERRABLE INITIALLY DEFERRED); INSERT INTO f VALUES (4711)',
      'the end of 3.sql (COMMIT) 23503: insert or update on table "f" violates foreign key constraint "f_x_fkey"\nKey (x)=(?) is not present in table "users".',
    ],
  ])('%j shows where and why, and no values', async (third, expected) => {
    const text = await printed(apply(server.url, five(third)))
    expect(text).not.toContain('4711')
    expect(text.replace(/^Cannot apply (.*) to main: the database refuses it\n/, '$1 ').split('\n  hint')[0]).toBe(
      expected,
    )
  })

  test('one that cannot run in a transaction: the remedy', async () => {
    const text = await printed(apply(server.url, five('CREATE INDEX CONCURRENTLY i ON users (email)')))
    expect(text).toContain('Put it into a file of its own whose first line is: -- stagecraft: no-transaction')
  })

  test('one that would end the transaction is refused before anything runs', async () => {
    const text = await printed(apply(server.url, { ...USERS, '2.sql': 'SELECT 1;\nCOMMIT;' }))
    expect(text).toMatchInlineSnapshot(`
      "Cannot use 2.sql:2: the file is one transaction already
        hint: Remove COMMIT, or make this the first line: -- stagecraft: no-transaction"
    `)
    expect(await tables()).toEqual([])
  })
})

test('a file without a transaction goes on where it stopped', async () => {
  const file = (third: string) => ({
    ...USERS,
    '2.sql': `-- stagecraft: no-transaction\nSET search_path = public;\nCREATE INDEX CONCURRENTLY i ON users (email);\n${third};\nCREATE TABLE z ()`,
  })
  const text = await printed(apply(server.url, file('CREATE TABLE users ()')))
  expect(text).toMatchInlineSnapshot(`
    "Cannot apply 2.sql:4 to main: the database refuses it
    2.sql:4: CREATE TABLE users ()
    42P07: relation "users" already exists
      hint: The statements before line 4 stay applied; the next run goes on there.
            Correct the file, then run it again."
  `)
  expect(await historyOf(server.url)).toEqual(['1-users.sql rel-1', '2.sql rel-1 2/2'])
  const changed = await printed(
    apply(server.url, { ...USERS, '2.sql': '-- stagecraft: no-transaction\nSELECT 1;\nSELECT 2;\nSELECT 3' }),
  )
  expect(changed).toMatchInlineSnapshot(`
    "Cannot migrate main: 2.sql stopped after 2 statements, and these have changed
      hint: Restore them as they were with rel-1; change only what follows.
            Nothing has been applied."
  `)
  expect(await apply(server.url, file('BEGIN; CREATE TABLE x (); CREATE TABLE y (); COMMIT'))).toEqual(['2.sql'])
  expect(await tables()).toEqual(['stagecraft_migrations', 'users', 'x', 'y', 'z'])
})

describe('kill -9', () => {
  const killed = "FROM pg_stat_activity WHERE application_name = 'stagecraft rel-killed' AND query ~ 'pg_sleep'"
  const busy = async () => (await column(`SELECT 1 ${killed}`)).length > 0

  test('in a statement: the next run begins when the server has ended it, and nothing is applied twice', async () => {
    const files = { ...USERS, '2.sql': "INSERT INTO users VALUES (1, 'a');\nSELECT pg_sleep(8)" }
    const runner = startRunner(server.url, files)
    await until(busy)
    runner.kill()
    const early = await printed(apply(server.url, files, { lockTimeoutMs: 300 }))
    expect(early.replace(/pid \d+|\d{4}-\S+ \S+(?= UTC)|from [\d.]+|\(\d+\)/g, '?')).toMatchInlineSnapshot(`
      "Cannot migrate main: another run has its lock: ? (stagecraft rel-killed) ?, since ? UTC, runs: SELECT pg_sleep(?)
        hint: Waited 0.3s. Wait until it has ended. If nobody needs it: SELECT pg_terminate_backend?"
    `)
    expect(await apply(server.url, files, PATIENT)).toEqual(['2.sql'])
    expect(await busy()).toBe(false)
    runner.remove()
  })

  test('between statements of a file without a transaction', async () => {
    const files = {
      '1.sql': '-- stagecraft: no-transaction\nCREATE TABLE a ();\nVACUUM;\nSELECT pg_sleep(5);\nCREATE TABLE b ()',
    }
    const runner = startRunner(server.url, files)
    await until(busy)
    runner.kill()
    expect(await apply(server.url, files, PATIENT)).toEqual(['1.sql'])
    expect(await tables()).toEqual(['a', 'b', 'stagecraft_migrations'])
    runner.remove()
  })

  test('in a statement that commits by itself: it is not known whether it was applied', async () => {
    const files = {
      '1.sql':
        '-- stagecraft: no-transaction\nCREATE TABLE a (); DO $$ BEGIN PERFORM pg_sleep(5); END $$;\nCREATE TABLE b ()',
    }
    const runner = startRunner(server.url, files)
    await until(busy)
    runner.kill()
    expect(await printed(apply(server.url, files, PATIENT))).toMatchInlineSnapshot(`
      "Cannot migrate main: it is not known whether 1.sql:2 was applied: the run or the server died meanwhile
        hint: Look at the database. If it was not applied:
                UPDATE "public"."stagecraft_migrations" SET statements_begun = statements_done WHERE database_name = 'main' AND name = '1.sql';
              If it was applied:
                UPDATE "public"."stagecraft_migrations" SET statements_done = 2, statements_begun = 2, done_sha256 = '04268baaed824bf80d8d232cba4262307b234d8e8b3a6df2eed052a58726f81e' WHERE database_name = 'main' AND name = '1.sql';"
    `)
    await other.run("UPDATE stagecraft_migrations SET statements_begun = 1 WHERE name = '1.sql'")
    expect(await apply(server.url, files)).toEqual(['1.sql'])
    runner.remove()
  })
})

test('two runs at once: each file is applied once', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 9 }, (_, n) => [`${n}.sql`, `CREATE TABLE t${n} (); SELECT pg_sleep(0.05)`]),
  )
  const both = await Promise.all([apply(server.url, files), apply(server.url, files)])
  expect(both.flat().sort()).toEqual(Object.keys(files))
})

test('a table that another session has locked: it times out, and names the session', async () => {
  await apply(server.url, USERS)
  await other.run('BEGIN; LOCK TABLE users')
  try {
    const more = { ...USERS, '2.sql': 'ALTER TABLE users ADD name text' }
    const text = await printed(apply(server.url, more, { lockTimeoutMs: 6_000 }))
    expect(text.replace(/pid \d+|\d{4}-\S+ \S+(?= UTC)|from [\d.]+/g, '?')).toMatchInlineSnapshot(`
      "Cannot apply 2.sql:1 to main: what it needs is locked
      2.sql:1: ALTER TABLE users ADD name text
      55P03: canceling statement due to lock timeout
      in the way: ? (stagecraft) ?, since ? UTC, idle, last ran: BEGIN; LOCK TABLE users
        hint: Nothing of this file has been applied; files before it stay applied.
              Run it again when the other session has ended, or set a longer lock_timeout."
    `)
  } finally {
    await other.run('ROLLBACK')
  }
})

const SLEEPING = "FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep' AND state = 'active'"

test('a statement that takes too long, and one that a signal ends', async () => {
  const slow = { ...USERS, '2.sql': 'CREATE TABLE c (); SELECT pg_sleep(120)' }
  expect(await printed(apply(server.url, slow, { statementTimeoutMs: 300 }))).toContain(
    'set a longer statement_timeout',
  )
  const controller = new AbortController()
  const running = printed(apply(server.url, slow, { signal: controller.signal }))
  await until(async () => (await column(`SELECT 1 ${SLEEPING}`)).length > 0)
  controller.abort(15)
  expect(await running).toMatchInlineSnapshot(`
    "Cannot migrate main: ended by signal 15
      hint: Nothing of this file has been applied; files before it stay applied."
  `)
  expect(await tables()).toEqual(['stagecraft_migrations', 'users'])
})

test('a connection that is lost in the middle', async () => {
  const running = printed(apply(server.url, { '1.sql': 'CREATE TABLE a ();\nSELECT pg_sleep(120)' }))
  await until(async () => (await column(`SELECT 1 ${SLEEPING}`)).length === 1)
  await other.run(`SELECT pg_terminate_backend(pid) ${SLEEPING}`)
  expect(await running).toMatchInlineSnapshot(`
    "Cannot apply 1.sql:2 to main: the connection was lost
    1.sql:2: SELECT pg_sleep(?)
    57P01: terminating connection due to administrator command
      hint: The server undoes what it had begun of this file; files before it stay applied.
            Run it again when the database answers."
  `)
})

test('a connection that is lost in COMMIT: the history is checked', async () => {
  const sleep = `CREATE FUNCTION s() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER s AFTER INSERT ON users INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION s();
    INSERT INTO users VALUES (1)`
  const running = printed(apply(server.url, { ...USERS, '2.sql': sleep }))
  // Of this file: that of the first one may be seen too.
  const committing = "FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active' AND wait_event = 'PgSleep'"
  await until(async () => (await column(`SELECT 1 ${committing}`)).length > 0)
  // Another database of stagecraft.yml, with a history of its own in this table, has applied a file of this name.
  await other.run("INSERT INTO stagecraft_migrations SELECT 'other', '2.sql', '', now(), 'rel-0', 0")
  await other.run(`SELECT pg_terminate_backend(pid) ${committing}`)
  expect(await running).toMatch(
    /^Cannot apply the end of 2.sql \(COMMIT\) to main: the connection was lost\n(?![\s\S]*history has it)/,
  )
  expect(await historyOf(server.url)).toEqual(['1-users.sql rel-1'])
})

test('a file of 10,000 statements, functions, and semicolons everywhere', async () => {
  const inserts = Array.from({ length: 10_000 }, (_, n) => `INSERT INTO users VALUES (${n}, 'a;${n}'); -- ;`)
  await apply(server.url, {
    ...USERS,
    '2.sql': `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN /* ; */ RETURN 1; END; $f$;\r\n${inserts.join('\r\n')}`,
  })
  expect(await column('SELECT count(*) + f() FROM users')).toEqual(['10001'])
})

test('no connection: nothing of the connection string is shown', async () => {
  const wrong = (change: string, to: string) => printed(open(server.url.replace(change, to)))
  expect(await wrong('postgres:p', 'postgres:q')).toMatchInlineSnapshot(`
    "Cannot connect to main: the server refuses the user or the password
      hint: Check the connection string of main, and the server (28P01)."
  `)
  expect(await wrong('/app', '/nosuch')).toMatchInlineSnapshot(`
    "Cannot connect to main: there is no such database, or the user may not use it
      hint: Check the connection string of main, and the server (3D000)."
  `)
  expect(await wrong(/:\d+\/app$/.exec(server.url)?.[0] ?? '', ':9/app')).toMatchInlineSnapshot(`
    "Cannot connect to main: nothing answers there
      hint: Check the connection string of main, and the server (ERR_POSTGRES_CONNECTION_REFUSED)."
  `)
})
