import { createHash } from 'node:crypto'
import type { Clock } from '../../../system/clock.ts'
import { StagecraftError } from '../../../util/errors.ts'
import { formatDuration } from '../../../util/format.ts'
import type { Database } from './database.ts'
import { sessionOf } from './sessions.ts'

/** PostgreSQL: an advisory lock of two numbers, one for a database. "stag", "ecra" in ASCII. */
const KEYS = [0x73746167, 0x65637261] as const
const POLL_MS = 200

/**
 * Takes the lock of the one runner. The server holds it for the session: after a crash until its last statement has ended.
 * It is polled: a session that waits for it within the server would be in the way of CREATE INDEX CONCURRENTLY.
 * SQLite has none: each file's transaction locks the database.
 * @returns what releases it
 * @throws locked (7), naming who has it, after the database's lock timeout; what the server says
 */
export async function takeLock(
  db: Database,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<() => Promise<void>> {
  if (db.dialect === 'sqlite') return async () => {}
  const sql = lockSql(db)
  const until = clock.now() + db.lockTimeoutMs
  const take = async () => {
    const [row] = await db.run(sql.take)
    return row?.['taken'] === true || Number(row?.['taken']) === 1
  }
  while (!(await take())) {
    if (signal?.aborted) throw endedBy(signal, db)
    if (clock.now() >= until) throw await lockedError(db, sql.holder)
    await clock.sleep(Math.min(POLL_MS, Math.max(1, until - clock.now())))
  }
  return async () => {
    await db.run(sql.release)
  }
}

/** @returns the error (128 + n) of a run that a signal ended */
export function endedBy(signal: AbortSignal, db: Database, hint?: string): StagecraftError {
  const number = typeof signal.reason === 'number' ? signal.reason : 15
  return new StagecraftError('failed', `Cannot migrate ${db.name}: ended by signal ${number}`, { signal: number, hint })
}

function lockSql(db: Database): { take: string; holder: string; release: string } {
  if (db.dialect === 'postgres') {
    const keys = KEYS.join(', ')
    const held = `locktype = 'advisory' AND classid = ${KEYS[0]} AND objid = ${KEYS[1]} AND objsubid = 2 AND granted`
    return {
      take: `SELECT pg_catalog.pg_try_advisory_lock(${keys}) AS taken`,
      holder: `SELECT pid FROM pg_catalog.pg_locks WHERE ${held} AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`,
      release: `SELECT pg_catalog.pg_advisory_unlock(${keys})`,
    }
  }
  // The name of a lock is the server's, and has at most 64 characters.
  const name = `'stagecraft:${createHash('sha256').update(db.place).digest('hex').slice(0, 40)}'`
  return {
    take: `SELECT GET_LOCK(${name}, 0) AS taken`,
    holder: `SELECT IS_USED_LOCK(${name}) AS pid`,
    release: `DO RELEASE_LOCK(${name})`,
  }
}

async function lockedError(db: Database, holderSql: string): Promise<StagecraftError> {
  const pid = Number((await db.ask(holderSql))?.[0]?.['pid'] ?? 0)
  const holder = pid > 0 ? await sessionOf(db, pid) : undefined
  const message = `Cannot migrate ${db.name}: another run has its lock${holder ? `: ${holder}` : ''}`
  const end = db.dialect === 'postgres' ? `SELECT pg_terminate_backend(${pid})` : `KILL ${pid}`
  return new StagecraftError('locked', message, {
    hint: `Waited ${formatDuration(db.lockTimeoutMs)}. Wait until it has ended. If nobody needs it: ${pid > 0 ? end : 'end its session'}`,
  })
}
