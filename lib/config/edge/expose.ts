import * as v from 'valibot'
import { path, port, variable } from '../fields.ts'
import { isBelow } from './assets.ts'
import { hasRules, type Rules, ruleFields } from './rules.ts'
import { ranges, trustedRanges } from './trusted-proxies.ts'

const HOST = /^(\*|(\*\.)?[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*)$/
const URL_PATH = /^\/[a-zA-Z0-9._~/-]*$/

const hostName = v.pipe(
  v.string('must be a host name'),
  v.maxLength(253, 'must be a host name'),
  v.regex(HOST, 'must be a host name such as shop.example.com, without a scheme, a port or a path'),
  v.transform((text) => text.toLowerCase()),
)

/** @returns whether a text can be the host of `expose` */
export function isHostName(text: string): boolean {
  return v.is(hostName, text)
}

const hostNames = v.pipe(
  v.union(
    [hostName, v.pipe(v.array(hostName, 'must be a list of host names'), v.minLength(1, 'must not be empty'))],
    'must be a host name such as shop.example.com (no scheme, no port, no path), or a list of them',
  ),
  v.transform((value) => (typeof value === 'string' ? [value] : [...new Set(value)])),
)

export const urlPath = v.pipe(
  v.string('must be a path such as /up'),
  v.regex(URL_PATH, 'must be a path such as /up: letters, digits and -._~/ after a first /'),
)

const TLS = 'must be off, auto, internal, or a mapping: with a certificate and its key, or `ask`'
const CERTIFICATE = 'must have `certificate` (a file) or `certificate_env` (a variable), and `key` or `key_env`'
const given = v.pipe(
  v.strictObject(
    {
      certificate: v.exactOptional(path),
      certificate_env: v.exactOptional(variable('TLS_CERTIFICATE')),
      key: v.exactOptional(path),
      key_env: v.exactOptional(variable('TLS_KEY')),
      ask: v.exactOptional(urlPath),
    },
    TLS,
  ),
  v.check(
    ({ certificate, certificate_env, key, key_env, ask }) =>
      ask !== undefined ||
      ((certificate === undefined) !== (certificate_env === undefined) &&
        (key === undefined) !== (key_env === undefined)),
    CERTIFICATE,
  ),
  v.check(
    ({ ask, ...own }) => ask === undefined || Object.keys(own).length === 0,
    'cannot have a certificate and `ask` for others',
  ),
)

export const expose = v.pipe(
  v.strictObject(
    {
      host: v.exactOptional(hostNames),
      redirect: v.exactOptional(hostNames),
      port,
      path: v.exactOptional(urlPath),
      health: v.exactOptional(urlPath),
      protocol: v.exactOptional(v.picklist(['http', 'h2c'], 'must be http or h2c')),
      tls: v.exactOptional(v.union([v.picklist(['off', 'auto', 'internal'], TLS), given], TLS)),
      internal: v.exactOptional(v.boolean('must be true or false')),
      trusted_proxies: v.exactOptional(ranges),
      ...ruleFields,
    },
    'must be a mapping with a port, and a host or `internal: true`',
  ),
  v.check(({ host, internal }) => host !== undefined || internal === true, 'must have a `host`, or `internal: true`'),
  v.check(
    ({ host, redirect, path, tls, trusted_proxies: trusted }) =>
      host !== undefined || (redirect ?? path ?? tls ?? trusted) === undefined,
    '`redirect`, `path`, `tls` and `trusted_proxies` need a `host`',
  ),
  v.check(
    (expose) => expose.host !== undefined || !hasRules(expose),
    'has a rule for visitors (`allow`, `auth`, `headers` and so on), which needs a `host`',
  ),
  v.check(
    ({ health, protocol }) => health === undefined || protocol !== 'h2c',
    '`health` is asked by HTTP/1.1, which a service with `protocol: h2c` may not speak: give it a healthcheck in the Compose file',
  ),
  v.check(
    ({ strip_path: strip, path = '/' }) => strip !== true || path !== '/',
    '`strip_path` needs a `path` that is taken away',
  ),
  v.check(
    ({ assets, path = '/', strip_path: strip }) => assets === undefined || strip || isBelow(assets.path, path),
    'the path of `assets` is never asked for: it must be below `path`, which the service gets as it is',
  ),
  v.check(
    ({ http, tls }) => http === undefined || tls !== 'off',
    '`http` is for a service with TLS: with `tls: off` all is HTTP',
  ),
  v.check(
    (expose) => expose.allow === undefined || trustedRanges(expose).length === 0,
    '`allow` would see the address of the balancer before it: let that decide, or set `trusted_proxies: []` if there is none',
  ),
  v.check(
    ({ host = [], redirect = [] }) => redirect.length === 0 || (!isWildcard(host[0] ?? '') && !redirect.includes(ANY)),
    '`redirect` leads from names to the first `host`, which must be a whole name',
  ),
  v.check(
    ({ host = [], redirect = [] }) => !redirect.some((name) => host.includes(name)),
    'has a name in both `host` and `redirect`',
  ),
  v.check(
    ({ host = [], tls }) => !host.includes(ANY) || tls === 'off' || askOf({ tls }) !== undefined,
    'is exposed as *, all names: it needs `tls: {ask: /path}`, or `tls: off` behind a proxy of your own',
  ),
  v.check(
    ({ host = [], redirect = [], tls }) => askOf({ tls }) === undefined || [...host, ...redirect].some(isWildcard),
    '`tls: {ask: …}` is for a host with a *: whole names get their certificates with `tls: auto`',
  ),
  v.check(
    ({ port, internal }) => internal !== true || port !== 443,
    'cannot be internal on port 443: internal callers are answered without TLS',
  ),
)

/** A certificate and its key: files, or variables with their text. */
export interface OwnCertificate {
  readonly certificate?: string
  readonly certificate_env?: string
  readonly key?: string
  readonly key_env?: string
}

/** `tls` of `expose`: a word; a certificate; or the path at which the service says which names have one. */
type Tls = 'off' | 'auto' | 'internal' | (OwnCertificate & { readonly ask?: string })

/** @returns how a service gets its certificates; `own`: it is given one */
export function tlsOf({ tls = 'auto' }: Pick<ExposeConfig, 'tls'>): 'off' | 'auto' | 'internal' | 'own' {
  if (typeof tls === 'string') return tls
  return tls.ask === undefined ? 'own' : 'auto'
}

/** @returns the path at which a service says whether there is a certificate for a name; undefined: it is not asked */
function askOf({ tls }: { readonly tls?: Tls | undefined }): string | undefined {
  return typeof tls === 'object' ? tls.ask : undefined
}

/** @returns the same, for a route */
export function askIn(expose: Pick<ExposeConfig, 'tls'>): { readonly ask?: string } {
  const ask = askOf(expose)
  return ask === undefined ? {} : { ask }
}

/** @returns whether it needs a certificate for all names of a wildcard, which a CA gives by the DNS challenge alone */
export function needsDns({ host = [], redirect = [], tls = 'auto' }: Omit<ExposeConfig, 'port'>): boolean {
  return tls === 'auto' && [...host, ...redirect].some((name) => isWildcard(name) && name !== ANY)
}

/** Of names that are not known before a visitor has asked for one. */
export const ANY = '*'

/** @returns whether a host stands for several names */
export function isWildcard(host: string): boolean {
  return host.startsWith('*')
}

/** @returns how many names a host stands for: 0 for one, 1 for `*.example.com`, 2 for all */
export function breadthOf(host: string): number {
  return host === ANY ? 2 : Number(isWildcard(host))
}

/** @returns under which name a service is asked by the proxy itself */
export function wholeName({ host = [] }: Pick<ExposeConfig, 'host'>): string | undefined {
  return host.find((name) => !isWildcard(name))
}

/** How the proxy exposes a service: under hosts, internally, or both. */
export interface ExposeConfig extends Rules {
  /** in lower case; may begin with `*.`, or be `*` */
  readonly host?: readonly string[]
  /** names whose visitors are sent to the first of `host` */
  readonly redirect?: readonly string[]
  /** where its containers listen */
  readonly port: number
  /** default: all paths */
  readonly path?: string
  /** a path that answers 2xx once a container can take requests */
  readonly health?: string
  /** how its containers are asked; default: http, which is HTTP/1.1. h2c: HTTP/2 without TLS, as gRPC is */
  readonly protocol?: 'http' | 'h2c'
  /** default: auto */
  readonly tls?: Tls
  /** the proxy answers under the service's own name on its networks */
  readonly internal?: boolean
  /** whose X-Forwarded headers are passed on; default: private ranges with `tls: off`, otherwise none */
  readonly trusted_proxies?: readonly string[]
}
