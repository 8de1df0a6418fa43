import { StagecraftError } from '../../util/errors.ts'
import type { SqlFile } from './files.ts'
import type { Database } from './server/database.ts'
import { endedBy } from './server/lock.ts'
import { readServerError, type ServerError } from './server/messages.ts'
import { blockersOf } from './server/sessions.ts'
import { firstWords } from './text/masked.ts'
import type { Statement } from './text/statements.ts'

/** PostgreSQL's lock_timeout, and MySQL's. */
const LOCK_TIMEOUT = new Set(['55P03', '1205', 'SQLITE_BUSY', 'SQLITE_LOCKED'])
const STATEMENT_TIMEOUT = new Set(['57014', '1969', '3024'])
/** PostgreSQL: the statement cannot run in a transaction, or uses a value of an enum that was added in it. */
const NO_TRANSACTION = new Set(['25001', '55P04'])
const FIRST_LOOK_MS = 1000
/** A statement may take as long as it takes. */
const UNHURRIED = new AbortController().signal

/** A statement that failed, and what is known of it. */
interface Failed {
  readonly db: Database
  readonly file: SqlFile
  /** undefined: the end of the file's transaction */
  readonly statement: Statement | undefined
  readonly error: unknown
  /** what has become of the file: the first line of the hint */
  readonly outcome: string
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs a statement, and asks meanwhile who is in its way.
 * @throws what the server says; `blockersDuring` knows who was in its way
 */
export async function runWatched(db: Database, sql: string, signal: AbortSignal | undefined): Promise<void> {
  if (db.dialect === 'sqlite') return void (await db.run(sql, signal))
  let blockers: string[] = []
  let asking: Promise<void> | undefined
  let isOver = false
  const look = async () => {
    const found = await blockersOf(db)
    if (found.length > 0) blockers = found
    if (!isOver) timer = setTimeout(() => (asking = look()), FIRST_LOOK_MS)
  }
  let timer = setTimeout(() => (asking = look()), Math.min(FIRST_LOOK_MS, Math.max(50, db.lockTimeoutMs / 2)))
  try {
    await db.run(sql, signal ?? UNHURRIED)
  } catch (error) {
    isOver = true
    if (!readServerError(error, db.dialect).connectionLost) await asking
    if (error instanceof Object) BLOCKERS.set(error, blockers)
    throw error
  } finally {
    isOver = true
    clearTimeout(timer)
  }
}

const BLOCKERS = new WeakMap<object, string[]>()

/** @returns the error for a statement that failed: 5, or that of the signal that ended it. Holds no values of the file. */
export function statementFailed({ db, file, statement, error, outcome, signal }: Failed): StagecraftError {
  const said = readServerError(error, db.dialect, statement?.sql)
  if (signal?.aborted && !said.connectionLost) return endedBy(signal, db, outcome)
  const line = statement && statement.line + linesBefore(statement.sql, said.offset)
  const place = line === undefined ? `the end of ${file.name} (COMMIT)` : `${file.name}:${line}`
  const detail = [
    statement && `${file.name}:${statement.line}: ${firstWords(statement.sql, db.dialect)}`,
    `${said.code}: ${said.message}`,
    ...blockerLines(error, said),
  ]
  const hint = [outcome, remedy(said)].filter(Boolean).join('\n')
  return new StagecraftError('failed', `Cannot apply ${place} to ${db.name}: ${reasonOf(said)}`, {
    detail: detail.filter((text) => text !== undefined).join('\n'),
    hint,
  })
}

function reasonOf({ code, connectionLost }: ServerError): string {
  if (connectionLost) return 'the connection was lost'
  if (LOCK_TIMEOUT.has(code)) return 'what it needs is locked'
  return STATEMENT_TIMEOUT.has(code) ? 'it takes too long' : 'the database refuses it'
}

function blockerLines(error: unknown, { code }: ServerError): string[] {
  const blockers = error instanceof Object ? BLOCKERS.get(error) : undefined
  return LOCK_TIMEOUT.has(code) ? (blockers ?? []).map((who) => `in the way: ${who}`) : []
}

function remedy({ code, connectionLost }: ServerError): string {
  if (connectionLost) return 'Run it again when the database answers.'
  if (LOCK_TIMEOUT.has(code)) return 'Run it again when the other session has ended, or set a longer lock_timeout.'
  if (STATEMENT_TIMEOUT.has(code)) return 'Split the statement, or set a longer statement_timeout.'
  if (NO_TRANSACTION.has(code))
    return 'Put it into a file of its own whose first line is: -- stagecraft: no-transaction'
  return 'Correct the file, then run it again.'
}

function linesBefore(sql: string, offset: number | undefined): number {
  return sql.slice(0, offset ?? 0).split('\n').length - 1
}
