import * as v from 'valibot'
import { duration, path, port, variable } from '../fields.ts'
import { type DnsConfig, dns } from './dns.ts'
import { urlPath } from './expose.ts'
import { isRange, ranges } from './trusted-proxies.ts'

const IMAGE = /^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$/
const URL_OF_CA = 'must be the URL of an ACME directory, such as https://ca.example.com/acme/directory'
const EMAIL = 'must be an e-mail address such as ops@example.com'
const KEY_ID = 'must be the id of a key'

const eab = v.strictObject(
  {
    key_id: v.pipe(v.string(KEY_ID), v.regex(/^[\w.~+/=:@-]+$/, KEY_ID)),
    hmac_key_env: variable('EAB_HMAC_KEY'),
  },
  'must be a mapping with `key_id` and `hmac_key_env`',
)

const acme = v.pipe(
  v.strictObject(
    {
      email: v.exactOptional(v.pipe(v.string(EMAIL), v.regex(/^[\w.+-]+@[\w-]+(\.[\w-]+)+$/, EMAIL))),
      ca: v.exactOptional(
        v.pipe(
          v.string(URL_OF_CA),
          v.check((text) => isDirectory(text), URL_OF_CA),
        ),
      ),
      ca_root: v.exactOptional(path),
      eab: v.exactOptional(eab),
      dns: v.exactOptional(dns),
    },
    'must be a mapping such as {email: ops@example.com}',
  ),
  v.check(
    ({ ca, ca_root: root, eab }) => ca !== undefined || (root ?? eab) === undefined,
    '`ca_root` and `eab` need a `ca`',
  ),
)

/** Without what Caddy would take for a placeholder. */
function isDirectory(text: string): boolean {
  return /^https:\/\/[^\s{}]+$/.test(text) && URL.canParse(text)
}

const ADDRESS = 'must be an address of the host such as 100.64.0.1'

const HEALTH = 'must be a path such as /host-up, or a mapping with a `path` and a `wait`'
/** Milliseconds that a balancer has to notice that a host is to be changed. */
const NOTICE = 10_000

const health = v.pipe(
  v.union([urlPath, v.strictObject({ path: urlPath, wait: v.exactOptional(duration(0)) }, HEALTH)], HEALTH),
  v.transform((value) => ({ wait: NOTICE, ...(typeof value === 'string' ? { path: value } : value) })),
  v.check(({ path: text }) => text !== '/', 'must not be /: it is taken from every service'),
)

/** `proxy` of an environment (spec/core/proxy.md). */
export const proxy = v.pipe(
  v.strictObject(
    {
      image: v.exactOptional(
        v.pipe(v.string('must be an image'), v.regex(IMAGE, 'must be an image such as caddy:2 or caddy:2.10')),
      ),
      http: v.exactOptional(port),
      https: v.exactOptional(port),
      bind: v.exactOptional(
        v.pipe(
          v.string(ADDRESS),
          v.check((text) => isRange(text) && !text.includes('/'), ADDRESS),
        ),
      ),
      acme: v.exactOptional(acme),
      health: v.exactOptional(health),
      proxy_protocol: v.exactOptional(v.pipe(ranges, v.minLength(1, 'must not be empty'))),
    },
    'must be a mapping',
  ),
  v.check(({ http = 80, https = 443 }) => http !== https, '`http` and `https` must be different ports'),
)

export interface ProxyConfig {
  /** default: its present one, or `caddy:2` for a new proxy */
  readonly image?: string
  /** default: 80 and 443 of all addresses */
  readonly http?: number
  readonly https?: number
  readonly bind?: string
  readonly acme?: AcmeConfig
  /** where the proxy says whether the host is to get requests; `wait`: milliseconds before it is changed */
  readonly health?: { readonly path: string; readonly wait: number }
  /** who says in a PROXY header where a connection comes from: addresses and ranges, or `private_ranges` */
  readonly proxy_protocol?: readonly string[]
}

/** The CA of routes with `tls: auto`. */
interface AcmeConfig {
  readonly email?: string
  /** URL of its directory; default: Let's Encrypt */
  readonly ca?: string
  /** a file with the certificates that its own HTTPS is signed with */
  readonly ca_root?: string
  /** of an account that the CA has made */
  readonly eab?: { readonly key_id: string; readonly hmac_key_env: string }
  /** names are proved by records of DNS, not at the host */
  readonly dns?: DnsConfig
}
