import { createHash, type Hash } from 'node:crypto'
import { StagecraftError } from '../../util/errors.ts'
import { statementFailed } from './failure.ts'
import type { Progress } from './history.ts'
import type { Prepared, Step, Tools } from './prepared.ts'
import { readServerError } from './server/messages.ts'
import { tableSql } from './table.ts'
import { isRepeatable, isSessionSetting } from './text/kinds.ts'
import { StatementWriter } from './writer.ts'

/**
 * Applies a file statement by statement, and records each: MySQL, where DDL commits, and files without a transaction.
 * A file that was begun goes on after its last finished statement.
 * @throws failed (5); config (3): what is finished of the file has changed; locked (7)
 */
export async function applyStepwise(prepared: Prepared, tools: Tools): Promise<void> {
  const { steps, row } = prepared
  const { db, clock, signal } = tools
  const began = clock.now()
  const progress = row?.unfinished ?? { done: 0, doneSha256: '', begun: 0 }
  const hash = resumeAt(prepared, progress, db)
  const writer = new StatementWriter(prepared, tools)
  await writer.start()
  for (const [index, step] of steps.entries()) {
    const number = index + 1
    const isDone = number <= progress.done
    if (isDone && !isSessionSetting(step.words)) continue
    try {
      signal?.throwIfAborted()
      if (isDone) await db.run(step.sql)
      else {
        addTo(hash, step)
        await writer.apply(step, number, hash.copy().digest('hex'))
      }
    } catch (error) {
      throw await failed(error, { prepared, tools, step, settle: () => writer.settle(number) })
    }
    if (db.dialect === 'sqlite') await clock.sleep(0) // it runs within this process: signals have their turn
  }
  await writer.finish(clock.now() - began)
}

interface Failing {
  readonly prepared: Prepared
  readonly tools: Tools
  readonly step: Step
  readonly settle: () => Promise<void>
}

/** @returns the error for a statement that failed, when nothing of it is left but what could not be undone */
async function failed(error: unknown, { prepared, tools, step, settle }: Failing): Promise<StagecraftError> {
  const { db, signal } = tools
  const lost = !(error instanceof StagecraftError) && readServerError(error, db.dialect).connectionLost
  if (!lost) await settle()
  if (error instanceof StagecraftError) return error
  const applied =
    step === prepared.steps[0]
      ? 'Nothing of this file has been applied; files before it stay applied.'
      : `The statements before line ${step.line} stay applied; the next run goes on there.`
  const outcome = lost
    ? 'It is not known whether this statement was applied. The next run goes by what is recorded.'
    : applied
  return statementFailed({ db, file: prepared.file, statement: step, error, outcome, signal })
}

/**
 * @returns the hash of the statements that are finished
 * @throws config (3): they have changed. failed (5): it is not known whether the one after them was applied
 */
function resumeAt(prepared: Prepared, progress: Progress, db: Tools['db']): Hash {
  const { file, steps, row } = prepared
  const hash = createHash('sha256')
  const finished = steps.slice(0, progress.done)
  for (const step of finished) addTo(hash, step)
  const next = steps[progress.done]
  if (progress.done > 0 && (finished.length < progress.done || hash.copy().digest('hex') !== progress.doneSha256)) {
    const message = `Cannot migrate ${db.name}: ${file.name} stopped after ${progress.done} statements, and these have changed`
    throw new StagecraftError('config', message, {
      hint: `Restore them as they were with ${row?.release}; change only what follows.\nNothing has been applied.`,
    })
  }
  if (progress.begun > progress.done && next && !isRepeatable(next.words)) {
    const after = hash.copy()
    addTo(after, next)
    throw unknownStatement(prepared, next, progress, db, after.digest('hex'))
  }
  return hash
}

/** @param sha256 of the statements up to this one */
function unknownStatement({ file }: Prepared, { line }: Step, progress: Progress, db: Tools['db'], sha256: string) {
  const { undone, done } = tableSql(db, (text) => `'${text.replaceAll("'", "''")}'`)
  const message = `Cannot migrate ${db.name}: it is not known whether ${file.name}:${line} was applied: the run or the server died meanwhile`
  const lines = [
    'Look at the database. If it was not applied:',
    `  ${undone(file.name)};`,
    'If it was applied:',
    `  ${done(file.name, progress.begun, sha256)};`,
  ]
  return new StagecraftError('failed', message, { hint: lines.join('\n') })
}

const addTo = (hash: Hash, { sql }: Step): void => void hash.update(`${sql.replaceAll('\r\n', '\n')}\0`)
