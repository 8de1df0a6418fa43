import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Environment, ServiceConfig } from '../config/parse.ts'
import { scheduleOf } from '../config/services/jobs.ts'
import { NO_IMAGES, remoteName } from '../docker/images.ts'
import type { Host } from '../hosts/host.ts'
import { namingHost } from '../phases/each-host.ts'
import type { HostRequest } from '../phases/host-run.ts'
import { onEngine } from '../phases/on-engine.ts'
import type { Planning } from '../phases/rollout/planning.ts'
import { runsInRollback } from '../plan/services/jobs.ts'
import { claimHistory } from '../project/ownership.ts'
import { secretsOfRelease } from '../project/secrets/known.ts'
import { execOn, type LockedSession, openReleaseDocker, type Session } from '../project/session.ts'
import type { Project, Settings } from '../project/settings.ts'
import { contentFolder, findLive, type LiveRelease, lastLive, readBundle } from '../record/bundle.ts'
import { contentOfPart, partOn, placeOf } from '../record/bundle-parts.ts'
import { openState } from '../record/releases.ts'
import type { Release } from '../record/releases-file/format.ts'
import { chooseTarget, type RollbackRequest } from '../record/rollback-target.ts'
import { StagecraftError } from '../util/errors.ts'
import { mapConcurrently, nonEmpty } from '../util/map-concurrently.ts'
import { beforeRelease, carryOut, lookAtEngine } from './carry-out.ts'
import { refuseLostData } from './data-guard.ts'
import { lacksOfTarget } from './engine/node-images.ts'
import { fetchImage, imageGone, missingImages, presentImages, withPresentNames } from './images/target.ts'
import type { ReleaseRequest } from './request.ts'

/** A rollback that is ready to be carried out. */
export interface Rollback {
  readonly request: ReleaseRequest
  readonly target: LiveRelease
  /** migrations that ran in releases after the target; a rollback does not undo them */
  readonly migrations: readonly { readonly release: string; readonly database: string; readonly name: string }[]
}

/**
 * Chooses the release to restore and reads its bundle, not today's Compose file or env files.
 * @throws not-found (4)
 */
export function prepareRollback(settings: Settings, wish: RollbackRequest, session: Session): Rollback {
  const { environment, stateFile, hosts } = settings
  const state = openState(stateFile, { clock: () => session.clock.now() })
  const releases = state.listReleases({ environment: environment.name })
  const serving = findLive(stateFile, releases)
  const down = serving === undefined ? lastLive(stateFile, releases) : undefined
  const target = chooseTarget({ state, environment: environment.name, serving: serving?.bundle, down }, wish)
  const { version, commit_sha } = target.bundle
  const parts = nonEmpty(hosts.map((host) => partOfRollback({ ...settings, host }, { target, serving })))
  const secrets = parts.flatMap((part) => part.project.secrets)
  const project = { ...parts[0].project, hosts, secrets }
  return {
    request: { project, version: { name: version, commit: commit_sha }, state, serving, target, targets: [], parts },
    target,
    migrations: migrationsSince(stateFile, releases, target.bundle.id),
  }
}

/** @returns the target on one host. @throws not-found (4) */
function partOfRollback(
  settings: Settings,
  releases: { readonly target: LiveRelease; readonly serving: LiveRelease | undefined },
): RestoredPart {
  const { host, stateFile } = settings
  const of = (release: LiveRelease) => partOn(stateFile, release, placeOf(host, settings.hosts))
  const [target, serving] = [of(releases.target), releases.serving && of(releases.serving)]
  if (target === undefined) throw notThere(releases.target, host)
  const lost = contentOfPart(stateFile, target.bundle.id).find(
    (hash) => !existsSync(join(contentFolder(host.stateFile), hash)),
  )
  if (lost !== undefined) throw contentGone(releases.target, host)
  const rendering = { model: target.model, content: target.bundle.content, data: [] }
  const project = projectOf(settings, target, serving)
  const awaits = awaitedOf(target, project.environment)
  return {
    ...{ project, awaits, migrates: [], needed: [], serving, target, rendering },
    keepContent: () => rendering,
    images: NO_IMAGES,
  }
}

/** @returns services that wait for jobs on other hosts: only for those that the rollback runs. */
function awaitedOf({ bundle }: LiveRelease, environment: Environment): Record<string, string[]> {
  const all = Object.entries(bundle.awaits ?? {}).map(
    ([service, jobs]) => [service, jobs.filter((job) => runsInRollback(job, environment))] as const,
  )
  return Object.fromEntries(all.filter(([, jobs]) => jobs.length > 0))
}

type RestoredPart = HostRequest & { readonly target: LiveRelease }

function contentGone({ bundle }: LiveRelease, host: Host): StagecraftError {
  const where = host.isLocal ? '' : ` on ${host.name}`
  return new StagecraftError(
    'not-found',
    `Cannot roll back to ${bundle.id} (${bundle.version}): some of its files are gone${where}`,
    {
      hint: `Restore ${contentFolder(host.stateFile)} from a backup, or deploy that version again. Nothing has been changed.`,
    },
  )
}

