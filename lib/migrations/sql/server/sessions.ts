import { firstWords } from '../text/masked.ts'
import type { Row } from './connection.ts'
import type { Database } from './database.ts'

const POSTGRES_COLUMNS = `pid, application_name AS application, host(client_addr) AS client,
  to_char(coalesce(xact_start, backend_start) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since, state, query AS runs`
const MYSQL_COLUMNS = `p.id AS pid, '' AS application, p.host AS client,
  DATE_FORMAT(UTC_TIMESTAMP() - INTERVAL p.time SECOND, '%Y-%m-%d %H:%i:%s') AS since, p.command AS state, p.info AS runs`

/**
 * @returns the sessions of the server that this one waits for: `pid 12 (psql) from 10.0.0.7, since 2026-… UTC, runs: SELECT …`.
 * MySQL does not say who holds a metadata lock: then those with an open transaction or a running statement, after `perhaps`.
 */
export async function blockersOf(db: Database): Promise<string[]> {
  if (db.dialect === 'sqlite') return []
  if (db.dialect === 'postgres') {
    const sql = `SELECT ${POSTGRES_COLUMNS} FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids(${db.session}))`
    return ((await db.ask(sql)) ?? []).map((row) => describe(row, db))
  }
  const processes = `SELECT DISTINCT ${MYSQL_COLUMNS} FROM information_schema.processlist p`
  const rows = await db.ask(`${processes}
    JOIN information_schema.innodb_trx b ON b.trx_mysql_thread_id = p.id
    JOIN information_schema.innodb_lock_waits w ON w.blocking_trx_id = b.trx_id
    JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id WHERE r.trx_mysql_thread_id = ${db.session}`)
  if (rows && rows.length > 0) return rows.map((row) => describe(row, db))
  const others = `p.id NOT IN (${db.session}, connection_id()) AND p.db = database()`
  const open = 'p.id IN (SELECT trx_mysql_thread_id FROM information_schema.innodb_trx)'
  const perhaps =
    (await db.ask(`${processes} WHERE ${others} AND (p.command <> 'Sleep' OR ${open})`)) ??
    (await db.ask(`${processes} WHERE ${others}`))
  return (perhaps ?? []).map((row) => `perhaps ${describe(row, db)}`)
}

/** @param pid a session of the server @returns it, as `blockersOf` does, or undefined if it has ended */
export async function sessionOf(db: Database, pid: number): Promise<string | undefined> {
  const sql =
    db.dialect === 'postgres'
      ? `SELECT ${POSTGRES_COLUMNS} FROM pg_stat_activity WHERE pid = ${pid}`
      : `SELECT ${MYSQL_COLUMNS} FROM information_schema.processlist p WHERE p.id = ${pid}`
  const [row] = (await db.ask(sql)) ?? []
  return row && describe(row, db)
}

function describe(row: Row, db: Database): string {
  const text = (name: string) => String(row[name] ?? '')
  const name = text('application') && ` (${text('application').replace(/[^\x20-\x7e]/g, '?')})`
  const client = text('client') ? ` from ${text('client')}` : ''
  const statement = firstWords(text('runs'), db.dialect)
  const idle = /^(idle|sleep)/i.test(text('state'))
  const runs = statement && `, ${idle ? 'idle, last ran' : 'runs'}: ${statement}`
  return `pid ${text('pid')}${name}${client}, since ${text('since')} UTC${runs || (idle ? ', idle' : '')}`
}
