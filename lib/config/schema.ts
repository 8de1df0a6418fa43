import * as v from 'valibot'
import { SEMANTIC_VERSION } from '../util/semantic-version.ts'
import { databases } from './databases.ts'
import { expose, needsDns } from './edge/expose.ts'
import { proxy } from './edge/proxy.ts'
import { engine, engineFaults } from './engine.ts'
import { duration, NAME, name, orEmpty, path, paths, SERVICE, shellCommand } from './fields.ts'
import { hooks } from './hooks.ts'
import { type HostAddress, hostKey, parseHostAddress } from './host-address.ts'
import { notify } from './notify.ts'
import { secrets } from './secrets.ts'
import { job, scheduleOf } from './services/jobs.ts'

// Host, optional port, and path components, after the distribution reference grammar.
const REGISTRY = /^[a-zA-Z0-9]+([.-]+[a-zA-Z0-9]+)*(:\d{1,5})?(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/

const strategies = ['rolling', 'recreate', 'hold'] as const
const orders = ['start-first', 'stop-first'] as const

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

const SSH_HOST = 'must be a host such as deploy@web-1.example.com, ssh://deploy@web-1:2222 or tailscale:web-1'
const sshHost = v.pipe(
  v.string(SSH_HOST),
  v.transform((text) => parseHostAddress(text) as HostAddress), // the check refuses any other text
  v.check((host) => host !== undefined, SSH_HOST),
)

/** One or a list; always a list afterwards. */
const sshHosts = v.pipe(
  v.union([sshHost, v.pipe(v.array(sshHost, SSH_HOST), v.minLength(1, 'must not be empty'))], SSH_HOST),
  v.transform((value) => [value].flat()),
  v.check((list) => new Set(list.map(hostKey)).size === list.length, 'names a host twice'),
)

const service = v.pipe(
  v.strictObject(
    {
      hosts: v.exactOptional(sshHosts),
      moved_from: v.exactOptional(sshHost),
      job: v.exactOptional(job),
      expose: v.exactOptional(expose),
      rollout: v.exactOptional(orEmpty(rollout)),
    },
    'must be a mapping',
  ),
  v.check(
    ({ job, expose, rollout }) => scheduleOf(job) === undefined || (expose === undefined && rollout === undefined),
    'has a schedule: no rollout starts it, so it has neither `expose` nor `rollout`',
  ),
)

const settings = v.strictObject(
  {
    engine: v.exactOptional(engine),
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
    databases: v.exactOptional(databases),
    hooks: v.exactOptional(hooks),
    notify: v.exactOptional(notify),
    secrets: v.exactOptional(secrets),
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

const step = (key: string, input: unknown) => ({ type: 'unknown', origin: 'value', input, key, value: input }) as const

type Step = ReturnType<typeof step>

const WILDCARD =
  'cannot get a certificate for a host with a *: set `proxy: {acme: {dns: …}}`, `tls: {ask: /path}`, `tls: {certificate, key}` or `tls: internal`, or `tls: off` behind a proxy of your own'

/** A wildcard's certificate needs the DNS challenge. A rollback runs no migration, and a migration runs in a release: no job that migrates may ask for anything else. */
const environment = v.pipe(
  settings,
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    const { services, databases, proxy } = dataset.value
    for (const [name, service] of Object.entries(services ?? {})) {
      const { expose } = service ?? {}
      if (expose === undefined || proxy?.acme?.dns !== undefined || !needsDns(expose)) continue
      addIssue({
        message: WILDCARD,
        path: ['services', name, 'expose'].map((key) => step(key, expose)) as [Step, ...Step[]],
      })
    }
    for (const [database, { migrations }] of Object.entries(databases ?? {})) {
      const migrates = migrations.engine === 'job' ? migrations.service : undefined
      const wish = migrates === undefined ? undefined : services?.[migrates]?.job
      if (migrates === undefined || typeof wish !== 'object') continue
      const [key, does] =
        wish.schedule === undefined ? ['rollback', 'a rollback runs no migration'] : ['schedule', 'a release runs it']
      addIssue({
        message: `must be left out: the job migrates the database ${database}, and ${does}`,
        path: ['services', migrates, 'job', key].map((name) => step(name, wish)) as [Step, ...Step[]],
      })
    }
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    for (const { path, message } of engineFaults(dataset.value))
      addIssue({ message, path: path.map((name) => step(name, dataset.value)) as [Step, ...Step[]] })
  }),
)

const environmentName = v.pipe(
  v.string(),
  v.regex(NAME, 'must be an environment name (lower-case letters, digits, - and _; at most 63)'),
)

const VERSION = 'must be a version of Stagecraft such as 0.2.0'

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
    minimum_version: v.exactOptional(v.pipe(v.string(VERSION), v.regex(SEMANTIC_VERSION, VERSION))),
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