function notThere({ bundle }: LiveRelease, { name }: Host): StagecraftError {
  return new StagecraftError(
    'not-found',
    `Cannot roll back to ${bundle.id} (${bundle.version}): it was not on ${name}`,
    {
      hint: `Deploy that version again, or remove ${name} from \`hosts\` in stagecraft.yml. Nothing has been changed.`,
    },
  )
}

/** @returns what the rollback would do, on each host. Writes nothing. @throws not-found (4) if an image is gone */
export async function planRollback({ request }: Rollback, session: Session): Promise<Planning[]> {
  await lookAtEngine(request, session)
  await refuseLostData(request, session)
  return mapConcurrently(request.parts, async (part) => {
    const docker = openReleaseDocker(part.project, session)
    const target = targetOf(part)
    const there = isOnSwarm(request) ? undefined : await presentImages(docker, target)
    if (isOnSwarm(request)) await lacksOfTarget(request, target, session)
    for (const [service, image] of there ? missingImages(there, target) : [])
      if (remoteName(image) === undefined) throw imageGone(target, service, image)
    const { name: version } = request.version
    const { rendering } = part
    const exec = execOn(part.project.host, session)
    const known = { version, rendering, images: new Map() }
    const { plan } = onEngine(part.project.environment)
    return plan(part, { docker, exec, clock: session.clock }, known).catch(
      namingHost(part.project.host, request.project.hosts),
    )
  })
}

/**
 * Makes a release of the target's bundle and carries it out. Images that an engine lacks are pulled by digest first.
 * @throws not-found (4) before a release is made, if an image is nowhere to be had
 */
export async function rollback({ request }: Rollback, session: LockedSession): Promise<Release> {
  const engine = await beforeRelease(lookAtEngine(request, session), session)
  const parts = await mapConcurrently(request.parts, async (part) => {
    const target = targetOf(part)
    if (isOnSwarm(request)) {
      const { supply } = await beforeRelease(lacksOfTarget(request, target, session), session)
      await beforeRelease(supply(), session)
      return part // what has a digest is pulled by the nodes
    }
    const docker = openReleaseDocker(part.project, session)
    let present = await beforeRelease(presentImages(docker, target), session)
    const missing = missingImages(present, target)
    for (const [service, image] of missing) await fetchImage(docker, target, service, image)
    if (missing.length > 0) present = await presentImages(docker, target)
    return { ...part, present, target: withPresentNames(present, target) }
  })
  await beforeRelease(claimHistory(request.project, request.project.model.name, session), session)
  await beforeRelease(refuseLostData(request, session), session)
  return carryOut({ ...request, engine, parts: nonEmpty(parts) }, session)
}

const isOnSwarm = ({ project }: ReleaseRequest) => project.environment.engine === 'swarm'

function targetOf({ target }: HostRequest): LiveRelease {
  if (target === undefined) throw new StagecraftError('bug', 'Cannot roll back: the target is not known')
  return target
}

/** @returns the project as it was: model, request and settings of the bundle, plus the operator's wishes of today. */
function projectOf(settings: Settings, target: LiveRelease, serving: LiveRelease | undefined): Project {
  const { model, bundle } = target
  const services = withWishes(bundle.services ?? {}, settings.environment.services)
  const secrets = [target, serving].flatMap((release) => (release ? secretsOfRelease(release) : []))
  return {
    ...settings,
    environment: { ...settings.environment, services },
    source: { directory: settings.directory, files: [], envFiles: [], project: model.name },
    model,
    topology: bundle.topology,
    variables: {},
    data: [],
    secrets,
  }
}

/** `strategy: hold` is added, and `job: {rollback: run}` is what stagecraft.yml says today; a schedule is the target's. */
function withWishes(
  then: Readonly<Record<string, ServiceConfig>>,
  now: Readonly<Record<string, ServiceConfig>>,
): Record<string, ServiceConfig> {
  const names = [...new Set([...Object.keys(then), ...Object.keys(now)])]
  const wished = names.flatMap((name) => {
    const { job: wanted, rollout: today } = now[name] ?? { rollout: {} }
    const job = typeof wanted === 'object' && wanted.rollback ? wanted : undefined
    const isHeld = today.strategy === 'hold'
    const known = then[name] ?? (isHeld ? now[name] : undefined)
    if (known === undefined && job === undefined) return []
    const { job: before, rollout, ...rest } = known ?? { rollout: {} }
    const asks = scheduleOf(before) ?? job ?? (before === undefined ? undefined : before !== false)
    const wish = asks === undefined ? {} : { job: asks }
    const held = isHeld ? { ...rollout, strategy: 'hold' as const } : rollout
    return [[name, { ...rest, ...wish, rollout: held }] as const]
  })
  return Object.fromEntries(wished)
}

function migrationsSince(stateFile: string, releases: readonly Release[], id: string) {
  const later = releases
    .slice(
      0,
      releases.findIndex((release) => release.id === id),
    )
    .toReversed()
  return later.flatMap(({ id: release }) => {
    const { migrations = [], migrating } = readBundle(stateFile, release) ?? {}
    // One that had begun when its run died may have been done.
    return [...migrations, ...(migrating ? [migrating] : [])].map(({ database, name }) => ({ release, database, name }))
  })
}
