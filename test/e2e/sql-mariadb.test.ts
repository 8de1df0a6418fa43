import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import type { Database } from '../../lib/migrations/sql/server/database.ts'
import { apply, historyOf, open, printedFailure, type Server, startRunner, startServer, until } from '../scenes/sql.ts'
import { host } from '../support/lab.ts'

let server: Server
let other: Database
beforeAll(async () => {
  server = await startServer(host('h1'), 'mysql')
  other = await server.other()
})
afterAll(async () => {
  await other?.close()
  await server?.remove()
})
beforeEach(async () => {
  await other.run('DROP DATABASE app; CREATE DATABASE app; USE app')
})

const USERS = { '1-users.sql': 'CREATE TABLE users (id int PRIMARY KEY, email varchar(99) UNIQUE);' }
const column = async (sql: string) => (await other.run(sql)).map((row) => Object.values(row)[0])
const tables = () => column('SHOW TABLES')
const count = async (table: string) => Number((await column(`SELECT count(*) FROM ${table}`))[0])

const printed = (work: Promise<unknown>) => printedFailure(work, ['ana@example.org', '4711', 'root', server.url])

test('the first run, the second, and a new file', async () => {
  expect(await apply(server.url, {})).toEqual([])
  expect([await tables(), await historyOf(server.url)]).toEqual([[], []])
  const more = { ...USERS, '2-name.sql': 'ALTER TABLE users ADD name text' }
  expect(await apply(server.url, more, { to: '1-users.sql' })).toEqual(['1-users.sql'])
  expect(await apply(server.url, more, { release: 'rel-2' })).toEqual(['2-name.sql'])
  expect(await apply(server.url, more)).toEqual([])
  expect(await historyOf(server.url)).toEqual(['1-users.sql rel-1', '2-name.sql rel-2'])
})

test('what a file sets for the session ends with it', async () => {
  await other.run('DROP DATABASE IF EXISTS elsewhere; CREATE DATABASE elsewhere')
  await apply(server.url, {
    '1.sql':
      "SET autocommit = 1; SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'; SET FOREIGN_KEY_CHECKS = 0; USE elsewhere; CREATE TABLE x (a int)",
    '2.sql':
      'CREATE TABLE a AS SELECT @@autocommit AS a, @@foreign_key_checks AS f, @@lock_wait_timeout AS l, "x" AS x',
  })
  expect(await other.run('SELECT a, f, l, x FROM app.a')).toEqual([{ a: 0, f: 1, l: 10, x: 'x' }])
})

test('the third of five files fails: earlier statements stay, and the next run continues there', async () => {
  const five = (second: string) => ({
    ...USERS,
    '2.sql': "INSERT INTO users VALUES (1, 'ana@example.org')",
    '3.sql': `SET @id = 2;\nCREATE TABLE c (a int);\n# who\nINSERT INTO users\n  VALUES (@id, ${second});`,
    '4.sql': 'CREATE TABLE d (a int)',
    '5.sql': 'CREATE TABLE e (a int)',
  })
  const text = await printed(apply(server.url, five("'ana@example.org'")))
  expect(text).toMatchInlineSnapshot(`
    "Cannot apply 3.sql:4 to main: the database refuses it
    3.sql:4: INSERT INTO users VALUES (@id, ?)
    1062: Duplicate entry '?' for key 'email'
      hint: The statements before line 4 stay applied; the next run goes on there.
            Correct the file, then run it again."
  `)
  expect([await tables(), await historyOf(server.url)]).toEqual([
    ['c', 'stagecraft_migrations', 'users'],
    ['1-users.sql rel-1', '2.sql rel-1', '3.sql rel-1 2/2'],
  ])
  const changed = { ...five('NULL'), '3.sql': 'SELECT 1; SELECT 2; SELECT 3' }
  expect(await printed(apply(server.url, changed))).toContain('and these have changed')
  expect(await apply(server.url, five('NULL'))).toEqual(['3.sql', '4.sql', '5.sql'])
  expect(await column('SELECT email FROM users WHERE id = 2')).toEqual([null])
})

