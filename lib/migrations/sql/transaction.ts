import type { Database } from './server/database.ts'

/** Milliseconds: it checks what was deferred. */
const LONGEST_COMMIT = 600_000

/** Begins a transaction. In SQLite it locks the file for writers. @throws what the server says */
export async function begin(db: Database, signal?: AbortSignal): Promise<void> {
  const sql = { postgres: 'BEGIN', mysql: 'START TRANSACTION', sqlite: 'BEGIN IMMEDIATE' }
  await db.run(sql[db.dialect], signal)
}

/** Ends it. @throws what the server says */
export async function commit(db: Database): Promise<void> {
  await db.run('COMMIT', AbortSignal.timeout(LONGEST_COMMIT))
}

/** Undoes it, if there is one and the connection is there. Never throws. */
export async function rollback(db: Database): Promise<void> {
  await db.run('ROLLBACK').catch(() => {})
}
