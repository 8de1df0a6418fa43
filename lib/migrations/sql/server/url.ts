import { StagecraftError } from '../../../util/errors.ts'
import type { Dialect } from '../text/dialect.ts'

/** What a connection string says. Nothing of it is ever printed. */
export type Address =
  | { readonly dialect: 'sqlite'; readonly file: string }
  | {
      readonly dialect: Exclude<Dialect, 'sqlite'>
      readonly host: string
      readonly port: number
      readonly user: string
      readonly password: string
      readonly database: string
      /** the words of libpq's sslmode */
      readonly tls: string
      readonly rootCertificate: string | undefined
      /** PostgreSQL's settings for the session */
      readonly settings: Readonly<Record<string, string>>
    }

const SERVERS: Readonly<Record<string, { readonly dialect: 'postgres' | 'mysql'; readonly port: number }>> = {
  postgres: { dialect: 'postgres', port: 5432 },
  postgresql: { dialect: 'postgres', port: 5432 },
  mysql: { dialect: 'mysql', port: 3306 },
  mariadb: { dialect: 'mysql', port: 3306 },
}
/** The last @ before host, port, database and parameters ends the password, whatever stands in that. */
const REST = /^(?:([\s\S]*)@)?(\[[0-9a-fA-F:.]+\]|[^\s@:/?#]*)(?::(\d{1,5}))?(?:\/([^?#]*))?(?:\?([^#]*))?$/
/** MySQL's words for the mode, and those of drivers. */
const TLS: Readonly<Record<string, string>> = {
  ...{ disabled: 'disable', preferred: 'prefer', required: 'require', verify_ca: 'verify-ca', true: 'require' },
  ...{ verify_identity: 'verify-full', false: 'disable', '0': 'disable', '1': 'require', 'no-verify': 'require' },
}
const TLS_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']

/**
 * Reads `postgres://`, `postgresql://`, `mysql://`, `mariadb://`, `sqlite:path` and `file:path`. User and password may be
 * percent-encoded or not; one that is not may hold any character.
 * @param database the name of the database in stagecraft.yml, for messages
 * @throws config (3) without any part of the text
 */
export function parseUrl(text: string, database: string): Address {
  const trimmed = text.trim()
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+]*):([\s\S]*)$/i.exec(trimmed) ?? []
  if (/^(sqlite|file)$/i.test(scheme)) return { dialect: 'sqlite', file: sqliteFile(rest, database) }
  const server = SERVERS[scheme.toLowerCase()]
  const [match, login = '', host = '', port, path = '', query = ''] = REST.exec(rest.replace(/^\/\//, '')) ?? []
  if (!server || !rest.startsWith('//')) throw refuse(database, 'it begins with none of the known schemes')
  if (match === undefined) throw refuse(database, 'what follows the password is not HOST:PORT/DATABASE')
  const parameters = parametersOf(query)
  const { user, password } = splitLogin(login)
  const socket = parameters.get('host') ?? parameters.get('socket') ?? ''
  const whole = {
    dialect: server.dialect,
    host: host.replace(/^\[|\]$/g, '') || socket,
    port: port === undefined ? server.port : Number(port),
    user: decode(user),
    password: decode(password),
    database: decode(path),
    tls: tlsMode(parameters, database),
    rootCertificate: parameters.get('sslrootcert') || undefined,
    settings: server.dialect === 'postgres' ? settingsOf(parameters) : {},
  }
  for (const part of ['host', 'user', 'database'] as const) {
    if (whole[part] === '') throw refuse(database, `it names no ${part}`)
  }
  if (whole.host.includes(',')) throw refuse(database, 'it names several hosts')
  return whole
}

/** @param login what stands before the last @ */
const splitLogin = (login: string): { user: string; password: string } => {
  const [, user = '', password = ''] = /^([^:]*):?([\s\S]*)$/.exec(login) ?? []
  return { user, password }
}

/** @returns the password in a connection string, as it is written there and decoded, also if the rest of it is wrong */
export function passwordsIn(text: string): string[] {
  const [, login = ''] = /^\s*[a-z][a-z0-9+]*:\/\/([\s\S]*)@/i.exec(text) ?? []
  const { password } = splitLogin(login)
  return [password, decode(password)]
}

function sqliteFile(rest: string, database: string): string {
  const path = decode(rest.replace(/^\/\/(?=\/|[^/])/, '').replace(/\?.*$/, ''))
  if (path === '' || path === ':memory:') throw refuse(database, 'it names no file')
  return path
}

/** `options=-c name=value` and, of other clients, `schema`. */
function settingsOf(parameters: ReadonlyMap<string, string>): Record<string, string> {
  const options = [...(parameters.get('options') ?? '').matchAll(/-c\s*([\w.]+)=(\S+)/g)]
  const schema = parameters.get('schema') ?? parameters.get('search_path')
  const settings = Object.fromEntries(options.map(([, name = '', value = '']) => [name, value]))
  return schema === undefined ? settings : { search_path: schema, ...settings }
}

function tlsMode(parameters: ReadonlyMap<string, string>, database: string): string {
  const said = ['sslmode', 'ssl-mode', 'ssl', 'tls'].map((name) => parameters.get(name)).find((value) => value)
  const word = said?.toLowerCase() ?? 'prefer'
  const mode = TLS[word] ?? word
  if (!TLS_MODES.includes(mode)) throw refuse(database, `its sslmode is none of ${TLS_MODES.join(', ')}`)
  return mode
}

const parametersOf = (query: string): Map<string, string> =>
  new Map(
    query
      .split('&')
      .filter(Boolean)
      .map((pair) => {
        const [, name = '', value = ''] = /^([^=]*)=?([\s\S]*)$/.exec(pair) ?? []
        return [decode(name), decode(value.replaceAll('+', ' '))] as const
      }),
  )

/** A text with a % that encodes nothing was not encoded. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const refuse = (database: string, reason: string): StagecraftError =>
  new StagecraftError('config', `Cannot use the connection string of ${database}: ${reason}`, {
    hint: 'Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, mysql://… or sqlite:PATH.',
  })
