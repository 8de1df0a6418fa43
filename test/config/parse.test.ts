import { expect, test } from 'bun:test'
import { type Config, parseConfig, selectEnvironment } from '../../lib/config/parse.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { errorOf } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const errorIn = (text: string) => errorOf(() => parseConfig(text))

/** The lines of an error, without the file's name. */
function problems(text: string): string[] {
  const error = errorIn(text)
  expect(error.kind).toBe('config')
  return (error.detail ?? '').split('\n').map((line) => line.replace('stagecraft.yml:', ''))
}

function printed(error: unknown): string {
  if (!(error instanceof StagecraftError)) throw error
  return [error.message, ...(error.detail ? [error.detail] : []), `  hint: ${error.hint}`].join('\n')
}

test('parseConfig() takes a file that says nothing for no file', () => {
  const empty = { project: {}, compose: [], environments: { local: { env_file: [], data: [], keep: 5, services: {} } } }
  for (const text of ['', '# nothing yet\n', '---\n', '{}', 'project:\n', '\uFEFFproject: {}\n']) {
    expect(parseConfig(text)).toEqual(empty)
  }
})

test('parseConfig() reports every error at once, with line, column and the nearest key', () => {
  const text = [
    'project:',
    '  nmae: shop',
    'enviroments: {}',
    'environments:',
    '  local: {}',
    '  prod: {data: 5,',
    '    env_file: a }',
    '  test: {services: {',
    '    web: {rollout: {health_timeout: soon}},',
    '    db: {rollout: {strategy: blue-green}}}}',
  ].join('\n')
  expectGolden('core/config.md', 'errors', printed(errorIn(text)))
})

test('parseConfig() knows no keys but its own, at every level, and names all of them', () => {
  expect(
    problems('a: 1\nb: 2\nenvironments: {p: {c: 1, d: 2, services: {web: {jbo: true, rollout: {min_raedy: 1s}}}}}'),
  ).toEqual([
    '1:1: unknown key "a" (known here: project, minimum_version, compose, environments)',
    '2:1: unknown key "b" (known here: project, minimum_version, compose, environments)',
    '3:20: unknown key "c" (known here: engine, hosts, root, connect_timeout, env_file, compose_project, data, keep, proxy, databases, hooks, notify, secrets, services)',
    '3:26: unknown key "d" (known here: engine, hosts, root, connect_timeout, env_file, compose_project, data, keep, proxy, databases, hooks, notify, secrets, services)',
    '3:49: unknown key "jbo" (did you mean "job"?)',
    '3:70: unknown key "min_raedy" (did you mean "min_ready"?)',
  ])
})

test('parseConfig() does not accept what is not built yet', () => {
  for (const key of ['hosts: [a, a]', 'certificates: {}']) {
    expect(problems(`environments: {prod: {${key}}}`)).toHaveLength(1)
  }
  expect(problems('databases: {}')).toHaveLength(1)
})

test('parseConfig() says what a value must be and what it is', () => {
  const cases: Readonly<Record<string, string>> = {
    'project: [1]': '1:10: must be a mapping, not a list',
    'project: {name: Shop}':
      '1:17: must be a project name (lower-case letters, digits, - and _; at most 63), not "Shop"',
    'project: {name: }': '1:17: must be a project name, not nothing',
    'project: {registry: "https://ghcr.io"}':
      '1:21: must be a registry such as ghcr.io/acme, without a scheme, not "https://ghcr.io"',
    'compose: [a, [b]]': '1:14: must be a path, not a list',
    'compose: ""': '1:10: must not be empty',
    'compose: "a\\nb"': '1:10: must be a path without control characters',
    'compose: {}': '1:10: must be a path or a list of paths, not a mapping',
    'environments: {}': '1:15: must name at least one environment',
    'environments: []': '1:15: must be a mapping, not a list',
    'environments: {"../x": {}}':
      '1:16: must be an environment name (lower-case letters, digits, - and _; at most 63), not "../x"',
    'environments: {p: {keep: -1}}': '1:26: must be a whole number from 0 to 1000',
    'environments: {p: {keep: all}}': '1:26: must be a whole number from 0 to 1000, not "all"',
    'environments: {p: {services: {w: {job: yes}}}}':
      '1:40: must be true, false, or a mapping such as {rollback: run} or {schedule: "0 3 * * *"}, not "yes"',
    'environments: {p: {services: {w: {rollout: {min_ready: 5}}}}}':
      '1:56: must be a duration such as 500ms, 60s, 5m or 1h, not 5',
    'environments: {p: {services: {w: {rollout: {health_timeout: 0s}}}}}': '1:61: must be more than zero',
    'environments: {p: {services: {w: {rollout: {min_ready: 25h}}}}}': '1:56: must be at most 24h',
    'environments: {p: {services: {"a b": {}}}}': '1:31: must be the name of a service, not "a b"',
    'environments: {a: {}, constructor: {}}': '1:23: "constructor" cannot be a name',
    'just text': '1:1: must be a mapping, not "just text"',
    '[1, 2]': '1:1: must be a mapping, not a list',
  }
  for (const [text, problem] of Object.entries(cases)) expect(problems(text)).toEqual([problem])
})

