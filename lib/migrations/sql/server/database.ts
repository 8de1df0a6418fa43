import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { StagecraftError } from '../../../util/errors.ts'
import { type Dialect, identifier } from '../text/dialect.ts'
import { untilFree } from './busy.ts'
import { type Connection, connect, type Row } from './connection.ts'
import { readServerError } from './messages.ts'
import { type Address, parseUrl } from './url.ts'

/** The table with the history, in the first schema of the search path, or in the database of the connection string. */
export const TABLE = 'stagecraft_migrations'

/** An opened database: one session that does the work and has the lock. */
export interface Database {
  readonly dialect: Dialect
  /** its name in stagecraft.yml */
  readonly name: string
  /** schema (PostgreSQL), database (MySQL) or file (SQLite) */
  readonly place: string
  /** the history's table, quoted, with its schema: a file may change the search path */
  readonly table: string
  /** the server's id of the session; 0 for SQLite */
  readonly session: number
  readonly isMariadb: boolean
  readonly lockTimeoutMs: number
  /** 0: none */
  readonly statementTimeoutMs: number
  /**
   * Runs SQL. A signal cancels it on the server; what takes no signal is short, and has a time limit.
   * @throws what the server says: read it with `readServerError`
   */
  run(sql: string, signal?: AbortSignal): Promise<readonly Row[]>
  /** Asks over a second connection, as the first one may be waiting or lost. @returns undefined if that fails */
  ask(sql: string): Promise<readonly Row[] | undefined>
  close(): Promise<void>
}

export interface DatabaseOptions {
  /** the connection string */
  readonly url: string
  /** where to connect instead of the URL's host and port: a socket of this machine that leads there */
  readonly at?: { readonly socket: string } | undefined
  /** how long a statement waits for a lock, and a run for another run */
  readonly lockTimeoutMs: number
  /** how long a statement may take; 0: no limit */
  readonly statementTimeoutMs: number
  /** its name in stagecraft.yml, for messages */
  readonly database: string
  /** where a relative path of SQLite begins; default: the current folder */
  readonly directory?: string
  /** milliseconds that the server may take for what is short, besides waiting for locks. Default: 10 s */
  readonly answerMs?: number
  /** only its history will be read: a SQLite file that does not exist is not created, and has none */
  readonly readOnly?: boolean
}

/**
 * Connects. Neither messages nor causes hold any part of the connection string.
 * @throws config (3): the connection string, the user or the database is wrong. unreachable (8): no answer
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const parsed = parseUrl(options.url, options.database)
  const { directory = '.' } = options
  const address = parsed.dialect === 'sqlite' ? { ...parsed, file: resolve(directory, parsed.file) } : parsed
  const none = options.readOnly && address.dialect === 'sqlite' && !existsSync(address.file)
  try {
    return await open(none ? { dialect: 'sqlite', file: ':memory:' } : address, options)
  } catch (error) {
    if (error instanceof StagecraftError) throw error
    throw connectionError(error, address, options.database)
  }
}

const WHERE: Readonly<Record<Dialect, string>> = {
  postgres: 'SELECT current_schema() AS place, pg_backend_pid() AS session, version() AS version',
  mysql: 'SELECT database() AS place, connection_id() AS session, version() AS version',
  // It is opened by the first read.
  sqlite: "SELECT 'main' AS place, 0 AS session, sqlite_version() AS version, count(*) AS objects FROM sqlite_master",
}

/** Milliseconds for a question over the second connection. */
const ANSWER = 5_000

async function open(address: Address, options: DatabaseOptions): Promise<Database> {
  const { dialect } = address
  const { answerMs = 10_000, lockTimeoutMs } = options
  const connection = await connect(address, options.at)
  let second: Promise<Connection> | undefined
  const close = async () => {
    await Promise.allSettled([connection.close(), second?.then((opened) => opened.close())])
  }
  const ask = async (sql: string) => {
    second ??= connect(address, options.at)
    const asked = second
    try {
      return await (await asked).run(sql, { signal: AbortSignal.timeout(ANSWER), grace: 0 })
    } catch {
      if (second === asked) second = undefined // the next question has a new one
      await asked.then((opened) => opened.close()).catch(() => {})
      return undefined
    }
  }
  const killQuery = () => void ask(`KILL QUERY ${session}`)
  const run = (sql: string, signal?: AbortSignal) =>
    address.dialect === 'sqlite'
      ? untilFree(() => connection.run(sql), { ...options, name: options.database, file: address.file, signal })
      : connection.run(
          sql,
          signal === undefined
            ? { signal: AbortSignal.timeout(answerMs + lockTimeoutMs), grace: 0 }
            : { signal, grace: answerMs, cancel: dialect === 'mysql' ? killQuery : (query) => query.cancel() },
        )
  const [row] = await run(WHERE[dialect]).catch(async (error: unknown) => {
    await close()
    throw error
  })
  const place = row?.['place']
  if (typeof place !== 'string') {
    await close()
    throw new StagecraftError('config', `Cannot use ${options.database}: no schema of its search path exists`, {
      hint: 'Create the schema, or set the search path of the user or of the connection string.',
    })
  }
  const session = Number(row?.['session'])
  return {
    dialect,
    name: options.database,
    place: address.dialect === 'sqlite' ? address.file : place,
    table: `${identifier(dialect, place)}.${identifier(dialect, TABLE)}`,
    session,
    isMariadb: /mariadb/i.test(String(row?.['version'])),
    lockTimeoutMs: options.lockTimeoutMs,
    statementTimeoutMs: options.statementTimeoutMs,
    run,
    ask,
    close,
  }
}

const NO_ANSWER = 'nothing answers there'
const REASONS: readonly (readonly [code: RegExp, kind: 'config' | 'unreachable', reason: string])[] = [
  [/^(28P01|28000|1045|1698|1251)$/, 'config', 'the server refuses the user or the password'],
  [/^(3D000|1049|1044|42501)$/, 'config', 'there is no such database, or the user may not use it'],
  [/^SQLITE_CANTOPEN/, 'config', 'the file or its folder does not exist, or is not ours to write'],
  [/^SQLITE_NOTADB/, 'config', 'the file is not a SQLite database'],
  [/AUTHENTICATION/, 'config', 'the server does not take this login, or no TLS'],
  [
    /TLS|SSL|CERT|VERIFY|SELF_SIGNED|CHANNEL_BINDING/i,
    'config',
    'the server does not take TLS as the connection string asks for it',
  ],
  [/^(53300|1040|1203|1226)$/, 'unreachable', 'the server has no connection left'],
  [/^(57P03|57P01)$/, 'unreachable', 'the server is starting or stopping'],
  [/REFUSED|CONNECTION_FAILED|CLOSED/, 'unreachable', NO_ANSWER],
  [/TIMEOUT/, 'unreachable', 'no answer within 10 s'],
]

/** The message of the server is not shown: it holds the user, and the host. */
function connectionError(error: unknown, address: Address, database: string): StagecraftError {
  const { code } = readServerError(error, address.dialect)
  const [, kind = 'unreachable', reason = code] = REASONS.find(([pattern]) => pattern.test(code)) ?? []
  const hint = `Check the connection string of ${database}, and the server (${code}).`
  return new StagecraftError(kind, `Cannot connect to ${database}: ${reason}`, { hint })
}
