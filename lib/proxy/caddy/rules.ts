import type { Rules } from '../../config/edge/rules.ts'
import type { Route } from '../../plan/routes/table.ts'
import { refusal } from './answers.ts'

type Json = Readonly<Record<string, unknown>>

/** @returns routes of Caddy for what is done with a request before the service gets it: some answer it themselves. */
export function ruleRoutes({ path, rules = {} }: Pick<Route, 'path' | 'rules'>): Json[] {
  const { allow, auth, caddy = [], compress, headers, max_body: maxBody, strip_path: strip } = rules
  const forbidden = refusal('403', 'Access to this site is not allowed from here.\n', rules)
  const tooLarge = refusal('413', 'This request is too large.\n', rules)
  const always = [
    ...(headers ? headerHandlers(headers) : []),
    ...(compress ? [{ handler: 'encode', encodings: { zstd: {}, gzip: {} }, prefer: ['zstd', 'gzip'] }] : []),
  ]
  const inner = [
    ...(maxBody === undefined ? [] : [{ handler: 'request_body', max_size: maxBody }]),
    ...(strip && path !== '/' ? [{ handler: 'rewrite', strip_path_prefix: path }] : []),
    ...caddy,
  ]
  return [
    ...(always.length > 0 ? [{ handle: always }] : []),
    ...(allow ? [{ match: [{ not: [{ remote_ip: { ranges: allow } }] }], terminal: true, handle: [forbidden] }] : []),
    ...(auth ? [{ handle: [authHandler(auth)] }] : []),
    ...(maxBody === undefined
      ? []
      : [{ match: [{ expression: longerThan(maxBody) }], terminal: true, handle: [tooLarge] }]),
    ...(inner.length > 0 ? [{ handle: inner }] : []),
  ]
}

/** A service may answer before Caddy has read too much: only a length that is said is refused for certain. */
function longerThan(bytes: number): string {
  const length = '{http.request.header.Content-Length}'
  return `${length} != "" && int(${length}) > ${bytes}`
}

function authHandler(auth: NonNullable<Rules['auth']>): Json {
  const accounts = Object.entries(auth).map(([username, password]) => ({ username, password }))
  return {
    handler: 'authentication',
    providers: { http_basic: { hash: { algorithm: 'bcrypt' }, accounts, hash_cache: {} } },
  }
}

/** Twice: at once for what Caddy itself answers, and after the service has answered, so that its own headers are replaced. */
function headerHandlers(headers: NonNullable<Rules['headers']>): Json[] {
  const gone = Object.keys(headers).filter((name) => headers[name] === null)
  const set = Object.entries(headers).flatMap(([name, value]) => (value === null ? [] : [[name, [value]] as const]))
  const response = { delete: gone, set: Object.fromEntries(set) }
  return [
    { handler: 'headers', response },
    { handler: 'headers', response: { ...response, deferred: true } },
  ]
}
