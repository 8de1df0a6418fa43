import type { SQL } from 'bun'
import type { Address } from './url.ts'

export type Row = Readonly<Record<string, unknown>>

/** One session of the server, or one opened SQLite file. */
export interface Connection {
  /** Runs one statement, or several if the server takes them at once. @throws what the server says, unmasked */
  run(sql: string, ending?: Ending): Promise<readonly Row[]>
  close(): Promise<void>
}

/** How a statement is ended before it ends by itself. */
interface Ending {
  readonly signal?: AbortSignal | undefined
  readonly cancel?: (query: Cancellable) => void
  /** milliseconds from the signal until no answer is waited for any more */
  readonly grace?: number
}

interface Cancellable {
  cancel(): unknown
}

const CONNECT_SECONDS = 10

/**
 * @param at where to connect instead of the host and port of the address: a socket that leads there
 * @throws what the client says, unmasked
 */
export async function connect(address: Address, at?: { readonly socket: string }): Promise<Connection> {
  if (address.dialect === 'sqlite') {
    const sql = new Bun.SQL({ adapter: 'sqlite', filename: address.file, create: true, readwrite: true })
    return connectionOf(sql, () => sql.close())
  }
  const pool = new Bun.SQL(serverOptions(address, at))
  try {
    const session = await pool.reserve()
    return connectionOf(session, () => pool.close({ timeout: 0 }))
  } catch (error) {
    await pool.close({ timeout: 0 }).catch(() => {})
    throw error
  }
}

/** Everything is said here, so that no variable such as DATABASE_URL or PGSSLMODE adds to it. */
function serverOptions(
  address: Exclude<Address, { dialect: 'sqlite' }>,
  at: { readonly socket: string } | undefined,
): SQL.Options {
  const adapter = address.dialect === 'mysql' ? 'mariadb' : 'postgres'
  const verifies = address.tls.startsWith('verify') || address.rootCertificate !== undefined
  const ca = address.rootCertificate === undefined ? {} : { ca: Bun.file(address.rootCertificate) }
  const { user: username, password, database, settings } = address
  return {
    adapter,
    url: `${adapter}://localhost/?sslmode=${address.tls}`,
    hostname: address.host,
    port: address.port,
    ...(at || (address.dialect === 'mysql' && address.host.startsWith('/'))
      ? { path: at?.socket ?? address.host }
      : {}),
    ...{ username, password, database, max: 1, idleTimeout: 0, maxLifetime: 0, connectionTimeout: CONNECT_SECONDS },
    ...(verifies ? { tls: { serverName: address.host, ...ca } } : {}),
    ...(address.dialect === 'postgres' ? { connection: { application_name: 'stagecraft', ...settings } } : {}),
  }
}

/** Milliseconds that a server has to end a statement that was cancelled. Then it is given up: its machine may be gone. */
const GRACE = 10_000

function connectionOf(sql: SQL, close: () => Promise<void>): Connection {
  let isSilent = false
  return {
    async run(text, { signal, cancel = () => {}, grace = GRACE } = {}) {
      if (isSilent) throw silence()
      const query = sql.unsafe(text)
      const gaveUp = Promise.withResolvers<never>()
      let timer: Timer | undefined
      const giveUp = () => {
        isSilent = true
        gaveUp.reject(silence())
      }
      // A listener that returns the query would have its failure reported as nobody's.
      const onAbort = () => {
        timer = setTimeout(giveUp, grace)
        cancel(query)
      }
      signal?.addEventListener('abort', onAbort)
      try {
        return await Promise.race([query, gaveUp.promise])
      } finally {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
    },
    close,
  }
}

/** As the client says it when no answer comes at all. */
function silence(): Error {
  const error = Object.assign(new Error('no answer'), { code: 'ERR_CONNECTION_TIMEOUT' })
  error.name = 'SQLError'
  return error
}
