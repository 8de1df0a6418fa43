import * as v from 'valibot'
import { DURATION, parseDuration } from './duration.ts'
import { hostKey, parseHostName } from './host-name.ts'
import { isRange, PRIVATE_RANGES } from './trusted-proxies.ts'

const MAX_DURATION = 24 * 3_600_000
const CONTROL = /\p{Cc}/u
const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/
const SERVICE = /^[a-zA-Z0-9._-]+$/
// Host, optional port, and path components as the distribution reference grammar has them.
const REGISTRY = /^[a-zA-Z0-9]+([.-]+[a-zA-Z0-9]+)*(:\d{1,5})?(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/
const HOST = /^(\*\.)?[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/
const URL_PATH = /^\/[a-zA-Z0-9._~/-]*$/
const IMAGE = /^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$/

const name = (what: string) =>
  v.pipe(
    v.string(`must be ${what}`),
    v.regex(NAME, `must be ${what} (lower-case letters, digits, - and _; at most 63)`),
  )

const path = v.pipe(
  v.string('must be a path'),
  v.minLength(1, 'must not be empty'),
  v.check((text) => !CONTROL.test(text), 'must be a path without control characters'),
)

/** One path or a list of them; always a list afterwards. */
const paths = v.pipe(
  v.union([path, v.array(path, 'must be a list of paths')], 'must be a path or a list of paths'),
  v.transform((value) => (typeof value === 'string' ? [value] : value)),
)

const duration = (smallest: number) =>
  v.pipe(
    v.string('must be a duration such as 500ms, 60s, 5m or 1h'),
    v.regex(DURATION, 'must be a duration such as 500ms, 60s, 5m or 1h'),
    v.transform((text) => parseDuration(text) ?? 0),
    v.minValue(smallest, 'must be more than zero'),
    v.maxValue(MAX_DURATION, 'must be at most 24h'),
  )

/** In YAML an empty value is null: `prod:` alone is an environment with nothing to say. */
const orEmpty = <T extends v.GenericSchema<object>>(schema: T) => v.nullable(schema)

const strategies = ['rolling', 'recreate', 'hold'] as const
const orders = ['start-first', 'stop-first'] as const

/** A text for /bin/sh, or a list of words; always a list of words afterwards. */
const shellCommand = v.pipe(
  v.union(
    [
      v.pipe(v.string(), v.minLength(1, 'must not be empty')),
      v.pipe(v.array(v.string('must be a word'), 'must be a list of words'), v.minLength(1, 'must not be empty')),
    ],
    'must be a command: a text, or a list of words',
  ),
  v.transform((value): string[] => (typeof value === 'string' ? ['/bin/sh', '-c', value] : value)),
)

const drain = v.strictObject(
  { command: v.exactOptional(shellCommand), wait: v.exactOptional(duration(0)) },
  'must be a mapping',
)

const rollout = v.strictObject(
  {
    strategy: v.exactOptional(v.picklist(strategies, 'must be rolling, recreate or hold')),
    order: v.exactOptional(v.picklist(orders, 'must be start-first or stop-first')),
    health_timeout: v.exactOptional(duration(1)),
    min_ready: v.exactOptional(duration(0)),
    drain_timeout: v.exactOptional(duration(0)),
    drain: v.exactOptional(orEmpty(drain)),
  },
  'must be a mapping',
)

const hostName = v.pipe(
  v.string('must be a host name'),
  v.maxLength(253, 'must be a host name'),
  v.regex(HOST, 'must be a host name such as shop.example.com, without a scheme, a port or a path'),
  v.transform((text) => text.toLowerCase()),
)

const hostNames = v.pipe(
  v.union(
    [hostName, v.pipe(v.array(hostName, 'must be a list of host names'), v.minLength(1, 'must not be empty'))],
    'must be a host name such as shop.example.com (no scheme, no port, no path), or a list of them',
  ),
  v.transform((value) => (typeof value === 'string' ? [value] : [...new Set(value)])),
)

const PORT = 'must be a port from 1 to 65535'
const urlPath = v.pipe(
  v.string('must be a path such as /up'),
  v.regex(URL_PATH, 'must be a path such as /up: letters, digits and -._~/ after a first /'),
)

const RANGE =
  'must be an address or a range such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32, or the word private_ranges'
const senders = v.pipe(
  v.union([v.string(RANGE), v.array(v.string(RANGE), RANGE)], RANGE),
  v.transform((value) => (typeof value === 'string' ? [value] : value)),
  v.check((list) => list.every((text) => text === PRIVATE_RANGES || isRange(text)), RANGE),
)

const expose = v.pipe(
  v.strictObject(
    {
      host: v.exactOptional(hostNames),
      port: v.pipe(v.number(PORT), v.integer(PORT), v.minValue(1, PORT), v.maxValue(65535, PORT)),
      path: v.exactOptional(urlPath),
      health: v.exactOptional(urlPath),
      tls: v.exactOptional(v.picklist(['off', 'auto', 'internal'], 'must be off, auto or internal')),
      internal: v.exactOptional(v.boolean('must be true or false')),
      trusted_proxies: v.exactOptional(senders),
    },
    'must be a mapping with a port, and a host or `internal: true`',
  ),
  v.check(({ host, internal }) => host !== undefined || internal === true, 'must have a host, or say `internal: true`'),
  v.check(
    ({ host, path, tls, trusted_proxies: trusted }) => host !== undefined || (path ?? tls ?? trusted) === undefined,
    '`path`, `tls` and `trusted_proxies` are for what has a host',
  ),
  v.check(
    ({ host, tls }) => tls === 'off' || tls === 'internal' || !host?.some((name) => name.startsWith('*.')),
    'cannot have certificates for a host with a * by itself: say `tls: internal`, or `tls: off` behind your own',
  ),
  v.check(
    ({ port, internal }) => internal !== true || port !== 443,
    'cannot be internal on port 443: internal callers are answered without TLS',
  ),
)

const SSH_HOST = 'must be a host such as deploy@web-1.example.com, ssh://deploy@web-1:2222 or tailscale:web-1'
const sshHost = v.pipe(
  v.string(SSH_HOST),
  v.check((text) => parseHostName(text) !== undefined, SSH_HOST),
)

const keyOf = (text: string) => hostKey(parseHostName(text) ?? { written: text, name: text })

/** One or a list; always a list afterwards. */
const sshHosts = v.pipe(
  v.union([sshHost, v.pipe(v.array(sshHost, SSH_HOST), v.minLength(1, 'must not be empty'))], SSH_HOST),
  v.transform((value) => (typeof value === 'string' ? [value] : value)),
  v.check((list) => new Set(list.map(keyOf)).size === list.length, 'names a host twice'),
)

const service = v.strictObject(
  {
    hosts: v.exactOptional(sshHosts),
    moved_from: v.exactOptional(sshHost),
    job: v.exactOptional(v.boolean('must be true or false')),
    expose: v.exactOptional(expose),
    rollout: v.exactOptional(orEmpty(rollout)),
  },
  'must be a mapping',
)

const proxy = v.strictObject(
  {
    image: v.exactOptional(
      v.pipe(v.string('must be an image'), v.regex(IMAGE, 'must be an image such as caddy:2 or caddy:2.10')),
    ),
  },
  'must be a mapping',
)

const environment = v.strictObject(
  {
    hosts: v.exactOptional(sshHosts),
    root: v.exactOptional(
      v.pipe(path, v.regex(/^\/[^\s]*$/, 'must be an absolute path without spaces, such as /srv/stagecraft')),
    ),
    connect_timeout: v.exactOptional(duration(1)),
    env_file: v.exactOptional(paths),
    compose_project: v.exactOptional(name('a Compose project name')),
    data: v.exactOptional(paths),
    keep: v.exactOptional(
      v.pipe(
        v.number('must be a whole number from 0 to 1000'),
        v.integer('must be a whole number from 0 to 1000'),
        v.minValue(0, 'must be a whole number from 0 to 1000'),
        v.maxValue(1000, 'must be a whole number from 0 to 1000'),
      ),
    ),
    proxy: v.exactOptional(orEmpty(proxy)),
    services: v.exactOptional(
      orEmpty(
        v.record(
          v.pipe(v.string(), v.regex(SERVICE, 'must be the name of a service')),
          orEmpty(service),
          'must be a mapping of services',
        ),
      ),
    ),
  },
  'must be a mapping',
)

const environmentName = v.pipe(
  v.string(),
  v.regex(NAME, 'must be an environment name (lower-case letters, digits, - and _; at most 63)'),
)

/** The whole file, without the top-level `x-*` keys. */
export const configSchema = v.strictObject(
  {
    project: v.exactOptional(
      orEmpty(
        v.strictObject(
          {
            name: v.exactOptional(name('a project name')),
            registry: v.exactOptional(
              v.pipe(
                v.string('must be a registry such as ghcr.io/acme'),
                v.regex(REGISTRY, 'must be a registry such as ghcr.io/acme, without a scheme'),
              ),
            ),
          },
          'must be a mapping',
        ),
      ),
    ),
    compose: v.exactOptional(paths),
    environments: v.exactOptional(
      v.pipe(
        v.record(environmentName, orEmpty(environment), 'must be a mapping of environments'),
        v.minEntries(1, 'must name at least one environment'),
      ),
    ),
  },
  'must be a mapping',
)

export type ParsedConfig = v.InferOutput<typeof configSchema>
