import * as v from 'valibot'
import { parseDuration } from '../../util/duration.ts'

const MAPPING = 'must be a mapping such as {provider: cloudflare, api_token_env: CLOUDFLARE_TOKEN}'
const PROVIDER = 'must have a `provider`, such as cloudflare: the name of a module dns.providers.… of Caddy'
const NAME = 'must have names in lower case such as api_token'
const VALUE = 'must be a text without braces, a number, or true or false'
const SECRET = /(^|_)(token|secret|password|passwd|key)$/
const VARIABLE = 'has a key that ends with _env, which must be the name of a variable, such as CLOUDFLARE_TOKEN'
const RESOLVERS = 'must be a list of name servers such as [1.1.1.1, "10.0.0.53:53"]'

const literal = v.pipe(
  v.string(VALUE),
  v.check((text) => text !== '' && !/[{}\p{Cc}]/u.test(text), VALUE),
)
const value = v.union([literal, v.number(VALUE), v.boolean(VALUE), v.array(literal, RESOLVERS)], VALUE)

/** How Caddy proves a name by a record of DNS: what its module for the provider takes, and two settings of the proof. */
export const dns = v.pipe(
  v.record(v.string(), value, MAPPING),
  v.check(({ provider }) => typeof provider === 'string' && /^[a-z0-9_]+$/.test(provider), PROVIDER),
  v.check((table) => Object.keys(table).every((key) => /^[a-z][a-z0-9_]*$/.test(key)), NAME),
  v.check(
    (table) =>
      Object.entries(table).every(
        ([key, text]) => !key.endsWith('_env') || (typeof text === 'string' && /^[A-Za-z_]\w*$/.test(text)),
      ),
    VARIABLE,
  ),
  v.check(
    (table) => !Object.keys(table).some((key) => SECRET.test(key)),
    'has a secret: let a variable hold it, as `api_token_env: CLOUDFLARE_TOKEN` does',
  ),
  v.check(
    (table) => Object.entries(table).every(([key, text]) => Array.isArray(text) === (key === 'resolvers')),
    '`resolvers`, and nothing else, is a list of name servers such as [1.1.1.1, "10.0.0.53:53"]',
  ),
  v.check(
    ({ propagation_timeout: text }) =>
      text === undefined || text === 'off' || parseDuration(String(text)) !== undefined,
    '`propagation_timeout` must be a duration such as 5m, or off',
  ),
  v.transform(({ provider, resolvers, propagation_timeout: text, ...rest }): DnsConfig => {
    const all = Object.entries(rest) as [string, string | number | boolean][] // the check refuses lists
    return {
      provider: String(provider),
      settings: Object.fromEntries(all.filter(([key]) => !key.endsWith('_env'))),
      variables: Object.fromEntries(
        all.flatMap(([key, name]) => (key.endsWith('_env') ? [[key.slice(0, -'_env'.length), String(name)]] : [])),
      ),
      ...(Array.isArray(resolvers) ? { resolvers } : {}),
      ...(text === undefined ? {} : { propagation_timeout: text === 'off' ? -1 : (parseDuration(String(text)) ?? 0) }),
    }
  }),
)

/** The DNS challenge of ACME. */
export interface DnsConfig {
  /** the name of the module */
  readonly provider: string
  /** its settings, as written */
  readonly settings: Readonly<Record<string, string | number | boolean>>
  /** its secret settings: variables that hold them */
  readonly variables: Readonly<Record<string, string>>
  /** name servers that are asked whether the record is there; default: the machine's */
  readonly resolvers?: readonly string[]
  /** milliseconds until the record must be there; -1: it is not looked for */
  readonly propagation_timeout?: number
}

/** The same without its secrets. */
export interface DnsChallenge extends Omit<DnsConfig, 'variables'> {
  /** digests of the secret settings, by name */
  readonly secrets: Readonly<Record<string, string>>
}