test('parseConfig() reads what is exposed, how it rolls, and the proxy', () => {
  const text = `
environments:
  p:
    proxy: {image: "caddy:2.10"}
    services:
      web:
        expose: {host: [Shop.Example.com, "*.shop.example.com"], port: 3000, path: /shop, health: /up, tls: internal}
        rollout: {strategy: rolling, order: stop-first, drain_timeout: 0s, drain: {command: "sleep 1", wait: 5s}}
      api: {expose: {internal: true, port: 80}, rollout: {drain: {command: [touch, /tmp/x]}}}
      one: {expose: {host: one.example.com, port: 1}, rollout: {drain: }}
  q: {proxy: }
`
  const { p, q } = parseConfig(text).environments
  expect(p?.proxy).toEqual({ image: 'caddy:2.10' })
  expect(q?.proxy).toBeNull()
  expect(p?.services).toEqual({
    web: {
      expose: {
        ...{ host: ['shop.example.com', '*.shop.example.com'], port: 3000, path: '/shop', health: '/up' },
        tls: 'internal',
      },
      rollout: {
        ...{ strategy: 'rolling', order: 'stop-first', drain_timeout: 0 },
        drain: { command: ['/bin/sh', '-c', 'sleep 1'], wait: 5_000 },
      },
    },
    api: { expose: { internal: true, port: 80 }, rollout: { drain: { command: ['touch', '/tmp/x'] } } },
    one: { expose: { host: ['one.example.com'], port: 1 }, rollout: { drain: null } },
  })
})

