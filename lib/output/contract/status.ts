import * as v from 'valibot'
import { described, text } from '../../util/schema.ts'
import { release, releaseStatus, time } from './release.ts'

const host = v.exactOptional(text('which of several hosts'))
const texts = v.array(v.string())
const containerState = v.picklist(['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'])

/** Who froze an environment, and why. */
export const freeze = v.strictObject({ user: v.string(), machine: v.string(), since: time, message: v.string() })

/** The run that holds an environment's lock. */
export const lockHolder = v.strictObject({
  user: v.string(),
  machine: v.string(),
  pid: v.number(),
  command: text('`deploy`, `rollback`, `prune` …'),
  release: v.exactOptional(v.string()),
  version: v.exactOptional(v.string()),
  since: time,
  run: v.exactOptional(
    text('a random id of the process: two of one machine may have the same pid in different pid namespaces'),
  ),
})

export const lock = v.strictObject({
  locked: described(v.boolean(), 'a run holds it now'),
  holder: v.exactOptional(described(lockHolder, 'unknown for an instant after it took the lock')),
  holderDied: v.exactOptional(
    described(v.literal(true), 'that run has died, and its last docker command has not ended'),
  ),
  hold: v.exactOptional(described(freeze, 'frozen by `lock hold`')),
})

export const check = v.strictObject({
  what: v.string(),
  ok: v.boolean(),
  found: v.string(),
  remedy: text('what to do about it; empty if nothing'),
})

export const database = v.strictObject({
  database: v.string(),
  engine: v.picklist(['job', 'command', 'raw']),
  strategy: v.picklist(['pre_deploy', 'post_deploy', 'manual']),
  last: v.exactOptional(
    described(
      v.strictObject({ name: v.string(), release: v.string(), at: time }),
      'the last migration that a release, or `migrate run`, recorded',
    ),
  ),
  applied: v.exactOptional(described(v.number(), 'raw: number of files that are applied')),
  pending: v.exactOptional(described(texts, 'raw: files in order. The tool of a job or command knows what is pending')),
  unfinished: v.exactOptional(text('raw: a file that was begun and is not finished')),
  problem: v.exactOptional(text('raw: why it cannot be migrated, or not be asked')),
})

/** The certificate of a public host name, as the proxy has it. */
export const certificate = v.strictObject({
  name: v.string(),
  service: v.string(),
  tls: described(v.picklist(['auto', 'internal', 'own']), '`own`: `tls: {certificate, key}`'),
  from: v.exactOptional(described(time, 'absent, as `until` and `issuer`: there is none yet')),
  until: v.exactOptional(time),
  issuer: v.exactOptional(v.string()),
  requested: v.exactOptional(described(v.literal(true), 'the proxy is asking for one now')),
  error: v.exactOptional(text('why the last attempt to get or renew it failed; absent: it did not')),
  failed_at: v.exactOptional(described(time, 'when it failed')),
  on_demand: v.exactOptional(
    described(
      v.literal(true),
      '`tls: {ask}`: of a host with a `*`, whose names get one when a visitor asks; or such a name, if it failed',
    ),
  ),
  answer: v.exactOptional(described(v.number(), 'the status that the service answers for a name of nobody')),
  problem: v.exactOptional(text('visitors are refused, or soon will be')),
  host,
})

/** A node of a Swarm. */
export const node = v.strictObject({
  name: v.string(),
  role: v.picklist(['manager', 'worker']),
  leader: v.exactOptional(described(v.literal(true), 'of the managers')),
  state: text('`ready`, `down`, `unknown`, `disconnected`'),
  availability: text('`active`; `drain`: no task runs there; `pause`: no new one'),
  engine: text('its version'),
})

export const routeStatus = v.strictObject({
  route: text('its address, for people'),
  project: v.string(),
  service: v.string(),
  live: described(v.nullable(v.picklist(['a', 'b'])), 'the slot; null: no release is live there'),
  in_flight: described(v.number(), 'requests in flight now to the live slot'),
  draining: described(v.number(), 'requests in flight now to the other slot'),
  maintenance: v.boolean(),
})

export const proxyStatus = v.strictObject({
  image: v.string(),
  state: containerState,
  since: time,
  routes: v.array(routeStatus),
})

