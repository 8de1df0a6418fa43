import * as v from 'valibot'
import { migrationPlan, plan } from '../../plan/schema.ts'
import { described, type Of, text } from '../../util/schema.ts'
import { details, migrationRecord, record, release, time } from './release.ts'
import { check, database, freeze, lock, proxyStatus, status, unseen } from './status.ts'

const environment = v.string()
const host = v.exactOptional(text('which of several hosts'))
const texts = v.array(v.string())
const change = v.picklist(['added', 'removed', 'changed'])

export const powered = v.strictObject({
  host: text('empty: this machine'),
  service: v.string(),
  containers: described(v.number(), 'how many; of `start`, without those that ran already'),
})
const power = v.strictObject({ environment, services: v.array(powered) })

export const scaled = v.strictObject({
  service: v.string(),
  from: described(v.number(), 'how many replicas it had'),
  to: v.number(),
})

export const down = v.strictObject({
  environment,
  hosts: v.array(
    v.strictObject({
      host,
      containers: texts,
      networks: texts,
      routes: described(texts, 'addresses that the proxy does not answer any more'),
      maintenance: v.exactOptional(described(v.literal(true), 'its routes are under maintenance, which ends')),
      proxy: described(v.boolean(), 'the proxy goes too: it has routes of no other project'),
      volumes: described(texts, 'with the data in them; empty unless asked for'),
      images: v.exactOptional(described(texts, '--history: tags that only its releases need')),
    }),
  ),
  releases: v.exactOptional(described(v.number(), '--history: how many')),
})

export const owner = v.strictObject({
  host: text("the environment's first host, or the name of the machine; empty: not known"),
  root: text('the folder of the history there; empty: not known'),
  environment: v.optional(text('absent: not known')),
})

/** What `state move` did. */
export const moved = v.strictObject({
  from: owner,
  to: owner,
  releases: described(v.number(), 'how many; 0: the former history is lost'),
  mounted: v.exactOptional(
    described(
      v.array(v.strictObject({ host: v.string(), from: v.string(), to: v.string() })),
      'content and data that were moved on hosts whose folder has changed; absent: none',
    ),
  ),
})

export const diff = v.strictObject({
  services: v.array(v.strictObject({ service: v.string(), change, what: texts })),
  content: v.array(v.strictObject({ name: v.string(), change })),
})

/** One line that a container printed. */
export const logLine = v.strictObject({
  host: text('empty: this machine'),
  service: v.string(),
  container: v.string(),
  at: text("ISO 8601 with nanoseconds, by the engine's clock"),
  line: v.string(),
})

export const accessLine = v.strictObject({
  host: text('empty: this machine'),
  service: v.string(),
  at: text("ISO 8601, by the host's clock"),
  client: text('an address'),
  user: v.exactOptional(text('who has given a password of `auth`')),
  method: v.string(),
  url: text('host name and path; a query is left out'),
  protocol: v.string(),
  status: described(v.number(), '0: the visitor had gone'),
  bytes: described(v.number(), 'of the answer, without headers'),
  duration_ms: v.number(),
  user_agent: v.exactOptional(v.string()),
})

export const builtImage = v.strictObject({
  service: v.string(),
  image: text('its tag'),
  id: text('`sha256:…`'),
  digest: v.exactOptional(text('with --push')),
})

export const ignored = v.strictObject({
  file: text('relative to the project folder'),
  change: v.picklist(['created', 'changed', 'unchanged']),
  lines: described(texts, 'that were added'),
})

const bundleTag = v.strictObject({ tag: v.string(), id: v.string() })

const objects = {
  configs: v.exactOptional(described(texts, 'of a Swarm')),
  secrets: v.exactOptional(described(texts, 'of a Swarm')),
}

export const pruned = v.strictObject({
  bundles: described(texts, 'releases whose bundles were removed, oldest first'),
  tags: described(texts, 'of images'),
  content: described(texts, 'entries that no bundle names any more'),
  ...objects,
})

