import { PHASES } from './state-format.ts'

/**
 * Bundles come from a folder that others can write to: what of them is used as a path, an id, an argument of docker, or gone
 * through, is looked at before it is used. By hand: thousands of bundles are read (spec/core/bundle.md).
 */
type Check = (value: unknown, at: string) => string | undefined

/** A release, or the part of one on a host: `rel-…`, `rel-…/hosts/web-1`. No other path. */
const ID = '[A-Za-z0-9][A-Za-z0-9-]*'
const HOST = '[A-Za-z0-9_][A-Za-z0-9_.-]*'
const BUNDLE_ID = new RegExp(`^${ID}(?:/hosts/${HOST})?$`)
const MODEL_ID = new RegExp(`^${ID}(?:/hosts/${HOST})?(?:/(?:adopted|served))?$`)

const text = matching(/^/, 'a text')
const number: Check = (value, at) => (Number.isFinite(value) ? undefined : `${at} is no number`)
const yes: Check = (value, at) => (typeof value === 'boolean' ? undefined : `${at} is neither true nor false`)
/** Nothing that docker would take for an option, or for two words. */
const word = matching(/^[A-Za-z0-9_][^\s\p{Cc}]*$/u, 'a name')
const service = matching(/^[a-zA-Z0-9._-]+$/, 'the name of a service')
const time = matching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/, 'a time')

const image = object(
  { name: word, reference: word, id: word, fingerprint: text, built: yes, volumes: yes },
  { digest: word },
)

const route = object(
  { service, hosts: list(text), path: text, tls: text, ports: table(service, number) },
  {
    internal: object({ port: number, names: list(text), networks: list(word), subnets: list(text) }, {}),
    trusted: list(text),
  },
)
const slots = table(service, matching(/^[ab]$/, 'a slot'))

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
const settings = object({}, { rollout, expose: object({}, { host: list(text), port: number, path: text }) })

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
    routing: object({ routes: list(route), slots }, {}),
    served: matching(MODEL_ID, 'the model of a release'),
  },
)

const need = object({ service, condition: text, follows: yes, why: text }, {})
const hash = matching(/^[0-9a-f]{32}$/, 'the hash of a file')
const phase = matching(new RegExp(`^(${PHASES.join('|')})$`), 'a phase')

const bundle = object(
  {
    id: matching(BUNDLE_ID, 'the id of a release'),
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
    host: matching(new RegExp(`^${HOST}$`), 'the name of a host'),
    hosts: list(matching(new RegExp(`^${HOST}$`), 'the name of a host')),
    switched_at: text,
    retiring: list(service),
    journal,
    error: object({ message: text }, { hint: text, detail: text }),
    engine: object({ id: text, name: text, endpoint: text }, {}),
    actor: object({ user: text, machine: text, directory: text }, {}),
    services: table(service, settings),
    plan: object({ services: list(object({ service, action: text, why: text }, {})) }, {}),
    served_before: matching(BUNDLE_ID, 'the id of a release'),
    rollback_to: matching(BUNDLE_ID, 'the id of a release'),
    routes: list(route),
    slots,
    gaps: table(service, number),
    migrations: list(text),
  },
)

/**
 * @param id where it was found
 * @returns what keeps a value from being the bundle of that release, beginning with the place in it
 */
export function bundleProblem(value: Readonly<Record<string, unknown>>, id: string): string | undefined {
  const problem = bundle(value, '')
  if (problem !== undefined) return problem
  if (value['id'] !== id) return `id is ${JSON.stringify(value['id'])}`
  for (const key of ['served_before', 'rollback_to']) {
    const other = value[key]
    if (typeof other === 'string' && rootOf(other) >= rootOf(id)) return `${key} is not an earlier release`
  }
  return undefined
}

function rootOf(id: string): string {
  return id.replace(/\/.*/, '')
}

function matching(pattern: RegExp, what: string): Check {
  return (value, at) => (typeof value === 'string' && pattern.test(value) ? undefined : `${at} is not ${what}`)
}

function list(check: Check): Check {
  return (value, at) => {
    if (!Array.isArray(value)) return `${at} is no list`
    return first(value.entries(), (entry, index) => check(entry, `${at}[${index}]`))
  }
}

/** @param key what each key must be */
function table(key: Check, check: Check): Check {
  return (value, at) => {
    if (!isObject(value)) return `${at} is no table`
    return first(Object.entries(value), (entry, name) => {
      if (name in Object.prototype) return `${at} has the key ${name}`
      return key(name, `${at}: ${JSON.stringify(name)}`) ?? check(entry, `${at}.${name}`)
    })
  }
}

/** What it does not name is left alone, and used by nobody. */
function object(required: Record<string, Check>, optional: Record<string, Check>): Check {
  const [needed, others] = [Object.entries(required), Object.entries(optional)]
  return (value, at) => {
    if (!isObject(value)) return `${at || 'the whole'} is no table`
    const place = (key: string) => (at === '' ? key : `${at}.${key}`)
    return (
      first(needed, (check, key) => check(value[key], place(key))) ??
      first(others, (check, key) => (value[key] === undefined ? undefined : check(value[key], place(key))))
    )
  }
}

function first<K, V>(entries: Iterable<[K, V]>, check: (value: V, key: K) => string | undefined): string | undefined {
  for (const [key, value] of entries) {
    const problem = check(value, key)
    if (problem !== undefined) return problem
  }
  return undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