test.each([
  [
    "SELECT 1;\nSELECT 'ana@example.org', 4711\nFROM WHERE 'ana@example.org'",
    "2.sql:3 2.sql:2: SELECT ?, ? FROM WHERE ?\n1064: You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near 'WHERE ?' at line 2",
  ],
  [
    "SELECT 'ana@example.org' FROM nosuch",
    "2.sql:1 2.sql:1: SELECT ? FROM nosuch\n1146: Table 'app.nosuch' doesn't exist",
  ],
  [
    "INSERT INTO users VALUES ('ana@example.org', 1)",
    "2.sql:1 2.sql:1: INSERT INTO users VALUES (?, ?)\n1366: Incorrect integer value: '?' for column `app`.`users`.`id` at row ?",
  ],
  [
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no ana@example.org'",
    '2.sql:1 2.sql:1: SIGNAL SQLSTATE ? SET MESSAGE_TEXT = ?\n1644: no ?',
  ],
  ['CREATE TABLE users (b int)', "2.sql:1 2.sql:1: CREATE TABLE users (b int)\n1050: Table 'users' already exists"],
])('%j shows where and why, and no values', async (sql, expected) => {
  const text = await printed(apply(server.url, { ...USERS, '2.sql': sql }))
  expect(text.replace(/^Cannot apply (.*) to main: the database refuses it\n/, '$1 ').split('\n  hint')[0]).toBe(
    expected,
  )
  // The failed statement was not applied: no confirmation is needed.
  const corrected = sql.replace(/(^|\n)(SELECT '|INSERT|SIGNAL|CREATE)[\s\S]*/, '$1SELECT 2')
  expect(await apply(server.url, { ...USERS, '2.sql': corrected })).toEqual(['2.sql'])
})

test('DELIMITER, bodies without it, transactions, and what mysqldump writes', async () => {
  await apply(server.url, {
    ...USERS,
    '2.sql': [
      '/*!40101 SET NAMES utf8mb4 */;',
      'LOCK TABLES `users` WRITE;',
      '/*!40000 ALTER TABLE `users` DISABLE KEYS */;',
      "SET autocommit=0; INSERT INTO `users` VALUES (1,'a;\\'b'),(2,'c'); COMMIT;",
      'UNLOCK TABLES;',
      'DELIMITER ;;',
      '/*!50003 CREATE*/ /*!50003 TRIGGER t BEFORE INSERT ON users FOR EACH ROW BEGIN SET NEW.id = NEW.id + 1; SET @x = 1; END */;;',
      'DELIMITER ;',
      'CREATE PROCEDURE p() BEGIN IF 1 THEN INSERT INTO users VALUES (10, NULL); END IF; SELECT 1; SELECT 2; END;',
      'CALL p();',
      'START TRANSACTION; INSERT INTO users VALUES (20, NULL); ROLLBACK;',
      'START TRANSACTION; INSERT INTO users VALUES (30, NULL); COMMIT;',
    ].join('\n'),
  })
  expect(await column('SELECT id FROM users ORDER BY id')).toEqual([1, 2, 11, 31])
})

describe('kill -9', () => {
  const busy = async () =>
    Number(
      (
        await column(
          "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%sleep(8%' AND id <> connection_id()",
        )
      )[0],
    ) > 0

  test.each([
    ['DDL, which commits by itself', 'CREATE TABLE b AS SELECT sleep(8) AS a', 'b'],
    ['a change of rows', "INSERT INTO users SELECT 10 + sleep(8), 'b'", 'users'],
  ])('in %s: the server ends it and its record, and the next run goes on after it', async (_, sql, table) => {
    const files = { ...USERS, '2.sql': `CREATE TABLE a (a int);\n${sql};\nCREATE TABLE z (a int)` }
    const runner = startRunner(server.url, files)
    await until(busy)
    runner.kill()
    const early = await printed(apply(server.url, files, { lockTimeoutMs: 300 }))
    const [, shown] = /^(Cannot .*?): pid \d+ from [\d.:]+, since \S+ \S+ UTC, (runs: \w+ \w+)/.exec(early) ?? []
    expect(shown).toBe('Cannot migrate main: another run has its lock')
    expect(early).toContain(`, runs: ${sql.slice(0, 14)}`)
    expect(await apply(server.url, files, { lockTimeoutMs: 120_000 })).toEqual(['2.sql'])
    expect([await busy(), await count(table)]).toEqual([false, 1])
    expect(await tables()).toContain('z')
    runner.remove()
  })

  test('of the server, in DDL: it is not known whether it was applied', async () => {
    const files = { '1.sql': 'CREATE TABLE a (a int);\nALTER TABLE a ADD b int' }
    await apply(server.url, files)
    await other.run(
      "UPDATE stagecraft_migrations SET applied_at = NULL, statements_done = 1, done_sha256 = sha2('CREATE TABLE a (a int)\\0', 256)",
    )
    const text = await printed(apply(server.url, files))
    expect(text).toMatchInlineSnapshot(`
      "Cannot migrate main: it is not known whether 1.sql:2 was applied: the run or the server died meanwhile
        hint: Look at the database. If it was not applied:
                UPDATE \`app\`.\`stagecraft_migrations\` SET statements_begun = statements_done WHERE database_name = 'main' AND name = '1.sql';
              If it was applied:
                UPDATE \`app\`.\`stagecraft_migrations\` SET statements_done = 2, statements_begun = 2, done_sha256 = 'de281c2d3af986180f8b2835447f257483afbf7e4cf8fbfc42a29195a22cdf63' WHERE database_name = 'main' AND name = '1.sql';"
    `)
    const [, remedy = ''] = /If it was applied:\s*(UPDATE .*);$/m.exec(text) ?? []
    await other.run(remedy)
    expect(await apply(server.url, files)).toEqual(['1.sql'])
  })
})

test('two runs at once: each file is applied once', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 9 }, (_, n) => [`${n}.sql`, `CREATE TABLE t${n} (a int); DO sleep(0.05)`]),
  )
  const both = await Promise.all([apply(server.url, files), apply(server.url, files)])
  expect(both.flat().sort()).toEqual(Object.keys(files))
})

