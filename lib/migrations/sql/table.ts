import type { AppliedFile, History } from './history.ts'
import type { Row } from './server/connection.ts'
import { type Database, TABLE } from './server/database.ts'
import { type Dialect, textLiteral } from './text/dialect.ts'

// The history: one row for each file that was applied, and for the one that goes statement by statement. Names of columns
// are part of the interface: people query them, and remedies name them.

const COLUMNS: Readonly<Record<Dialect, string>> = {
  postgres: `database_name text NOT NULL, name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz, release text NOT NULL,
    duration_ms bigint NOT NULL, statements_done integer, statements_begun integer, done_sha256 text,
    PRIMARY KEY (database_name, name)`,
  mysql: `database_name varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    name varchar(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, sha256 char(64) NOT NULL, applied_at datetime(3),
    \`release\` varchar(200) CHARACTER SET utf8mb4 NOT NULL, duration_ms bigint NOT NULL,
    statements_done integer, statements_begun integer, done_sha256 char(64), PRIMARY KEY (database_name, name)`,
  sqlite: `database_name TEXT NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_at TEXT, release TEXT NOT NULL,
    duration_ms INTEGER NOT NULL, statements_done INTEGER, statements_begun INTEGER, done_sha256 TEXT,
    PRIMARY KEY (database_name, name)`,
}
const NOW: Readonly<Record<Dialect, string>> = {
  postgres: 'clock_timestamp()',
  mysql: 'UTC_TIMESTAMP(3)',
  sqlite: "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
}
const APPLIED_AT: Readonly<Record<Dialect, string>> = {
  postgres: `to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
  mysql: "DATE_FORMAT(applied_at, '%Y-%m-%dT%H:%i:%s.%fZ')",
  sqlite: 'applied_at',
}

/**
 * Several databases of stagecraft.yml may be one database of a server, each with a folder of its own, such as for before and
 * after the rollout: each has its own history.
 * @returns the history, in no order; nothing if there is no table. Changes nothing. @throws what the server says
 */
export async function readTable(db: Database): Promise<History> {
  if (!(await tableExists(db))) return { database: db.name, applied: [], elsewhere: [] }
  const names = `name, sha256, ${APPLIED_AT[db.dialect]} AS applied, ${quoteRelease(db.dialect)} AS released, duration_ms`
  const all = await db.run(
    `SELECT database_name, ${names}, statements_done, statements_begun, done_sha256 FROM ${db.table}`,
  )
  const isOwn = (row: Row) => row['database_name'] === db.name
  return {
    database: db.name,
    applied: all.filter(isOwn).map(toApplied),
    elsewhere: all
      .filter((row) => !isOwn(row))
      .map((row) => ({ ...toApplied(row), database: String(row['database_name']) })),
  }
}

async function tableExists(db: Database): Promise<boolean> {
  const place = textLiteral(db.dialect, db.place)
  const exists = {
    // A view is one too: `CREATE TABLE IF NOT EXISTS` does nothing if there is one, and all files would be applied again.
    postgres: `SELECT 1 AS found FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = ${place} AND c.relname = '${TABLE}' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`,
    mysql: `SELECT 1 AS found FROM information_schema.tables WHERE table_schema = ${place} AND table_name = '${TABLE}'`,
    sqlite: `SELECT 1 AS found FROM main.sqlite_master WHERE type IN ('table', 'view') AND name = '${TABLE}'`,
  }
  return (await db.run(exists[db.dialect])).length > 0
}

/** Creates the table if it is not there. @throws what the server says */
export async function createTable(db: Database): Promise<void> {
  if (await tableExists(db)) return
  const engine = db.dialect === 'mysql' ? ' ENGINE=InnoDB' : ''
  await db.run(`CREATE TABLE IF NOT EXISTS ${db.table} (${COLUMNS[db.dialect]})${engine}`)
}

function toApplied(row: Row): AppliedFile {
  const text = (name: string) => String(row[name] ?? '')
  const appliedAt = row['applied'] === null ? undefined : text('applied').replace(/(\.\d{3})\d+Z$/, '$1Z')
  const progress = { done: Number(row['statements_done']), begun: Number(row['statements_begun']) }
  return {
    name: text('name'),
    sha256: text('sha256'),
    release: text('released'),
    appliedAt,
    durationMs: Number(row['duration_ms']),
    unfinished: appliedAt === undefined ? { ...progress, doneSha256: text('done_sha256') } : undefined,
  }
}

/** What is recorded with a file. */
interface Recorded {
  readonly name: string
  readonly sha256: string
  readonly release: string
  readonly durationMs: number
}

/**
 * SQL for the writer of the history.
 * @param text how a name is written: by default so that no setting of the session changes how it is read
 */
export function tableSql(
  { dialect, table, name: database }: Pick<Database, 'dialect' | 'table' | 'name'>,
  text = (value: string) => textLiteral(dialect, value),
) {
  const where = (name: string) => `WHERE database_name = ${text(database)} AND name = ${text(name)}`
  const common = `database_name, name, sha256, ${quoteRelease(dialect)}, duration_ms, applied_at`
  return {
    /** a file that was applied as a whole */
    applied: ({ name, sha256, release, durationMs }: Recorded) =>
      `INSERT INTO ${table} (${common}) VALUES (${text(database)}, ${text(name)}, '${sha256}', ${text(release)}, ${Math.round(durationMs)}, ${NOW[dialect]})`,
    /** a file that goes statement by statement, and has not begun */
    started: ({ name, sha256, release }: Omit<Recorded, 'durationMs'>) =>
      `INSERT INTO ${table} (${common}, statements_done, statements_begun, done_sha256) VALUES (${text(database)}, ${text(name)}, '${sha256}', ${text(release)}, 0, NULL, 0, 0, '')`,
    begun: (name: string, statement: number) => `UPDATE ${table} SET statements_begun = ${statement} ${where(name)}`,
    done: (name: string, statement: number, doneSha256: string) =>
      `UPDATE ${table} SET statements_done = ${statement}, statements_begun = ${statement}, done_sha256 = '${doneSha256}' ${where(name)}`,
    /** the statement that was begun was undone */
    undone: (name: string) => `UPDATE ${table} SET statements_begun = statements_done ${where(name)}`,
    finished: ({ name, sha256, release, durationMs }: Recorded) =>
      `UPDATE ${table} SET sha256 = '${sha256}', ${quoteRelease(dialect)} = ${text(release)}, applied_at = ${NOW[dialect]}, duration_ms = duration_ms + ${Math.round(durationMs)} ${where(name)}`,
    removed: (name: string) => `DELETE FROM ${table} ${where(name)}`,
    find: (name: string) => `SELECT 1 FROM ${table} ${where(name)}`,
  }
}

const quoteRelease = (dialect: Dialect): string => (dialect === 'mysql' ? '`release`' : 'release')
