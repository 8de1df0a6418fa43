import { identifier, textLiteral } from '../text/dialect.ts'
import type { Database } from './database.ts'

/**
 * Gives the session the settings that every file begins with: those of the server, but for its name and the time limits.
 * What a file has set is gone; the lock stays.
 * @throws what the server says
 */
export async function resetSession(db: Database, release: string): Promise<void> {
  for (const sql of settings(db, release)) await db.run(sql)
}

function settings(db: Database, release: string): string[] {
  if (db.dialect === 'sqlite') return ['PRAGMA busy_timeout = 0', 'PRAGMA foreign_keys = OFF']
  if (db.dialect === 'postgres') {
    const limits = { lock_timeout: db.lockTimeoutMs, statement_timeout: db.statementTimeoutMs }
    const named = { application_name: `stagecraft ${release}`.slice(0, 63), ...limits }
    const set = Object.entries(named).map(
      ([name, value]) => `set_config('${name}', ${textLiteral(db.dialect, String(value))}, false)`,
    )
    return ['RESET SESSION AUTHORIZATION', 'RESET ROLE', 'RESET ALL', `SELECT ${set.join(', ')}`]
  }
  const seconds = Math.max(1, Math.ceil(db.lockTimeoutMs / 1000))
  const global = ['sql_mode', 'foreign_key_checks', 'unique_checks', 'time_zone']
  return [
    'ROLLBACK',
    `USE ${identifier(db.dialect, db.place)}`,
    'SET NAMES utf8mb4',
    `SET ${global.map((name) => `SESSION ${name} = @@GLOBAL.${name}`).join(', ')}, SESSION autocommit = 0`,
    `SET SESSION lock_wait_timeout = ${seconds}, SESSION innodb_lock_wait_timeout = ${seconds}`,
    // MySQL's own limit (max_execution_time) is for SELECT alone.
    db.isMariadb
      ? `SET SESSION max_statement_time = ${db.statementTimeoutMs / 1000}`
      : `SET SESSION max_execution_time = ${db.statementTimeoutMs}`,
  ]
}