const container = v.strictObject({
  name: v.string(),
  id: v.string(),
  image: v.strictObject({ id: v.string(), name: v.string() }),
  version: described(v.nullable(v.string()), 'of the release that has this image; null: none has'),
  state: containerState,
  exit_code: v.number(),
  health: v.picklist(['none', 'starting', 'healthy', 'unhealthy']),
  restarts: v.number(),
  started_at: v.exactOptional(text("ISO 8601, by this machine's clock; absent: it never started")),
  cpu_percent: v.exactOptional(described(v.number(), '--watch: of one processor; 200 is two processors')),
  memory_bytes: v.exactOptional(described(v.number(), '--watch: as docker counts them, without the page cache')),
})

/** What should run of a service of the live release, and what runs. */
export const service = v.strictObject({
  service: v.string(),
  host,
  job: v.boolean(),
  held: described(v.boolean(), '`strategy: hold`: no release touches it'),
  wanted: described(v.number(), 'number of containers that it was released with; 0 for a job'),
  running: v.number(),
  containers: v.array(container),
  drift: described(texts, 'how it differs from the live release, and what is wrong with it; without env values'),
})

/** A job with a schedule, and how it does (spec/core/jobs.md). */
export const schedule = v.strictObject({
  job: v.string(),
  host,
  schedule: text('when it runs, in the language of cron'),
  next: v.exactOptional(text("by the host's clock, such as `2026-11-22 03:00`; absent: nothing starts it")),
  zone: text("the host's time zone"),
  running_since: v.exactOptional(text("ISO 8601, by this machine's clock; absent: it does not run now")),
  last: v.exactOptional(
    described(
      v.strictObject({
        started_at: time,
        finished_at: time,
        exit_code: v.number(),
        duration_ms: v.number(),
        version: described(v.nullable(v.string()), 'of the release that made its container; null: it is not known'),
      }),
      'the last run that has ended; absent: there was none',
    ),
  ),
  output: v.exactOptional(described(texts, 'the last lines of a run that failed')),
  drift: described(texts, 'what is wrong with it'),
})

/** A difference between what runs and the live release. */
export const drift = v.strictObject({
  kind: v.picklist(['service', 'network', 'container', 'route', 'proxy']),
  name: v.string(),
  why: v.string(),
  host,
})

/** A release whose run died, or that failed and left something behind. */
export const interrupted = v.strictObject({
  ...releaseStatus.entries,
  id: v.string(),
  version: v.string(),
  next: described(v.picklist(['undo', 'finish']), 'what the next run will do; `finish`: it is live already'),
})

export const copy = v.strictObject({
  path: text('as it is written in the Compose file'),
  here: described(
    v.picklist(['same', 'differs', 'gone', 'unknown']),
    '`unknown`: it cannot be read, or is no longer a file or folder that a release copies',
  ),
})

export const live = v.strictObject({ id: v.string(), version: v.string(), since: time })

/** What should run in an environment, and what runs. */
export const status = v.strictObject({
  environment: v.string(),
  at: v.exactOptional(described(time, '--watch: when this was seen')),
  as_released: described(v.boolean(), 'all is healthy and as released, and no release was interrupted'),
  serving: described(v.nullable(live), 'the live release; null: none is live'),
  down: v.exactOptional(text('ISO 8601: `down` took it away then, and nothing is live since')),
  engine: described(v.picklist(['ok', 'partly', 'unreachable']), 'whether the engines of all hosts answered'),
  unreachable: v.exactOptional(described(texts, 'the hosts that did not answer')),
  services: v.array(service),
  schedules: v.exactOptional(described(v.array(schedule), 'jobs with a schedule; absent: none')),
  routes: v.exactOptional(
    described(v.array(v.strictObject({ ...routeStatus.entries, host })), '--watch: those of the live release'),
  ),
  nodes: v.exactOptional(described(v.array(node), 'of the Swarm, by name; absent: it is not on one')),
  drift: v.array(drift),
  copies: v.exactOptional(described(v.array(copy), 'files and folders of which the live release has copies')),
  databases: v.exactOptional(v.array(database)),
  certificates: v.exactOptional(described(v.array(certificate), 'in the order of the routes')),
  interrupted: v.array(interrupted),
  under_way: v.exactOptional(text('the id of the release that a run is at work on now')),
  lock,
  releases: described(v.array(release), 'the last five, newest first'),
})

/** `status --watch`: an environment that cannot be looked at now. */
export const unseen = v.strictObject({
  environment: v.string(),
  at: time,
  as_released: v.literal(false),
  engine: v.literal('unreachable'),
  error: v.strictObject({ message: v.string(), hint: v.exactOptional(v.string()) }),
})