test('parseConfig() says what is wrong with what is exposed, how it rolls, and the proxy', () => {
  const service = (text: string) => problems(`environments: {p: {services: {w: {${text}}}}}`)
  const cases: Readonly<Record<string, string>> = {
    'expose: yes': '1:43: must be a mapping with a port, and a host or `internal: true`, not "yes"',
    'expose: {port: 80}': '1:43: must have a `host`, or `internal: true`',
    'expose: {internal: false, port: 80}': '1:43: must have a `host`, or `internal: true`',
    'expose: {internal: true, port: 80, path: /x}':
      '1:43: `redirect`, `path`, `tls` and `trusted_proxies` need a `host`',
    'expose: {internal: true, port: 80, tls: off}':
      '1:43: `redirect`, `path`, `tls` and `trusted_proxies` need a `host`',
    'expose: {internal: true, port: 443}':
      '1:43: cannot be internal on port 443: internal callers are answered without TLS',
    'expose: {host: "*.a.b", port: 80}':
      '1:43: cannot get a certificate for a host with a *: set `proxy: {acme: {dns: …}}`, `tls: {ask: /path}`, `tls: {certificate, key}` or `tls: internal`, or `tls: off` behind a proxy of your own',
    'expose: {host: a, port: 0}': '1:59: must be a port from 1 to 65535',
    'expose: {host: a, port: 65536}': '1:59: must be a port from 1 to 65535',
    'expose: {host: a, port: 80.5}': '1:59: must be a port from 1 to 65535',
    'expose: {host: a, port: "80"}': '1:59: must be a port from 1 to 65535, not "80"',
    'expose: {host: "https://a", port: 80}':
      '1:50: must be a host name such as shop.example.com (no scheme, no port, no path), or a list of them, not "https://a"',
    'expose: {host: "a:80", port: 80}':
      '1:50: must be a host name such as shop.example.com (no scheme, no port, no path), or a list of them, not "a:80"',
    'expose: {host: [a, "b_c"], port: 80}':
      '1:54: must be a host name such as shop.example.com, without a scheme, a port or a path, not "b_c"',
    'expose: {host: [], port: 80}': '1:50: must not be empty',
    'expose: {host: 5, port: 80}':
      '1:50: must be a host name such as shop.example.com (no scheme, no port, no path), or a list of them, not 5',
    'expose: {host: a, port: 80, path: x}':
      '1:69: must be a path such as /up: letters, digits and -._~/ after a first /, not "x"',
    'expose: {host: a, port: 80, health: "/up?x"}':
      '1:71: must be a path such as /up: letters, digits and -._~/ after a first /, not "/up?x"',
    'expose: {internal: true, port: 80, trusted_proxies: 10.0.0.1}':
      '1:43: `redirect`, `path`, `tls` and `trusted_proxies` need a `host`',
    'expose: {host: a, port: 80, trusted_proxies: [10.0.0.0/33]}':
      '1:80: must be an address or a range such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32, or the word private_ranges',
    'expose: {host: a, port: 80, redirect: [b, a]}': '1:43: has a name in both `host` and `redirect`',
    'expose: {host: "*.a", port: 80, tls: off, redirect: b}':
      '1:43: `redirect` leads from names to the first `host`, which must be a whole name',
    'expose: {host: a, port: 80, tls: {ask: /x}, redirect: "*"}':
      '1:43: `redirect` leads from names to the first `host`, which must be a whole name',
    'expose: {host: "*", port: 80, tls: internal}':
      '1:43: is exposed as *, all names: it needs `tls: {ask: /path}`, or `tls: off` behind a proxy of your own',
    'expose: {host: a, port: 80, tls: {ask: /x}}':
      '1:43: `tls: {ask: …}` is for a host with a *: whole names get their certificates with `tls: auto`',
    'expose: {host: "*", port: 80, tls: {ask: x}}':
      '1:76: must be a path such as /up: letters, digits and -._~/ after a first /, not "x"',
    'expose: {internal: true, port: 80, redirect: b}':
      '1:43: `redirect`, `path`, `tls` and `trusted_proxies` need a `host`',
    'expose: {host: a, port: 80, tls: on}':
      '1:68: must be off, auto, internal, or a mapping: with a certificate and its key, or `ask`, not "on"',
    'expose: {host: a, port: 80, tls: {certificate: a.pem}}':
      '1:68: must have `certificate` (a file) or `certificate_env` (a variable), and `key` or `key_env`',
    'expose: {host: a, port: 80, tls: {certificate: a.pem, key: k, key_env: K}}':
      '1:68: must have `certificate` (a file) or `certificate_env` (a variable), and `key` or `key_env`',
    'expose: {host: a, port: 80, tls: {certificate: a.pem, kay: k}}': '1:89: unknown key "kay" (did you mean "key"?)',
    'expose: {host: "*.a", port: 80, tls: {ask: /x, key: k}}': '1:72: cannot have a certificate and `ask` for others',
    'expose: {host: a, prot: 80, port: 1}': '1:53: unknown key "prot" (did you mean "port"?)',
    'rollout: {order: random}': '1:52: must be start-first or stop-first, not "random"',
    'rollout: {drain_timeout: 25h}': '1:60: must be at most 24h',
    'rollout: {drain: 10s}': '1:52: must be a mapping, not "10s"',
    'rollout: {drain: {command: ""}}': '1:62: must not be empty',
    'rollout: {drain: {command: []}}': '1:62: must not be empty',
    'rollout: {drain: {command: [a, 5]}}': '1:66: must be a word, not 5',
    'rollout: {drain: {command: 5}}': '1:62: must be a command: a text, or a list of words, not 5',
    'rollout: {drain: {wait: 5}}': '1:59: must be a duration such as 500ms, 60s, 5m or 1h, not 5',
  }
  const found = Object.keys(cases).map((text) => [text, service(text).join('\n')])
  expect(Object.fromEntries(found)).toEqual(cases)
  expect(problems('environments: {p: {proxy: {image: "a b"}}}')).toEqual([
    '1:35: must be an image such as caddy:2 or caddy:2.10, not "a b"',
  ])
  expect(problems('environments: {p: {proxy: caddy}}')).toEqual(['1:27: must be a mapping, not "caddy"'])
})

test('parseConfig() reports what is no YAML with its place', () => {
  expectGolden('core/config.md', 'syntax', printed(errorIn('project: {}\nenvironments: {local: {}}\nproject: {}\n')))
  expect(problems('a: [1,\nb: 2')[0]).toMatch(/^2:\d+: /)
  expect(problems('project: {name: !env x}')[0]).toContain('1:17: Unresolved tag: !env')
  expect(problems('a: 1\n---\nb: 2\n')[0]).toMatch(/^2:1: Source contains multiple documents/)
  expect(problems('project: *nowhere')[0]).toContain('1:10: Unresolved alias')
})