test.each([
  [
    'a table',
    'SELECT * FROM users',
    'ALTER TABLE users ADD name text',
    /in the way: perhaps pid \d+ from [\d.:]+, since \S+ \S+ UTC, idle/,
  ],
  [
    'a row',
    'UPDATE users SET email = 4711',
    'UPDATE users SET email = NULL',
    /in the way: pid \d+ from [\d.:]+, since \S+ \S+ UTC, idle/,
  ],
])('%s that another session has locked: it times out, and names the session', async (_, theirs, ours, blocker) => {
  await apply(server.url, { ...USERS, '2.sql': 'INSERT INTO users VALUES (1, NULL)' })
  await other.run(`START TRANSACTION; ${theirs}`)
  try {
    const more = { ...USERS, '2.sql': 'INSERT INTO users VALUES (1, NULL)', '3.sql': ours }
    const text = await printed(apply(server.url, more, { lockTimeoutMs: 6_000 }))
    expect(text).toStartWith('Cannot apply 3.sql:1 to main: what it needs is locked\n')
    expect(text).toMatch(blocker)
  } finally {
    await other.run('ROLLBACK')
  }
})

test('a statement that takes too long, one ended by a signal, and a lost connection', async () => {
  const sleeping = "info LIKE '%sleep(120%' AND id <> connection_id()"
  const session = async () => (await column(`SELECT id FROM information_schema.processlist WHERE ${sleeping}`))[0]
  const slow = { ...USERS, '2.sql': 'CREATE TABLE c (a int);\nCREATE TABLE d AS SELECT sleep(120) AS a' }
  expect(await printed(apply(server.url, slow, { statementTimeoutMs: 300 }))).toContain(
    'set a longer statement_timeout',
  )
  const controller = new AbortController()
  const running = printed(apply(server.url, slow, { signal: controller.signal }))
  await until(async () => (await session()) !== undefined)
  controller.abort(15)
  expect(await running).toMatchInlineSnapshot(`
    "Cannot migrate main: ended by signal 15
      hint: The statements before line 2 stay applied; the next run goes on there."
  `)
  expect([await tables(), await historyOf(server.url)]).toEqual([
    ['c', 'stagecraft_migrations', 'users'],
    ['1-users.sql rel-1', '2.sql rel-1 1/1'],
  ])
  const lost = printed(apply(server.url, slow))
  await until(async () => (await session()) !== undefined)
  await other.run(`KILL ${await session()}`)
  expect(await lost).toMatchInlineSnapshot(`
    "Cannot apply 2.sql:2 to main: the connection was lost
    2.sql:2: CREATE TABLE d AS SELECT sleep(?) AS a
    ERR_MYSQL_CONNECTION_CLOSED: Connection closed
      hint: It is not known whether this statement was applied. The next run goes by what is recorded.
            Run it again when the database answers."
  `)
})

test('INSERTs followed by a failure, a ROLLBACK and DDL are applied once', async () => {
  const file = (last: string) => ({
    ...USERS,
    '2.sql': `INSERT INTO users VALUES (1, 'a'); INSERT INTO users VALUES (2, 'b'); ROLLBACK;
      INSERT INTO users VALUES (3, 'c'); CREATE TABLE d (a int); INSERT INTO users VALUES (4, 'd');
      START TRANSACTION; INSERT INTO users VALUES (5, 'e'); COMMIT; INSERT INTO users VALUES (6, 'f');\n${last}`,
  })
  expect(await printed(apply(server.url, file("INSERT INTO users VALUES (4711, 'f')")))).toContain('2.sql:4 to main')
  expect(await historyOf(server.url)).toEqual(['1-users.sql rel-1', '2.sql rel-1 10/10'])
  expect(await count('users')).toBe(6)
  expect(await apply(server.url, file('SELECT 1'))).toEqual(['2.sql'])
  expect(await count('users')).toBe(6)
})

test('a file of 10,000 statements', async () => {
  const inserts = Array.from({ length: 10_000 }, (_, n) => `INSERT INTO users VALUES (${n}, 'a;${n}'); -- ;`)
  await apply(server.url, { ...USERS, '2.sql': inserts.join('\r\n') })
  expect(await count('users')).toBe(10_000)
})

test('no variable of the environment adds to the connection string', async () => {
  const variables = { MARIADB_DATABASE: 'mysql', MYSQL_URL: 'mysql://evil@evil/evil', PGSSLMODE: 'verify-full' }
  Object.assign(process.env, variables)
  try {
    const db = await open(server.url)
    expect(db.place).toBe('app')
    await db.close()
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name]
  }
})

test('no connection: nothing of the connection string is shown', async () => {
  const wrong = (change: string, to: string) => printed(open(server.url.replace(change, to)))
  expect(await wrong('root:p', 'root:q')).toContain('the server refuses the user or the password')
  expect(await wrong('/app', '/nosuch')).toContain('there is no such database')
  expect(await wrong(/:\d+\/app$/.exec(server.url)?.[0] ?? '', ':9/app')).toContain('nothing answers there')
})
