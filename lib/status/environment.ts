import { openDocker } from '../docker/client.ts'
import type { LockState } from '../lock/holder.ts'
import { readConnections, secretsOf } from '../migrations/connection.ts'
import type * as contract from '../output/contract/status.ts'
import { execOn, nodesOf } from '../project/session.ts'
import type { Settings } from '../project/settings.ts'
import { type Bundle, findLive, type LiveRelease, lastLive } from '../record/bundle.ts'
import { partOn, placeOf } from '../record/bundle-parts.ts'
import { type Copy, compareCopies } from '../record/copies.ts'
import { findInterrupted, isUnfinished, type ReleaseStatus, statusAmong } from '../record/release-status.ts'
import { openState } from '../record/releases.ts'
import type { Release } from '../record/releases-file/format.ts'
import { findUnsettled } from '../record/unsettled.ts'
import { createSecrets } from '../secrets/mask.ts'
import { StagecraftError } from '../util/errors.ts'
import { mapConcurrently } from '../util/map-concurrently.ts'
import type { Of } from '../util/schema.ts'
import type { CertificateStatus } from './certificates.ts'
import { type DatabaseStatus, databaseStatuses, isWrong } from './databases.ts'
import type { Drift, StatusWorld } from './drift.ts'
import { type History, observe, type Seen } from './observe.ts'
import type { ScheduleStatus } from './schedules/look.ts'
import type { ServiceStatus } from './services.ts'
import type { NodeStatus } from './swarm/nodes.ts'

/** A release whose run died, or that failed and left something behind, and what the next run will do about it. */
export type Interrupted = Of<typeof contract.interrupted>

/** The live release. */
type LiveSince = Of<typeof contract.live>

/** What should run in an environment, and what runs. */
export interface EnvironmentStatus {
  readonly environment: string
  readonly serving: LiveSince | undefined
  /** ISO 8601: `down` took it away then, and nothing is live since */
  readonly down?: string
  /** `down --history` has begun to remove its history, and has not ended */
  readonly forgetting?: true
  /** of the live release, on hosts whose engine answered; undefined: none did */
  readonly services: readonly ServiceStatus[] | undefined
  readonly drift: readonly Drift[]
  /** of public host names, in the order of the routes */
  readonly certificates: readonly CertificateStatus[]
  /** of the live release, on hosts that answered */
  readonly schedules: readonly ScheduleStatus[]
  /** of the Swarm; none: it is not on one, or nothing was ever rolled out */
  readonly nodes: readonly NodeStatus[]
  readonly interrupted: readonly Interrupted[]
  /** the release that a run is at work on now */
  readonly underWay: { readonly release: Release; readonly status: ReleaseStatus } | undefined
  readonly lock: LockState
  /** of this environment, newest first */
  readonly releases: readonly Release[]
  /** ids of those whose run died */
  readonly interruptedIds: ReadonlySet<string>
  /** why the `silent` hosts could not be looked at; undefined: all answered */
  readonly engineError: StagecraftError | undefined
  readonly silent: readonly string[]
  /** in the order of their names */
  readonly databases: readonly DatabaseStatus[]
  /** files and folders of which the live release has copies */
  readonly copies: readonly Copy[]
}

/** A host that cannot be used now. */
export interface Unusable {
  readonly host: string
  readonly error: StagecraftError
}

/**
 * Compares what runs with the live release. Reads the state, that release's bundle and the engine, never the Compose
 * file; takes no lock and waits for none.
 * @param extent `running`: neither databases nor copies of files are looked at
 * @throws state (9); an engine that does not answer is part of the result
 */
