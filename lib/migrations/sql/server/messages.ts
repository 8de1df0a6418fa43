import type { Dialect } from '../text/dialect.ts'
import { isPlainName, maskLiterals } from '../text/masked.ts'

/** What a client or server says when something fails, if it is known here. */
export interface ServerError {
  /** SQLSTATE, MySQL's number, SQLite's name, or the client's code */
  readonly code: string
  /** without values and without parts of the connection string */
  readonly message: string
  /** offset in the statement, from 0, if the server says one */
  readonly offset: number | undefined
  readonly connectionLost: boolean
}

/** Messages of MySQL that quote names, and no values. */
const MYSQL_NAMES = new Set([
  1005, 1007, 1008, 1049, 1050, 1051, 1054, 1060, 1061, 1068, 1072, 1091, 1109, 1146, 1215, 1304, 1305, 1359, 1360,
  1364, 1553, 1554, 1824, 1826, 3780,
])
/** Classes of PostgreSQL's SQLSTATE whose messages quote names, and no values: everything but data, integrity and what RAISE says. */
const POSTGRES_VALUES = /^(22|P0|F0|HV|XX)/
/** MySQL's code for what a file raises itself. */
const SIGNAL = '1644'
const LOST =
  /CONNECTION_(CLOSED|RESET|FAILED|TIMEOUT|REFUSED)|_NOT_CONNECTED|LIFETIME_TIMEOUT|IDLE_TIMEOUT|^(57P0[12]|08\d\d\d|2006|2013|1927)$/

/** @returns what of an error of Bun's SQL client may be shown */
export function readServerError(error: unknown, dialect: Dialect, sql = ''): ServerError {
  const {
    code: clientCode,
    errno,
    message,
    detail,
    hint,
    position,
    byteOffset,
    where,
  } = Object(error) as Record<string, unknown>
  const code = String((dialect === 'sqlite' ? undefined : errno) || clientCode || 'unknown')
  const said = String(message ?? '')
  const lines = [masked(said, code, dialect)]
  if (dialect === 'postgres') {
    if (detail) lines.push(postgresDetail(String(detail), code))
    if (hint && code.startsWith('42')) lines.push(String(hint))
    const within = /^PL\/pgSQL function \S+ line \d+/.exec(String(where ?? ''))
    if (within) lines.push(`in ${within[0]}`)
  }
  return {
    code,
    message: lines.filter(Boolean).join('\n'),
    offset: offsetOf(sql, dialect, { position, byteOffset, message: said }),
    connectionLost: LOST.test(code) || LOST.test(String(clientCode)),
  }
}

function masked(message: string, code: string, dialect: Dialect): string {
  if (dialect === 'postgres') {
    if (code.startsWith('P0')) return maskRaised(message)
    const quoted = POSTGRES_VALUES.test(code) ? message.replace(/"[^"]*("|$)/g, '"?"') : message
    return maskQuotes(POSTGRES_VALUES.test(code) ? maskNumbers(quoted) : quoted, dialect)
  }
  if (code === SIGNAL || code === 'SQLITE_CONSTRAINT_TRIGGER') return maskRaised(message)
  if (dialect === 'sqlite')
    return /^unrecognized token/.test(message) ? 'unrecognized token' : maskQuotes(message, dialect)
  const near = /^([\s\S]*? near )'([\s\S]*)'( at line \d+)$/.exec(message)
  // What follows the statement in the same packet is ours.
  if (near) return `${near[1]}'${maskLiterals((near[2] ?? '').replace(/\n;[\s\S]*$/, ''), dialect)}'${near[3]}`
  if (code === '1062') return message.replace(/^Duplicate entry '[\s\S]*' for key /, "Duplicate entry '?' for key ")
  if (MYSQL_NAMES.has(Number(code))) return message
  return maskNumbers(message.replace(/'[^']*'?/g, "'?'").replace(/"[^"]*"?/g, '"?"'))
}

/** `Key (email)=(a@b) already exists.` and `Failing row contains (1, a@b).` hold values. */
function postgresDetail(detail: string, code: string): string {
  if (!/^(22|23|P0|F0|HV|XX)/.test(code)) return maskQuotes(detail, 'postgres')
  const quoted = code.startsWith('22') ? detail.replace(/"[^"]*("|$)/g, '"?"') : detail
  return quoted.replace(/(=|contains )\([\s\S]*\)/, '$1(?)').replace(/'[\s\S]*'/g, "'?'")
}

const maskQuotes = (text: string, dialect: Dialect): string => {
  const near = /^([\s\S]*\bnear )"([\s\S]*)"([^"]*)$/.exec(text)
  if (near) return `${near[1]}"${maskLiterals(near[2] ?? '', dialect)}"${near[3]}`
  const names = text.replace(/"([^"]*)"/g, (quoted, name: string) => (isPlainName(name) ? quoted : '"?"'))
  return names.replace(/'[^']*('|$)/g, "'?'")
}

/** What a function of the file raises is shown but for words that may be values: with digits or signs in them. */
const maskRaised = (text: string): string =>
  text.replace(/\S+/g, (word) => (/^["'(]*[\p{L}_-]+[)"'.,:;!?]*$/u.test(word) ? word : '?'))

const maskNumbers = (text: string): string => text.replace(/(?<![\w"`])-?\d+(\.\d+)?(?![\w"`])/g, '?')

function offsetOf(
  sql: string,
  dialect: Dialect,
  said: { position: unknown; byteOffset: unknown; message: string },
): number | undefined {
  if (dialect === 'postgres') {
    const position = Number(said.position)
    return position > 0 ? [...sql].slice(0, position - 1).join('').length : undefined
  }
  if (dialect === 'sqlite') {
    const bytes = Number(said.byteOffset)
    return said.byteOffset !== undefined && bytes >= 0
      ? Buffer.from(sql).subarray(0, bytes).toString().length
      : undefined
  }
  const [, line] = / at line (\d+)$/.exec(said.message) ?? []
  if (line === undefined) return undefined
  const before = sql.split('\n').slice(0, Number(line) - 1)
  return before.reduce((sum, each) => sum + each.length + 1, 0)
}
