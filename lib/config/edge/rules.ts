import * as v from 'valibot'
import { duration, path } from '../fields.ts'
import { type Assets, assets } from './assets.ts'
import { ranges, withPrivateRanges } from './trusted-proxies.ts'

const HASH = 'must be a bcrypt hash, as `docker run --rm -it caddy:2 caddy hash-password` prints it: $2a$…'
const SIZE = 'must be a size such as 500kB, 10MB or 1GB'
const HANDLER = 'must be a handler of Caddy, such as {handler: static_response, body: ok}'
const HEADER = 'must be the name of a header'
/** They say where an answer ends, or what its bytes are: with another value no client could read it. */
const FRAMING =
  /^(connection|content-encoding|content-length|content-range|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/i
const SIZE_TEXT = /^(\d{1,6})([kMG]?B)$/
const UNITS: Readonly<Record<string, number>> = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 }

const PAGES = 'must be a file such as errors/down.html, or a mapping of statuses to files'
const STATUS = 'must be 401, 403, 413, 502, 503 or 504: what the proxy answers itself'
/** What a service that is down makes the proxy answer. */
const DOWN = ['502', '503', '504']
const htmlFile = v.pipe(
  path,
  v.check((text) => text.endsWith('.html'), 'must be a file that ends with .html'),
)

/** @returns bytes */
function parseSize(text: string): number {
  const [, number = '', unit = ''] = SIZE_TEXT.exec(text) ?? []
  return Number(number) * (UNITS[unit] ?? 0)
}

/** The keys of `expose` that say what the proxy does with a visitor's request besides passing it on. */
export const ruleFields = {
  access_log: v.exactOptional(v.boolean('must be true or false')),
  allow: v.exactOptional(v.pipe(ranges, v.minLength(1, 'must not be empty'))),
  assets: v.exactOptional(assets),
  auth: v.exactOptional(
    v.pipe(
      v.record(
        v.pipe(v.string(), v.regex(/^[^\s:\p{Cc}]{1,100}$/u, 'must be a name without spaces and colons')),
        v.pipe(v.string(HASH), v.regex(/^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/, HASH)),
        'must be a mapping of names to bcrypt hashes',
      ),
      v.check((table) => Object.keys(table).length > 0, 'must not be empty'),
    ),
  ),
  caddy: v.exactOptional(
    v.pipe(
      v.array(v.looseObject({ handler: v.string(HANDLER) }, HANDLER), 'must be a list of handlers of Caddy'),
      v.minLength(1, 'must not be empty'),
    ),
  ),
  compress: v.exactOptional(v.boolean('must be true or false')),
  error_pages: v.exactOptional(
    v.pipe(
      v.union([htmlFile, v.record(v.picklist(['401', '403', '413', ...DOWN], STATUS), htmlFile, PAGES)], PAGES),
      v.transform(
        (value): Record<string, string> =>
          typeof value === 'string' ? Object.fromEntries(DOWN.map((status) => [status, value])) : value,
      ),
      v.check((pages) => Object.keys(pages).length > 0, 'must not be empty'),
    ),
  ),
  headers: v.exactOptional(
    v.record(
      v.pipe(
        v.string(),
        v.regex(/^[A-Za-z0-9-]{1,100}$/, HEADER),
        v.check((name) => !FRAMING.test(name), 'is a header that HTTP itself needs: it cannot be changed'),
      ),
      v.nullable(
        v.pipe(
          v.string('must be a text, or null to remove the header'),
          v.check((text) => !/[{}\p{Cc}]/u.test(text), 'must be a text without control characters and braces'),
        ),
      ),
      'must be a mapping of names to values',
    ),
  ),
  http: v.exactOptional(v.picklist(['redirect', 'serve'], 'must be redirect or serve')),
  max_body: v.exactOptional(
    v.pipe(
      v.string(SIZE),
      v.regex(SIZE_TEXT, SIZE),
      v.check((text) => parseSize(text) > 0, 'must be more than zero'),
      v.transform(parseSize),
    ),
  ),
  sticky: v.exactOptional(v.boolean('must be true or false')),
  strip_path: v.exactOptional(v.boolean('must be true or false')),
  timeout: v.exactOptional(duration(1)),
}

/** What the proxy does with a visitor's request besides passing it on. */
export interface Rules {
  /** requests are written to a file of the proxy */
  readonly access_log?: boolean
  /** who may ask: addresses and ranges; others get 403 */
  readonly allow?: readonly string[]
  /** what the service answers 404 to and an earlier release has */
  readonly assets?: Assets
  /** who may ask, with a password: bcrypt hashes by name; others get 401 */
  readonly auth?: Readonly<Record<string, string>>
  /** handlers of Caddy (https://caddyserver.com/docs/json/), which get a request last of all */
  readonly caddy?: readonly Readonly<Record<string, unknown>>[]
  /** answers are compressed, if the visitor takes that */
  readonly compress?: boolean
  /** files with what the proxy answers in place of an error of its own, by status */
  readonly error_pages?: Readonly<Record<string, string>>
  /** of answers; null: removed */
  readonly headers?: Readonly<Record<string, string | null>>
  /** what is answered by HTTP if there is TLS */
  readonly http?: 'redirect' | 'serve'
  /** bytes that a request may have; a larger one gets 413 */
  readonly max_body?: number
  /** a visitor is sent to the same replica each time, as long as it runs */
  readonly sticky?: boolean
  /** the service gets the path without that of its route */
  readonly strip_path?: boolean
  /** milliseconds until an answer must have begun; otherwise 504 */
  readonly timeout?: number
}

const KEYS = Object.keys(ruleFields) as (keyof Rules)[]

/** @returns the rules of `expose` that change anything; undefined if none does */
export function rulesOf(expose: Rules): Rules | undefined {
  const isDefault = (value: unknown) => value === undefined || value === false || value === 'redirect'
  const set = KEYS.map((key) => [key, expose[key]] as const).filter(([, value]) => !isDefault(value))
  if (set.length === 0) return undefined
  const rules: Rules = Object.fromEntries(set)
  return rules.allow ? { ...rules, allow: withPrivateRanges(rules.allow) } : rules
}

/** @returns whether `expose` has a key of rules, whatever it says */
export function hasRules(expose: Rules): boolean {
  return KEYS.some((key) => expose[key] !== undefined)
}
