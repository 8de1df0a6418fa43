import { type Bundle, bundleIds, findServing, readBundle } from './bundle.ts'
import { hasJournal, partOn, placeOf } from './bundle-parts.ts'
import { type Copy, compareCopies } from './copies.ts'
import { StagecraftError } from './errors.ts'
import type { Exec } from './exec.ts'
import type { LockState } from './lock.ts'
import { onEach } from './on-each.ts'
import type { Settings } from './project.ts'
import { findInterrupted, isUnfinished, type ReleaseStatus, statusAmong } from './release-status.ts'
import { openState, type Release } from './state.ts'
import { type History, observe, type Seen } from './status-engine.ts'
import type { ServiceStatus } from './status-services.ts'

/** Something that is not as the serving release has it. */
export interface Drift {
  readonly kind: 'service' | 'network' | 'container' | 'route' | 'proxy'
  readonly name: string
  readonly why: string
  /** which of several */
  readonly host?: string
}

/** A release whose run died, or failed and left something behind, and what the next run will do about it. */
export interface Interrupted extends ReleaseStatus {
  readonly id: string
  readonly version: string
  /** `finish`: it serves already */
  readonly next: 'undo' | 'finish'
}

export interface Serving {
  readonly id: string
  readonly version: string
  /** ISO 8601 */
  readonly since: string
}

/** What should run in an environment, and what runs. */
export interface EnvironmentStatus {
  readonly environment: string
  readonly serving: Serving | undefined
  /** of the serving release, on those hosts whose engine answered; undefined: none did */
  readonly services: readonly ServiceStatus[] | undefined
  readonly drift: readonly Drift[]
  readonly interrupted: readonly Interrupted[]
  /** a run is at work on it now */
  readonly underWay: { readonly release: Release; readonly status: ReleaseStatus } | undefined
  readonly lock: LockState
  /** of this environment, newest first */
  readonly releases: readonly Release[]
  /** ids of those whose run died */
  readonly interruptedIds: ReadonlySet<string>
  /** why nothing is known of what runs, or not of what runs on these hosts */
  readonly engineError: StagecraftError | undefined
  readonly silent: readonly string[]
  /** what the serving release has copies of */
  readonly copies: readonly Copy[]
}

/** A host that cannot be used now. */
export interface Unusable {
  readonly host: string
  readonly error: StagecraftError
}

export interface StatusWorld {
  readonly exec: Exec
  /** milliseconds since the epoch */
  readonly clock: () => number
}

/**
 * Holds what runs against the serving release. Reads the state, that release's bundle and the engine, never the Compose
 * file; takes no lock and waits for none.
 * @throws state (9). An engine that does not answer is part of the result
 */
export async function environmentStatus(
  settings: Settings,
  world: StatusWorld,
  unusable: readonly Unusable[] = [],
): Promise<EnvironmentStatus> {
  const { environment, host, hosts, stateFile } = settings
  const state = openState(stateFile, { clock: world.clock })
  const releases = state.listReleases({ environment: environment.name })
  const lock = host.readLock(environment.name)
  const dead = findInterrupted(releases, { releases: () => state.history(), lock: () => lock })
  const serving = findServing(stateFile, releases)
  const history: History = { stateFile, releases, dead, serving }
  const several = hosts.length + unusable.length > 1
  const seen = await onEach(hosts, async (one) => {
    const place = placeOf(one, hosts)
    const own = { ...history, serving: serving && partOn(stateFile, serving, place) }
    const exec = one.name === undefined ? world.exec : one.exec
    const found = await observe({ ...settings, host: one }, own, { ...world, exec })
    return several && !(found instanceof StagecraftError) ? onHost(found, one.name ?? '') : found
  })
  const silent = [
    ...seen.flatMap((found, at) =>
      found instanceof StagecraftError ? [{ host: hosts[at]?.name ?? '', error: found }] : [],
    ),
    ...unusable,
  ]
  const known = seen.flatMap((found) => (found instanceof StagecraftError ? [] : [found]))
  const status = {
    environment: environment.name,
    serving: serving && servingOf(serving.bundle),
    interrupted: findUnsettled(history),
    underWay: underWay(releases, dead),
    ...{ lock, releases, interruptedIds: dead },
  }
  return {
    ...status,
    services: known.length === 0 ? undefined : known.flatMap(({ services }) => services),
    drift: known.flatMap(({ drift }) => drift),
    engineError: silent[0]?.error,
    silent: silent.map((each) => each.host),
    copies: serving ? compareCopies(stateFile, serving.bundle, settings.directory) : [],
  }
}

function onHost({ services, drift }: Seen, host: string): Seen {
  return { services: services.map((one) => ({ ...one, host })), drift: drift.map((one) => ({ ...one, host })) }
}

/** @returns whether it is healthy and as released, and nothing is left half done. */
export function isAsReleased({ serving, services, silent, drift, interrupted }: EnvironmentStatus): boolean {
  const known = serving !== undefined && services !== undefined && silent.length === 0
  return known && drift.length === 0 && interrupted.length === 0
}

function servingOf({ id, version, switched_at: since = '' }: Bundle): Serving {
  return { id, version, since }
}

/** @returns what has something left to undo or to finish, as the next run will see it. Nothing older than what serves has. */
function findUnsettled({ stateFile, releases, dead, serving }: History): Interrupted[] {
  const kept = new Set(bundleIds(stateFile))
  const served = releases.findIndex(({ id }) => id === serving?.bundle.id)
  return releases.flatMap((release, at): Interrupted[] => {
    const { id, version } = release
    const status = statusAmong(release, dead)
    const isOver = !isUnfinished(status) && status.status !== 'interrupted'
    const bundle = kept.has(id) && (at <= served || served < 0) ? readBundle(stateFile, id) : undefined
    if (!dead.has(id) && !(isOver && bundle && hasJournal(stateFile, bundle))) return []
    return [{ id, version, ...status, next: bundle?.switched_at === undefined ? 'undo' : 'finish' }]
  })
}

function underWay(releases: readonly Release[], dead: ReadonlySet<string>) {
  const all = releases.map((release) => ({ release, status: statusAmong(release, dead) }))
  return all.find(({ status }) => isUnfinished(status))
}