export async function environmentStatus(
  settings: Settings,
  world: StatusWorld,
  unusable: readonly Unusable[] = [],
  extent: 'all' | 'running' = 'all',
): Promise<EnvironmentStatus> {
  const { environment, host, hosts, stateFile } = settings
  const state = openState(stateFile, { clock: world.clock })
  const releases = state.listReleases({ environment: environment.name })
  const lock = host.readLock(environment.name)
  const dead = findInterrupted(releases, { releases: () => state.history(), lock: () => lock })
  const serving = findLive(stateFile, releases)
  const history: History = { stateFile, releases, dead, serving }
  const several = hosts.length + unusable.length > 1
  const seen = await mapConcurrently(hosts, async (one) => {
    const place = placeOf(one, hosts)
    const own = { ...history, serving: serving && partOn(stateFile, serving, place) }
    const found = await observe({ ...settings, host: one }, own, { ...world, exec: execOn(one, world) }, extent)
    return several && !(found instanceof StagecraftError) ? onHost(found, one.name) : found
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
    serving: serving && liveOf(serving.bundle),
    ...downSince(stateFile, serving, releases),
    interrupted: interruptedOf(history),
    underWay: underWay(releases, dead),
    ...{ lock, releases, interruptedIds: dead },
  }
  return {
    ...status,
    services: known.length === 0 ? undefined : known.flatMap(({ services }) => services),
    drift: known.flatMap(({ drift }) => drift),
    certificates: known.flatMap(({ certificates }) => certificates),
    schedules: known.flatMap(({ schedules }) => schedules),
    nodes: known.flatMap(({ nodes }) => nodes),
    engineError: silent[0]?.error,
    silent: silent.map((each) => each.host),
    databases: extent === 'all' ? await databasesOf(settings, history, world) : [],
    copies: serving && extent === 'all' ? compareCopies(stateFile, serving.bundle, settings.directory) : [],
  }
}

/** @returns the databases of an environment in which something was released */
async function databasesOf(settings: Settings, { serving, releases, stateFile }: History, world: StatusWorld) {
  const { environment, hosts } = settings
  if (environment.databases === undefined || serving === undefined) return []
  const secrets = createSecrets()
  const connections = await readConnections(settings)
  secrets.add(secretsOf(connections))
  const engines = hosts.map((host) =>
    openDocker(execOn(host, world), secrets.mask, { execOnNode: nodesOf(host, world) }),
  )
  const project = { ...settings, connections, model: { name: serving.bundle.project } }
  return databaseStatuses({ project, engines }, { stateFile, releases })
}

function downSince(stateFile: string, serving: LiveRelease | undefined, releases: readonly Release[]) {
  const { removed_at: down, forgetting } = (serving ? undefined : lastLive(stateFile, releases)) ?? {}
  return { ...(down === undefined ? {} : { down }), ...(forgetting ? { forgetting: true as const } : {}) }
}

function onHost({ services, drift, certificates, schedules, nodes }: Seen, host: string): Seen {
  const named = <T>(all: readonly T[]) => all.map((one) => ({ ...one, host }))
  return {
    services: named(services),
    drift: named(drift),
    certificates: named(certificates),
    schedules: named(schedules),
    nodes,
  }
}

/** @returns whether everything is healthy and as released, and no release was interrupted. */
export function isAsReleased(status: EnvironmentStatus): boolean {
  const { serving, services, silent, drift, interrupted } = status
  const known = serving !== undefined && services !== undefined && silent.length === 0
  return known && drift.length === 0 && interrupted.length === 0 && attention(status).length === 0
}

/** @returns what needs attention, though everything is as released */
export function attention({ databases, certificates }: EnvironmentStatus): string[] {
  return [
    ...(databases.some(isWrong) ? ['a database'] : []),
    ...(certificates.some(({ problem }) => problem !== undefined) ? ['a certificate'] : []),
  ]
}

function liveOf({ id, version, switched_at: since = '' }: Bundle): LiveSince {
  return { id, version, since }
}

/** @returns releases that the next run will undo or finish */
function interruptedOf({ stateFile, releases, dead }: History): Interrupted[] {
  return findUnsettled(stateFile, releases, ({ id }) => dead.has(id)).map(({ release, switched }) => {
    const { id, version } = release
    return { id, version, ...statusAmong(release, dead), next: switched ? 'finish' : 'undo' }
  })
}

function underWay(releases: readonly Release[], dead: ReadonlySet<string>) {
  const all = releases.map((release) => ({ release, status: statusAmong(release, dead) }))
  return all.find(({ status }) => isUnfinished(status))
}
