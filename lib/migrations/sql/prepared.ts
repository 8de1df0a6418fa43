import type { Clock } from '../../system/clock.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { SqlFile } from './files.ts'
import type { AppliedFile } from './history.ts'
import type { Database } from './server/database.ts'
import { type Kind, kindOf, wordsOf } from './text/kinds.ts'
import { type Statement, splitStatements } from './text/statements.ts'

/** A statement of a file, and what it does to the transaction that it runs in. */
export interface Step extends Statement {
  /** its words in lower case, without literals */
  readonly words: string
  readonly kind: Kind
}

/** One file that is to be applied. */
export interface Prepared {
  readonly file: SqlFile
  readonly steps: readonly Step[]
  /** its row in the history, if it was begun */
  readonly row: AppliedFile | undefined
  /** whether it and its record are one transaction; otherwise each statement is recorded */
  readonly whole: boolean
}

/** What a file is applied with. */
export interface Tools {
  readonly db: Database
  readonly release: string
  readonly clock: Clock
  readonly signal: AbortSignal | undefined
}

/**
 * Reads the statements of a file, before anything runs.
 * @throws config (3), with file and line: what cannot be split, or would end the transaction of the file
 */
export function prepareFile(file: SqlFile, row: AppliedFile | undefined, db: Pick<Database, 'dialect'>): Prepared {
  const steps = splitStatements(file, db.dialect).map((statement) => {
    const words = wordsOf(statement.sql, db.dialect)
    return { ...statement, words, kind: kindOf(words, db.dialect) }
  })
  const whole = db.dialect !== 'mysql' && !file.noTransaction && !row?.unfinished?.done
  const prepared = { file, steps, row, whole }
  if (whole) refuseInTransaction(prepared, db)
  else refuseOpenTransaction(prepared)
  return prepared
}

function refuseInTransaction({ file, steps }: Prepared, { dialect }: Pick<Database, 'dialect'>): void {
  const control = steps.find(({ kind }) => ['begin', 'commit', 'rollback'].includes(kind))
  if (control) {
    throw new StagecraftError(
      'config',
      `Cannot use ${file.name}:${control.line}: the file is one transaction already`,
      {
        hint: `Remove ${control.words.split(' ')[0]?.toUpperCase()}, or make this the first line: -- stagecraft: no-transaction`,
      },
    )
  }
  const pragma = steps.find(({ words }) => dialect === 'sqlite' && /^pragma (\w+ ?\. ?)?foreign_keys ?[=(]/.test(words))
  if (pragma) {
    throw new StagecraftError('config', `Cannot use ${file.name}:${pragma.line}: it has no effect in a transaction`, {
      hint: 'Make this the first line: -- stagecraft: no-transaction',
    })
  }
}

function refuseOpenTransaction({ file, steps }: Prepared): void {
  let open: Step | undefined
  for (const step of steps) {
    if (step.kind === 'begin') open = step
    else if (step.kind === 'commit' || step.kind === 'rollback') open = undefined
  }
  if (!open) return
  throw new StagecraftError('config', `Cannot use ${file.name}:${open.line}: its transaction is not ended`, {
    hint: 'Add COMMIT.',
  })
}
