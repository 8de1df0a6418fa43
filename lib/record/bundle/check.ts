import { releaseId } from '../../plan/release-id.ts'
import { PHASES } from '../../plan/six-phases.ts'
import { HOST_KEY, OF_BUNDLE, OF_MODEL } from './ref.ts'
import { type Check, list, matching, number, object, table, text, yes } from './value.ts'

// Others can write to the folder of the bundles, so every field is checked before it is used as a path, an id or an argument
// of docker (spec/core/bundle.md).

/** docker takes it neither for an option nor for two arguments. */
const word = matching(/^[A-Za-z0-9_][^\s\p{Cc}]*$/u, 'a name')
const service = matching(/^[a-zA-Z0-9._-]+$/, 'the name of a service')
const time = matching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/, 'a time')

const image = object(
  { name: word, reference: word, id: word, fingerprint: text, built: yes, volumes: yes },
  { digest: word },
)

/** Caddy replaces `{file./data/…}` by what is in that file, also in the configuration of a host that has not written this. */
const literal = matching(/^[^{}]*$/, 'a text without braces')

/** They become a folder of the proxy's volume, and a mount. */
const assets = object(
  {
    path: matching(/^(?!.*\/\.{1,2}(\/|$))\/[a-zA-Z0-9._~/-]*$/, 'a path'),
    folder: matching(/^\/[^{}\p{Cc}]+$/u, 'a folder'),
  },
  {},
)

const rules = {
  access_log: yes,
  allow: list(literal),
  assets,
  auth: table(literal, literal),
  // Whatever they do: a user who can write bundles could run a container as well (spec/core/bundle.md).
  caddy: list(object({ handler: text }, {})),
  compress: yes,
  error_pages: table(matching(/^\d{3}$/, 'a status'), literal),
  headers: table(literal, (value, at) => (value === null ? undefined : literal(value, at))),
  http: literal,
  max_body: number,
  sticky: yes,
  strip_path: yes,
  timeout: number,
}

const slot = matching(/^[ab]$/, 'a slot')
const setting: Check = (value, at) => (typeof value === 'string' ? literal(value, at) : number(Number(value), at))
const dns = object(
  { provider: literal, settings: table(literal, setting), secrets: table(literal, word) },
  { resolvers: list(literal), propagation_timeout: number },
)
const acme = { email: literal, ca: literal, root: literal, eab: object({ key_id: literal, hmac: word }, {}), dns }

const route = object(
  { service, hosts: list(literal), path: literal, tls: text, ports: table(service, number) },
  {
    internal: object({ port: number, names: list(literal), networks: list(word), subnets: list(literal) }, {}),
    h2c: list(slot),
    replicas: table(slot, number),
    trusted: list(literal),
    redirect: list(literal),
    ask: literal,
    rules: object({}, rules),
    proxy_protocol: list(literal),
    host_health: object({ path: literal, wait: number }, {}),
    acme: object({}, acme),
  },
)
const slots = table(service, slot)

const rollout = object(
  {},
  {
    strategy: text,
    drain: object({}, { command: list(text), wait: number }),
    drain_timeout: number,
    health_timeout: number,
    min_ready: number,
  },
)
const settings = object(
  {},
  {
    rollout,
    expose: object(
      {},
      {
        host: list(literal),
        port: number,
        path: literal,
        redirect: list(literal),
        protocol: literal,
        trusted_proxies: list(literal),
        ...rules,
      },
    ),
  },
)

/** What stands in a crontab. */
const plain = matching(/^[A-Za-z0-9/._:-]+$/, 'a plain name')
const lastRun = object({ started_at: time, finished_at: time, exit_code: number, version: text }, {})
const scheduled = object(
  { schedule: text, container: matching(/^[0-9a-f]{64}$/, 'the id of a container') },
  { timeout: number, last: lastRun },
)

const before = object({ id: word, name: word, service, image: text, state: text, health: text }, {})

const journal = object(
  {
    step: matching(/^(prepare|switch|retire)$/, 'a step'),
    began_at: time,
    before: list(before),
    made: list(word),
    touched: list(service),
    replaced: list(word),
    unused: list(word),
    handover: yes,
  },
  {
    rolling: list(service),
    renewed: list(service),
    routing: object({ routes: list(route), slots }, {}),
    served: matching(OF_MODEL, 'the model of a release'),
  },
)

const need = object({ service, condition: text, follows: yes, why: text }, {})
const hash = matching(/^[0-9a-f]{32}$/, 'the hash of a file')
const phase = matching(new RegExp(`^(${PHASES.join('|')})$`), 'a phase')

const bundle = object(
  {
    id: matching(OF_BUNDLE, 'the id of a release'),
    environment: text,
    version: text,
    commit_sha: text,
    project: matching(/^[a-z0-9][a-z0-9_-]*$/, 'the name of a Compose project'),
    phases: table(phase, object({ started_at: text, duration_ms: number }, { note: text })),
    images: table(service, image),
    topology: object({ order: list(service), needs: table(service, list(need)), jobs: list(service) }, {}),
    content: list(object({ name: text, hash }, {})),
    config_hashes: table(service, text),
  },
  {
    tags: list(object({ tag: word, id: text }, {})),
    host: matching(HOST_KEY, 'the name of a host'),
    hosts: list(matching(HOST_KEY, 'the name of a host')),
    switched_at: text,
    removed_at: time,
    forgetting: object({ by: text, at: time }, {}),
    adopted: list(word),
    stopped: table(service, object({ by: text, at: time }, { replicas: number })),
    scaled: table(service, object({ by: text, at: time, replicas: number }, {})),
    retiring: list(service),
    journal,
    error: object({ message: text }, { hint: text, detail: text }),
    on: matching(/^swarm$/, 'an engine'),
    engine: object({ id: text, name: text, endpoint: text }, {}),
    actor: object({ user: text, machine: text, directory: text }, {}),
    services: table(service, settings),
    plan: object({ services: list(object({ service, action: text, why: text }, {})) }, {}),
    served_before: matching(OF_BUNDLE, 'the id of a release'),
    rollback_to: matching(OF_BUNDLE, 'the id of a release'),
    routes: list(route),
    slots,
    gaps: table(service, number),
    schedules: table(service, scheduled),
    scheduler: object(
      { by: matching(/^(cron|systemd)$/, 'what runs jobs'), user: text, endpoint: plain, docker: plain },
      {},
    ),
    old_volumes: list(word),
    awaits: table(service, list(service)),
    migrations: list(object({ database: text, engine: text, name: text, at: time, duration_ms: number }, {})),
    migrating: object({ database: text, name: text }, {}),
    promoted_from: object({ environment: text, id: text, version: text }, {}),
    hook: object({ name: text, command: text }, {}),
  },
)

/**
 * @param id of the release in whose folder the value was found
 * @returns why the value is not the bundle of that release, beginning with the place in it; undefined: it is
 */
export function bundleProblem(value: Readonly<Record<string, unknown>>, id: string): string | undefined {
  const problem = bundle(value, '')
  if (problem !== undefined) return problem
  if (value['id'] !== id) return `id is ${JSON.stringify(value['id'])}`
  for (const key of ['served_before', 'rollback_to']) {
    const other = value[key]
    if (typeof other === 'string' && releaseId(other) >= releaseId(id)) return `${key} is not an earlier release`
  }
  return undefined
}
