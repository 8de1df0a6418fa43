import type { Clock } from '../../system/clock.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { SqlFile } from './files.ts'
import { compareWithHistory, type History } from './history.ts'
import { type Prepared, prepareFile, type Tools } from './prepared.ts'
import type { Database } from './server/database.ts'
import { endedBy, takeLock } from './server/lock.ts'
import { readServerError } from './server/messages.ts'
import { resetSession } from './server/session.ts'
import { applyStepwise } from './stepwise.ts'
import { createTable, readTable } from './table.ts'
import { applyWhole } from './whole.ts'

/** What happens to a file. `durationMs` is that of this run. */
type FileEvent =
  | { readonly type: 'begin'; readonly name: string }
  | { readonly type: 'done'; readonly name: string; readonly durationMs: number }

export interface ApplyOptions {
  readonly db: Database
  readonly files: readonly SqlFile[]
  /** the last file to apply */
  readonly to?: string | undefined
  /** what is recorded with each file, and the name of the session */
  readonly release: string
  readonly clock: Clock
  /** waited for: what it records is recorded before the file begins */
  readonly onFile?: (event: FileEvent) => void | Promise<void>
  /** cancels the statement that runs; its reason is the number of a signal */
  readonly signal?: AbortSignal | undefined
}

/**
 * @returns the history, in no order, with a file that is unfinished; nothing if nothing was ever applied. Changes nothing.
 * @throws failed (5): the database refuses it
 */
export async function readHistory(db: Database): Promise<History> {
  return asked(db, 'read its history', () => readTable(db))
}

/**
 * Applies what is pending, one file after the other, under a lock that only one session of the database can have.
 * @returns the files that were applied, in order
 * @throws config (3), not-found (4): before anything runs. failed (5): a statement; files before it stay applied.
 * locked (7): another run. The number of the signal
 */
export async function applyPending(options: ApplyOptions): Promise<{ name: string; durationMs: number }[]> {
  const { db, release, clock, signal } = options
  await asked(db, 'set the session', () => resetSession(db, release))
  const unlock = await asked(db, 'take its lock', () => takeLock(db, clock, signal))
  try {
    return await applyLocked(options, { db, release, clock, signal })
  } finally {
    await unlock().catch(() => {}) // The server does when the session ends.
  }
}

async function applyLocked(options: ApplyOptions, tools: Tools): Promise<{ name: string; durationMs: number }[]> {
  const { db, release, clock, signal } = tools
  const history = await readHistory(db)
  const rows = new Map(history.applied.map((row) => [row.name, row]))
  const pending = compareWithHistory(options.files, history, options)
  // All of them are read before the first one runs.
  const all = pending.map((file) => prepareFile(file, rows.get(file.name), db))
  if (all.length > 0) await asked(db, 'create its history', () => createTable(db))
  const applied: { name: string; durationMs: number }[] = []
  for (const prepared of all) {
    if (signal?.aborted) throw endedBy(signal, db, 'Files before it stay applied.')
    const { name } = prepared.file
    await options.onFile?.({ type: 'begin', name })
    const began = clock.now()
    if (!(await asked(db, `apply ${name}`, () => applyFile(prepared, options, tools)))) continue
    const durationMs = clock.now() - began
    applied.push({ name, durationMs })
    await options.onFile?.({ type: 'done', name, durationMs })
    await asked(db, 'reset the session', () => resetSession(db, release))
  }
  return applied
}

async function applyFile(prepared: Prepared, { files, to }: ApplyOptions, tools: Tools): Promise<boolean> {
  if (!prepared.whole) {
    await applyStepwise(prepared, tools)
    return true
  }
  return applyWhole(prepared, tools, async () => {
    if (tools.db.dialect !== 'sqlite') return true
    return compareWithHistory(files, await readTable(tools.db), { to }).some(({ name }) => name === prepared.file.name)
  })
}

/** Only masked messages leave this folder. */
async function asked<T>(db: Database, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof StagecraftError || !isOfTheDatabase(error)) throw error
    const { code, message, connectionLost } = readServerError(error, db.dialect)
    if (connectionLost)
      throw new StagecraftError('unreachable', `Cannot migrate ${db.name}: the connection was lost`, {
        detail: `${code}: ${message}`,
        hint: 'Run it again when the database answers.',
      })
    throw new StagecraftError('failed', `Cannot migrate ${db.name}: cannot ${what}`, {
      detail: `${code}: ${message}`,
      hint: 'The user needs to create, read and write the table stagecraft_migrations.',
    })
  }
}

const isOfTheDatabase = (error: unknown): boolean =>
  error instanceof Error && /^(Postgres|MySQL|SQLite|SQL)Error$/.test(error.name)
