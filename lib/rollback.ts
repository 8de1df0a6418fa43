import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { contentFolder, findServing, readBundle, type ServingRelease } from './bundle.ts'
import { contentOfPart, partOn, placeOf } from './bundle-parts.ts'
import type { ServiceConfig } from './config.ts'
import { refuseLostData } from './data-guard.ts'
import { type Docker, type Image, inspectImages } from './docker.ts'
import { StagecraftError } from './errors.ts'
import type { Host } from './host.ts'
import { byPresentNames, type ReleasedImage, remoteName } from './images.ts'
import { secretsOfRelease } from './known-secrets.ts'
import { atLeastOne, onEach } from './on-each.ts'
import { claim } from './ownership.ts'
import type { Plan } from './plan.ts'
import { planRollout } from './planning.ts'
import type { Project, Settings } from './project.ts'
import { beforeRelease, carryOut, lookAtEngine, type Order, type Part } from './release.ts'
import { chooseTarget, type RollbackRequest } from './rollback-target.ts'
import { openState, type Release } from './state.ts'
import { execOn, type Locked, openReleaseDocker, type World } from './world.ts'

/** A rollback that is ready to go: what it puts back, and what it leaves as it is. */
export interface Rollback {
  readonly order: Order
  readonly target: ServingRelease
  /** migrations that ran in releases after the target; a rollback does not undo them */
  readonly migrations: readonly { readonly release: string; readonly name: string }[]
}

/**
 * Chooses the release to put back. Reads its bundle, and neither the Compose file nor an env file of today.
 * @throws not-found (4)
 */
export function prepareRollback(settings: Settings, request: RollbackRequest, world: World): Rollback {
  const { environment, stateFile, hosts } = settings
  const state = openState(stateFile, { clock: () => world.clock.now() })
  const releases = state.listReleases({ environment: environment.name })
  const serving = findServing(stateFile, releases)
  const target = chooseTarget({ state, environment: environment.name, serving: serving?.bundle }, request)
  const { version, commit_sha } = target.bundle
  const parts = atLeastOne(hosts.map((host) => partOfRollback({ ...settings, host }, { target, serving })))
  const secrets = parts.flatMap((part) => part.project.secrets)
  const project = { ...parts[0].project, hosts, secrets }
  return {
    order: { project, version: { version, commit_sha }, state, serving, target, targets: [], parts },
    target,
    migrations: migrationsSince(stateFile, releases, target.bundle.id),
  }
}

/** What a release was on one host. Jobs that others waited for have been done. @throws not-found (4) where it was not there */
function partOfRollback(
  settings: Settings,
  releases: { readonly target: ServingRelease; readonly serving: ServingRelease | undefined },
): PutBackPart {
  const { host, stateFile } = settings
  const of = (release: ServingRelease) => partOn(stateFile, release, placeOf(host, settings.hosts))
  const [target, serving] = [of(releases.target), releases.serving && of(releases.serving)]
  if (target === undefined) throw notThere(releases.target, host)
  const lost = contentOfPart(stateFile, target.bundle.id).find(
    (hash) => !existsSync(join(contentFolder(host.stateFile), hash)),
  )
  if (lost !== undefined) throw contentGone(releases.target, host)
  const rendering = { model: target.model, content: target.bundle.content, data: [] }
  const project = projectOf(settings, target, serving)
  return { project, awaits: {}, serving, target, rendering, keepContent: () => rendering }
}

type PutBackPart = Part & { readonly target: ServingRelease }

function contentGone({ bundle }: ServingRelease, host: Host): StagecraftError {
  const where = host.name === undefined ? '' : ` on ${host.name}`
  return new StagecraftError(
    'not-found',
    `Cannot roll back to ${bundle.id} (${bundle.version}): files of it are gone${where}`,
    {
      hint: `Put ${contentFolder(host.stateFile)} back from a backup, or deploy that version anew. Nothing has been changed.`,
    },
  )
}

function notThere({ bundle }: ServingRelease, { name }: Host): StagecraftError {
  return new StagecraftError(
    'not-found',
    `Cannot roll back to ${bundle.id} (${bundle.version}): it was not on ${name}`,
    {
      hint: `Deploy that version anew, or take ${name} out of \`hosts\` in stagecraft.yml. Nothing has been changed.`,
    },
  )
}

/** What the rollback would do, on each host. Reads; writes nothing, anywhere. @throws not-found (4) for an image that is gone */
export async function planRollback({ order }: Rollback, world: World): Promise<Plan[]> {
  await lookAtEngine(order, world)
  await refuseLostData(order, world)
  return onEach(order.parts, async (part) => {
    const docker = openReleaseDocker(part.project, world)
    const target = targetOf(part)
    for (const [service, image] of missingImages(await presentImages(docker, target), target))
      if (remoteName(image) === undefined) throw imageGone(target, service, image)
    const { version } = order.version
    const released = target.bundle.images
    const exec = execOn(part.project.host, world)
    return (await planRollout({ ...part, targets: [], released, images: new Map(), docker, exec, version })).plan
  })
}