test('parseConfig() allows anchors, merges and top-level x- keys, and finds errors behind them', () => {
  const text = (timeout: string) => `
x-slow: &slow
  health_timeout: ${timeout}
environments:
  prod: {services: {web: {rollout: {<<: *slow, min_ready: 1s}}, api: {rollout: *slow}}}
`
  expect(parseConfig(text('5m')).environments['prod']?.services).toEqual({
    web: { rollout: { health_timeout: 300_000, min_ready: 1000 } },
    api: { rollout: { health_timeout: 300_000 } },
  })
  const problem = '3:19: must be a duration such as 500ms, 60s, 5m or 1h, not "never"'
  expect(problems(text('never'))).toEqual([problem])
})

test('parseConfig() refuses aliases that grow without bounds', () => {
  const levels = Array.from({ length: 12 }, (_, level) => {
    const below =
      level === 0
        ? '"x"'
        : Array(9)
            .fill(`*l${level - 1}`)
            .join(', ')
    return `x-${level}: &l${level} [${below}]`
  })
  expect(problems(levels.join('\n'))).toEqual(['1:1: Excessive alias count indicates a resource exhaustion attack'])
})

const three = parseConfig('environments: {staging: {}, prod: {data: d}, local: {}}')
const one = parseConfig('environments: {live: {}}')

const selectError = (config: Omit<Config, 'file'>, name?: string) => errorOf(() => selectEnvironment(config, name))

test('selectEnvironment() takes the one that is named, or the only one', () => {
  expect(selectEnvironment(three, 'prod')).toEqual({ name: 'prod', env_file: [], data: ['d'], keep: 5, services: {} })
  expect(selectEnvironment(one, undefined).name).toBe('live')
})

test('selectEnvironment() lists the environments in alphabetical order', () => {
  expectGolden('core/config.md', 'unknown-environment', printed(selectError(three, 'prdo')))
  expectGolden('core/config.md', 'no-environment', printed(selectError(three)))
  expect([selectError(three, 'prdo').kind, selectError(three).kind]).toEqual(['not-found', 'usage'])
})

test('selectEnvironment() finds no environment under a name every object has, nor under a hostile one', () => {
  for (const name of ['toString', '__proto__', '../x', '-rf', 'a\nb', '']) {
    expect(selectError(one, name).message).toMatch(/^Cannot find environment ".*"$/)
  }
})

test('parseConfig() takes `job` as a word, or as a mapping that says what a rollback does', () => {
  const jobOf = (job: string) =>
    parseConfig(`environments: {p: {services: {w: {job: ${job}}}}}`).environments['p']?.services['w']?.job
  const parsed = ['true', 'false', '{}', '{rollback: run}'].map(jobOf)
  expect(parsed).toEqual([true, false, true, { rollback: 'run' }])
  const told = (job: string) => problems(`environments: {p: {services: {w: {job: ${job}}}}}`)
  expect(told('{rollback: never}')).toEqual(['1:51: must be run, or left out, not "never"'])
  expect(told('{rolback: run}')).toEqual(['1:41: unknown key "rolback" (did you mean "rollback"?)'])
  expect(told('[run]')).toEqual(['1:40: must be a mapping, not a list'])
})

test('parseConfig() refuses a job with `rollback: run` that migrates a database: a rollback runs no migration', () => {
  const text = (job: string) =>
    `environments: {p: {services: {w: {job: ${job}}}, databases: {main: {migrations: {engine: job, service: w}}}}}`
  expect(problems(text('{rollback: run}'))).toEqual([
    '1:51: must be left out: the job migrates the database main, and a rollback runs no migration',
  ])
  expect(parseConfig(text('true')).environments['p']?.databases).toHaveProperty('main')
})

test('the file of the earlier Stagecraft has one error, with what became of its keys', () => {
  const file = [
    'project: {name: shop}',
    'backend: {provider: generic, providers: {generic: {dev: {command: [npm, run, dev]}}}}',
    'dev: {domains: {frontend: shop.localdev.test}}',
    'databases: {main: {connection_env: DATABASE_URL, migrations: {engine: raw, path: ./migrations, strategy: pre_deploy}}}',
    'environments: {dev: {driver: local}, prod: {driver: digitalocean, env_file: .env.prod}}',
  ]
  expectGolden('core/config.md', 'earlier', printed(errorIn(file.join('\n'))))
  expect(errorIn('environments: {prod: {driver: local}}').detail).not.toContain('backend')
  expect(problems('backend: {image: x}')).toHaveLength(1) // another mistake
})
