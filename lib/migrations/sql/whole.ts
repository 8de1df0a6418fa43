import { StagecraftError } from '../../util/errors.ts'
import { runWatched, statementFailed } from './failure.ts'
import type { Prepared, Tools } from './prepared.ts'
import { readServerError } from './server/messages.ts'
import { tableSql } from './table.ts'
import type { Statement } from './text/statements.ts'
import { begin, commit, rollback } from './transaction.ts'

const UNDONE = 'Nothing of this file has been applied; files before it stay applied.'
const LOST = 'The server undoes what it had begun of this file; files before it stay applied.'
/** SQLite runs within this process: after so many statements it lets signals and timers have their turn. */
const TURN = 100

/**
 * Applies a file and records it, in one transaction. PostgreSQL and SQLite only.
 * @param isPending asked within the transaction: SQLite has no other lock
 * @returns whether it was applied; false if another run has done it meanwhile
 * @throws failed (5), locked (7)
 */
export async function applyWhole(
  prepared: Prepared,
  tools: Tools,
  isPending: () => Promise<boolean>,
): Promise<boolean> {
  const { db, clock, signal } = tools
  const began = clock.now()
  await begin(db, signal)
  let statement: Statement | undefined
  try {
    if (!(await isPending())) {
      await rollback(db)
      return false
    }
    for (const [index, step] of prepared.steps.entries()) {
      statement = step
      if (index % TURN === TURN - 1) await clock.sleep(0)
      signal?.throwIfAborted()
      await runWatched(db, step.sql, signal)
    }
    statement = undefined
    await db.run(recordSql(prepared, tools, clock.now() - began), signal)
  } catch (error) {
    if (error instanceof StagecraftError) {
      await rollback(db)
      throw error
    }
    const lost = readServerError(error, db.dialect).connectionLost
    if (!lost) await rollback(db)
    throw statementFailed({ db, file: prepared.file, statement, error, outcome: lost ? LOST : UNDONE, signal })
  }
  await commitFile(prepared, tools)
  return true
}

function recordSql({ file, row }: Prepared, { db, release }: Tools, durationMs: number): string {
  const sql = tableSql(db)
  const record = sql.applied({ ...file, release, durationMs })
  const insert = row ? `${sql.removed(file.name)}; ${record}` : record
  // The file may have set a role that must not write here.
  return db.dialect === 'postgres' ? `RESET SESSION AUTHORIZATION; RESET ROLE; ${insert}` : insert
}

/** From here on no signal ends it: it takes no time, or what it checks at its end. */
async function commitFile({ file }: Prepared, { db }: Tools): Promise<void> {
  try {
    await commit(db)
  } catch (error) {
    const lost = !(error instanceof StagecraftError) && readServerError(error, db.dialect).connectionLost
    const outcome = lost ? await outcomeOfLostCommit(db, file.name) : UNDONE
    if (!lost) await rollback(db)
    if (error instanceof StagecraftError) throw error
    throw statementFailed({ db, file, statement: undefined, error, outcome })
  }
}

async function outcomeOfLostCommit(db: Tools['db'], name: string): Promise<string> {
  const live =
    db.dialect === 'postgres' ? `SELECT 1 FROM pg_catalog.pg_stat_activity WHERE pid = ${db.session}` : 'SELECT 1'
  const found = tableSql(db).find(name)
  // The session is asked for first: what it has committed is seen after its end.
  const sessions = await db.ask(live)
  const rows = await db.ask(found)
  if (rows && rows.length > 0) return 'The file has been applied: the history has it.'
  if (rows && sessions?.length === 0) return UNDONE
  return 'It is not known whether the file was applied. The next run finds out: the history has it, or it is undone.'
}