/** What commands print as their result, by the type of the line, without its `v` and `type`. */
export const RESULTS = {
  access: accessLine,
  built: v.strictObject({ version: v.string(), images: v.array(builtImage) }),
  completion: v.strictObject({ shell: v.string(), script: v.string() }),
  deployed: v.strictObject({ release: record }),
  dev: v.strictObject({
    environment,
    project: v.string(),
    services: v.array(v.strictObject({ service: v.string(), addresses: texts })),
    watched: described(texts, 'services with develop.watch'),
  }),
  diff: v.strictObject({ before: v.string(), after: v.string(), ...diff.entries }),
  doctor: v.strictObject({ ok: v.boolean(), checks: v.array(check) }),
  down,
  'down-plan': down,
  init: v.strictObject({
    file: v.string(),
    project: v.string(),
    environment,
    hosts: texts,
    services: texts,
    ignored: v.array(ignored),
    running: v.exactOptional(v.strictObject({ project: v.string(), containers: texts })),
  }),
  lock: v.strictObject({ environment, ...lock.entries }),
  'lock-released': v.strictObject({ environment, hold: v.exactOptional(freeze) }),
  log: v.union([
    logLine,
    described(
      v.strictObject({ at: time, container: v.string(), line: v.string() }),
      '--release: of a container that is gone',
    ),
    described(v.strictObject({ host, line: v.string() }), '`proxy logs`'),
  ]),
  maintenance: v.strictObject({ environment, maintenance: v.boolean() }),
  'migrate-plan': v.strictObject({ environment, migrations: v.array(migrationPlan) }),
  'migrate-status': v.strictObject({ environment, databases: v.array(database) }),
  migrated: v.strictObject({ environment, migrations: v.array(migrationRecord) }),
  plan: v.strictObject({
    plan,
    token: v.exactOptional(text('stands for what the plan was made from: `deploy --plan`')),
    migrations: v.exactOptional(
      described(
        v.array(v.strictObject({ release: v.string(), database: v.string(), name: v.string() })),
        '`rollback --dry-run`: those that ran since, and stay',
      ),
    ),
  }),
  proxy: v.strictObject({ host, ...proxyStatus.entries }),
  'proxy-restarted': v.strictObject({ host, image: v.string() }),
  'prune-plan': v.strictObject({ host, bundles: texts, tags: v.array(bundleTag), ...objects }),
  pruned: v.strictObject({ host, ...pruned.entries }),
  ready: v.strictObject({ host: v.string(), missing: texts, changed: v.boolean() }),
  release: v.strictObject({
    release,
    rollback: v.strictObject({ possible: v.boolean(), why: v.exactOptional(text('why not')) }),
    details: v.exactOptional(details),
  }),
  releases: v.strictObject({ releases: described(v.array(release), 'newest first') }),
  restarted: power,
  'rolled-back': v.strictObject({ release: record, target: text('the release that was restored') }),
  scaled: v.strictObject({ environment, services: v.array(scaled) }),
  schema: v.strictObject({ schema: described(v.looseObject({}), 'the JSON Schema of stagecraft.yml') }),
  started: power,
  'state-moved': v.strictObject({ project: v.string(), ...v.partial(moved).entries }),
  status: v.union([status, unseen]),
  step: v.strictObject({ host: v.string(), what: v.string() }),
  stopped: power,
  tunnel: v.strictObject({ environment, service: v.string(), port: v.number(), local: v.number() }),
  'upgrade-offer': v.strictObject({ from: v.string(), to: v.string() }),
  upgraded: v.strictObject({
    from: v.string(),
    to: v.string(),
    file: v.exactOptional(text('absent: nothing was to be done')),
    old: v.exactOptional(text('the file of the former version')),
  }),
}

export type ResultType = keyof typeof RESULTS

/** What a command gives as its result of a type. */
export type Result<T extends ResultType> = Of<(typeof RESULTS)[T]>
