import * as v from 'valibot'
import { servicePlan } from '../../plan/schema.ts'
import { PHASES } from '../../plan/six-phases.ts'
import { described, text } from '../../util/schema.ts'

export const phase = v.picklist(PHASES)
export const time = text('ISO 8601')
export const duration = described(v.number(), 'milliseconds')

/** Which phase is concerned. */
export const releaseStatus = v.strictObject({
  status: described(
    v.picklist(['completed', 'failed', 'running', 'pending', 'incomplete', 'interrupted']),
    '`interrupted`: its run died. `incomplete`: no run of Stagecraft leaves its phases so',
  ),
  phase: v.exactOptional(described(phase, 'the one concerned')),
})

/** One attempt to deploy one version to one environment, as releases.json records it. */
export const record = v.strictObject({
  id: text('`rel-YYYYMMDD-HHMMSSmmm` in UTC; older records may lack the three millisecond digits'),
  environment: v.string(),
  version: v.string(),
  commit_sha: text('empty outside a git repository'),
  timestamp: text('RFC 3339: any offset, up to nine fractional digits'),
  phases: described(
    v.strictObject(v.entriesFromList(PHASES, v.string())),
    '`pending`, `running`, `completed`, `failed`, `skipped`, or a status of another tool',
  ),
  previous_id: v.exactOptional(text("the environment's release before this one, completed or not")),
})

/** A record, and what follows from it. */
export const release = v.strictObject({
  ...record.entries,
  ...releaseStatus.entries,
  current: described(v.boolean(), 'the newest of its environment that completed all its phases'),
})

export const phaseRecord = v.strictObject({
  started_at: time,
  duration_ms: duration,
  note: v.exactOptional(v.string()),
})

export const migrationRecord = v.strictObject({
  database: v.string(),
  engine: v.picklist(['job', 'command', 'raw']),
  name: text("of the file, the command's text, or the service"),
  at: time,
  duration_ms: duration,
})

export const actor = v.strictObject({ user: v.string(), machine: v.string(), directory: v.string() })

const image = v.strictObject({
  name: text("for people: the Compose file's name, or the tag with the version"),
  reference: text('a tag or digest that never moves'),
  id: text('`sha256:…`'),
  fingerprint: text('equal for equal content, even if the ids differ'),
  built: v.boolean(),
  volumes: described(v.boolean(), 'the image declares a volume, so its containers hold data'),
  digest: v.exactOptional(text('`<registry>/<name>@sha256:…` once it has been pushed')),
})

const shown = v.strictObject({
  project: text('the Compose project'),
  phases: described(v.strictObject(v.entriesFromList(PHASES, v.exactOptional(phaseRecord))), 'those that have ended'),
  images: described(v.record(v.string(), image), 'by service'),
  promoted_from: v.exactOptional(
    described(
      v.strictObject({ environment: v.string(), id: v.string(), version: v.string() }),
      'the release of another environment whose images it took',
    ),
  ),
  migrations: v.exactOptional(described(v.array(migrationRecord), 'those that it ran, in order')),
  migrating: v.exactOptional(
    described(
      v.strictObject({ database: v.string(), name: v.string() }),
      'a migration that has begun, and of which it is not known that it ended',
    ),
  ),
  switched_at: v.exactOptional(text('the commit point: from then on it was live, until another one was')),
  error: v.exactOptional(
    v.strictObject({
      message: v.string(),
      hint: v.exactOptional(v.string()),
      detail: v.exactOptional(v.string()),
    }),
  ),
  actor: v.exactOptional(described(actor, 'who made it, and from where')),
  rollback_to: v.exactOptional(text('a rollback: the release that it restored')),
  changes: v.exactOptional(described(v.array(servicePlan), 'what it did to each service, and why')),
})

/** What is known about a release beyond its record: the part of its bundle that is shown. */
export const details = described(
  shown,
  'what is known beyond its record; absent: it has no bundle yet, or it was pruned',
)

const named = v.nullable(v.strictObject({ id: v.string(), version: v.string() }))

/** What programs get to know about a release: its hooks (spec/core/hooks.md), and whom it notifies (spec/core/notify.md). */
export const document = v.strictObject({
  status: v.picklist(['running', 'completed', 'failed', 'interrupted']),
  command: v.picklist(['deploy', 'rollback']),
  release,
  details: v.exactOptional(details),
  previous: described(named, 'it was live when the release began; null: none was'),
  live: described(named, 'it is live now'),
})
