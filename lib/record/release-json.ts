import type * as contract from '../output/contract/release.ts'
import { StagecraftError } from '../util/errors.ts'
import type { Of } from '../util/schema.ts'
import { type Bundle, liveBundle, readBundle } from './bundle.ts'
import { currentIds, statusAmong } from './release-status.ts'
import type { State } from './releases.ts'
import type { Release } from './releases-file/format.ts'

/** What is known about releases besides their records, by id. */
export interface Marks {
  readonly currents: ReadonlySet<string>
  readonly interrupted: ReadonlySet<string>
}

/** @returns a release as `--json` shows it */
export function releaseJson(release: Release, { currents, interrupted }: Marks): Of<typeof contract.release> {
  const { id, environment, version, timestamp, commit_sha, previous_id } = release
  const current = currents.has(id)
  const previous = previous_id === undefined ? {} : { previous_id }
  return {
    id,
    environment,
    version,
    ...statusAmong(release, interrupted),
    current,
    timestamp,
    commit_sha,
    phases: ownPhases(release),
    ...previous,
  }
}

/** Other tools may have phases of their own. */
function ownPhases({ phases }: Release): Release['phases'] {
  const { build, push, migrate_pre, rollout, migrate_post, finalize } = phases
  return { build, push, migrate_pre, rollout, migrate_post, finalize }
}

/** @returns the part of a bundle that `--json` shows */
export function detailsJson(bundle: Bundle): Of<typeof contract.details> {
  const { project, phases, images, promoted_from, migrations, migrating } = bundle
  const { switched_at, error, actor, plan, rollback_to } = bundle
  return {
    ...{ project, phases, images },
    ...(promoted_from && { promoted_from }),
    ...(migrations && { migrations }),
    ...(migrating && { migrating }),
    ...(switched_at === undefined ? {} : { switched_at }),
    ...(error && { error }),
    ...(actor && { actor }),
    ...(rollback_to === undefined ? {} : { rollback_to }),
    ...(plan && { changes: plan.services }),
  }
}

/** What programs get to know about a release: its hooks (spec/core/hooks.md), and whom it notifies (spec/core/notify.md). */
export interface ReleaseDocument extends Of<typeof contract.document> {
  readonly v: 1
  readonly type: 'release'
}

/** How a release ended, or that it has not yet. */
export type Ending = ReleaseDocument['status']

/** @throws state (9) if its bundle cannot be read */
export function releaseDocument(state: State, { id, environment }: Release, status: Ending): ReleaseDocument {
  const releases = state.listReleases({ environment })
  const release = releases.find((one) => one.id === id)
  if (release === undefined) throw new StagecraftError('state', `Cannot read release ${id}: it is gone`)
  const bundle = readBundle(state.file, id)
  const before = bundle?.served_before === undefined ? undefined : readBundle(state.file, bundle.served_before)
  const interrupted = new Set(status === 'interrupted' ? [id] : [])
  return {
    v: 1,
    type: 'release',
    status,
    command: bundle?.rollback_to === undefined ? 'deploy' : 'rollback',
    release: releaseJson(release, { currents: currentIds(releases), interrupted }),
    ...(bundle ? { details: detailsJson(bundle) } : {}),
    previous: named(before),
    live: named(liveBundle(state.file, releases)),
  }
}

function named(bundle: Bundle | undefined): ReleaseDocument['live'] {
  return bundle ? { id: bundle.id, version: bundle.version } : null
}