/**
 * Makes a release of the target's bundle. An image that an engine lacks is fetched by its digest first.
 * @throws not-found (4) before a release is made, where an image is nowhere to be had
 */
export async function rollback({ order }: Rollback, world: Locked): Promise<Release> {
  const engine = await beforeRelease(lookAtEngine(order, world), world)
  const parts = await onEach(order.parts, async (part) => {
    const docker = openReleaseDocker(part.project, world)
    const target = targetOf(part)
    let present = await beforeRelease(presentImages(docker, target), world)
    const missing = missingImages(present, target)
    for (const [service, image] of missing) await fetchImage(docker, target, service, image)
    if (missing.length > 0) present = await presentImages(docker, target)
    return { ...part, target: withPresentNames(present, target) }
  })
  await beforeRelease(claim(order.project, order.project.model.name, world), world)
  await beforeRelease(refuseLostData(order, world), world)
  return carryOut({ ...order, engine, parts: atLeastOne(parts) }, world)
}

function targetOf({ target }: Part): ServingRelease {
  if (target === undefined) throw new StagecraftError('bug', 'Cannot roll back: the target is not known')
  return target
}

/** The project as it was: its model, order and settings come from the bundle. Only a `hold` of today counts as well. */
function projectOf(settings: Settings, target: ServingRelease, serving: ServingRelease | undefined): Project {
  const { model, bundle } = target
  const services = withHolds(bundle.services ?? {}, settings.environment.services)
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

function withHolds(
  then: Readonly<Record<string, ServiceConfig>>,
  now: Readonly<Record<string, ServiceConfig>>,
): Record<string, ServiceConfig> {
  const held = Object.entries(now).flatMap(([name, service]) => {
    if (service.rollout.strategy !== 'hold') return []
    const { rollout, ...rest } = then[name] ?? service
    return [[name, { ...rest, rollout: { ...rollout, strategy: 'hold' } }] as const]
  })
  return { ...then, ...Object.fromEntries(held) }
}

function migrationsSince(stateFile: string, releases: readonly Release[], id: string) {
  const later = releases
    .slice(
      0,
      releases.findIndex((release) => release.id === id),
    )
    .toReversed()
  return later.flatMap((release) =>
    (readBundle(stateFile, release.id)?.migrations ?? []).map((name) => ({ release: release.id, name })),
  )
}

/** The images of a release, by id and by the name that its model has for them, as far as the engine has them. */
function presentImages(docker: Docker, { bundle }: ServingRelease): Promise<Map<string, Image>> {
  const images = Object.values(bundle.images)
  return inspectImages(docker, [...new Set(images.flatMap(({ id, reference }) => [id, reference]))])
}

function missingImages(present: ReadonlyMap<string, Image>, { bundle }: ServingRelease): [string, ReleasedImage][] {
  return Object.entries(bundle.images).filter(([, { id }]) => !present.has(id))
}

function withPresentNames(present: ReadonlyMap<string, Image>, target: ServingRelease): ServingRelease {
  const { bundle } = target
  return { ...target, bundle: { ...bundle, images: byPresentNames(bundle.project, bundle.images, present) } }
}

async function fetchImage(
  docker: Docker,
  target: ServingRelease,
  service: string,
  image: ReleasedImage,
): Promise<void> {
  const remote = remoteName(image)
  const { platform } = target.model.services[service] ?? {}
  const flags = platform === undefined ? [] : ['--platform', platform]
  const pulled = remote === undefined ? undefined : await docker.try(['pull', ...flags, remote])
  const found = pulled?.code === 0 ? await inspectImages(docker, [image.id]) : undefined
  if (!found?.has(image.id)) throw imageGone(target, service, image, pulled?.stderr.trim())
}

function imageGone(
  { bundle }: ServingRelease,
  service: string,
  image: ReleasedImage,
  detail?: string | undefined,
): StagecraftError {
  const where = remoteName(image)
  const looked =
    where === undefined ? 'and no registry had it when it was released' : `and in the registry, as ${where}`
  return new StagecraftError(
    'not-found',
    `Cannot roll back to ${bundle.id} (${bundle.version}): the image of ${service} is gone (${image.name})`,
    { detail, hint: `Looked on the engine, as ${image.id.slice(0, 19)}, ${looked}. Nothing has been changed.` },
  )
}
