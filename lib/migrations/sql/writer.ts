import { runWatched } from './failure.ts'
import type { Prepared, Step, Tools } from './prepared.ts'
import { tableSql } from './table.ts'
import { begin, commit, rollback } from './transaction.ts'

/** The session's own note that the statement of this number has ended, for what fails after it in the same packet. */
const MARK = '@stagecraft_done'
/** So many INSERTs with VALUES are one transaction of MySQL: a commit waits for the disk. */
const MOST_INSERTS = 100

/** Applies single statements, each with its record, both at once where the server can. */
export class StatementWriter {
  private inTransaction = false
  /** INSERTs that are not committed, nor is their record */
  private inserts = 0
  private readonly sql: ReturnType<typeof tableSql>

  constructor(
    private readonly prepared: Prepared,
    private readonly tools: Tools,
  ) {
    this.sql = tableSql(tools.db)
  }

  /** Begins the record of a file, if it has none. @throws what the server says */
  async start(): Promise<void> {
    const { db, release } = this.tools
    if (db.dialect === 'mysql') await db.run(`SET ${MARK} = 0`)
    if (!this.prepared.row) await this.record(this.sql.started({ ...this.prepared.file, release }))
  }

  /** @throws what the server says */
  async finish(durationMs: number): Promise<void> {
    await this.record(this.sql.finished({ ...this.prepared.file, release: this.tools.release, durationMs }))
  }

  /** @param number of the statement, from 1 @param sha256 of all statements up to it @throws what the server says */
  async apply(step: Step, number: number, sha256: string): Promise<void> {
    const done = this.sql.done(this.prepared.file.name, number, sha256)
    if (this.tools.db.dialect === 'mysql') await this.applyInMysql(step, number, done)
    else await this.applyElsewhere(step, number, done)
  }

  /** After a failure: records that the statement has not been applied. What cannot be recorded the next run reports. */
  async settle(number: number): Promise<void> {
    const { db } = this.tools
    try {
      // A statement of MySQL that fails is undone by itself. Those before it in the transaction are recorded in it.
      if (db.dialect === 'mysql' && !this.inTransaction && !(await this.hasEnded(number))) await commit(db)
      else await rollback(db)
      if (db.dialect === 'mysql' && (await this.hasEnded(number))) return
      await this.record(this.sql.undone(this.prepared.file.name))
    } catch {
      // The connection is lost as well.
    }
  }

  private async hasEnded(number: number): Promise<boolean> {
    const [row] = await this.tools.db.run(`SELECT ${MARK} AS mark`)
    return Number(row?.['mark'] ?? 0) === number
  }

  /** One packet: if this process dies, the server still does all of it. autocommit is off. */
  private async applyInMysql({ sql, kind, words }: Step, number: number, done: string): Promise<void> {
    const record = `${done};COMMIT`
    if (kind === 'begin' || (this.inTransaction && kind === 'atomic')) {
      this.inTransaction = true
      this.inserts = 0 // BEGIN commits
      return this.run(sql)
    }
    const isInsert = kind === 'atomic' && /^(insert|replace)\b.*\bvalues?\b/.test(words)
    const before = this.inserts > 0 && !isInsert && !this.inTransaction ? 'COMMIT;' : ''
    this.inserts = isInsert ? (this.inserts + 1) % MOST_INSERTS : 0
    this.inTransaction = false
    if (kind === 'left out' || kind === 'commit') return this.run(before + record)
    if (kind === 'rollback') return this.run(`${before}ROLLBACK;${record}`)
    // A file may switch autocommit on, as mysqldump does.
    const statement = `${sql}\n;SET ${MARK} = ${number}, autocommit = 0;${this.inserts > 0 ? done : record}`
    const begun = this.sql.begun(this.prepared.file.name, number)
    await this.run(kind === 'atomic' ? before + statement : `${begun};COMMIT;${statement}`)
  }

  private async applyElsewhere({ sql, kind }: Step, number: number, done: string): Promise<void> {
    const { db, signal } = this.tools
    if (kind === 'begin') {
      this.inTransaction = true
      return db.dialect === 'sqlite' ? begin(db, signal) : this.run(sql)
    }
    if (this.inTransaction) {
      if (kind === 'commit') await db.run(done)
      if (kind === 'commit') await commit(db)
      else await this.run(sql)
      if (kind === 'rollback') await db.run(done)
      this.inTransaction = kind !== 'commit' && kind !== 'rollback'
      return
    }
    if (kind === 'atomic') {
      await begin(db, signal)
      await this.run(sql)
      await db.run(done)
      return commit(db)
    }
    await db.run(this.sql.begun(this.prepared.file.name, number))
    await this.run(sql)
    await db.run(done)
  }

  private run(sql: string): Promise<void> {
    return runWatched(this.tools.db, sql, this.tools.signal)
  }
  /** Records at once: MySQL's session does not commit by itself. */
  private async record(sql: string): Promise<void> {
    const { db } = this.tools
    await db.run(db.dialect === 'mysql' ? `${sql};COMMIT` : sql)
  }
}
