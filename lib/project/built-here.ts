import { createHash } from 'node:crypto'
import { type Docker, type Image, openDocker } from '../docker/client.ts'
import { enginePlatform } from '../docker/engine/facts.ts'
import { addTag, listTags, removeTag } from '../docker/image-store.ts'
import type { BuildTarget } from '../docker/images.ts'
import { buildsElsewhere, type Host, platformOf } from '../hosts/host.ts'
import type { Exec } from '../system/exec.ts'
import { StagecraftError } from '../util/errors.ts'
import { nonEmpty } from '../util/map-concurrently.ts'
import { ownerHere } from './ownership.ts'
import type { PrunePlan } from './prune.ts'
import { openReleaseDocker, type Session } from './session.ts'
import type { Project, Settings } from './settings.ts'

// This machine's engine builds images for environments on hosts. A tag for each environment says that it needs the image.

/** The engines of an environment's hosts, the first first; this machine's own, if it has none. */
export type Engines = readonly [Engine, ...Engine[]]

interface Engine {
  readonly host: Host
  readonly docker: Docker
}

/**
 * Opens the engine that builds. For hosts that is this machine's, which needs no environment lock, and builds for their platform.
 * @throws config (3) for hosts of different platforms, if something is built; unreachable (8)
 */
export async function openBuilder(
  project: Project,
  targets: readonly BuildTarget[],
  session: Session,
  engines = enginesOf(project, session),
): Promise<Docker> {
  const [{ docker }] = engines
  const { host } = project
  const { signal } = session
  if (!buildsElsewhere(host)) return docker
  const builder = openDocker(host.local, docker.mask, { signal })
  if (targets.length === 0) return builder
  const [here, ...platforms] = await Promise.all([
    enginePlatform(builder).catch(noBuilder),
    ...engines.map((one) => platformOf(one.host, one.docker)),
  ])
  const [there = ''] = platforms
  const other = platforms.findIndex((platform) => platform !== there)
  if (other > 0)
    throw new StagecraftError(
      'config',
      `Cannot build for ${host.name} and ${engines[other]?.host.name}: ${there} and ${platforms[other]}`,
      {
        hint: 'All hosts of an environment run the same image. Make an environment for each platform.',
      },
    )
  const forThem: Exec = (argv, options = {}) =>
    host.local(argv, { ...options, env: { ...options.env, DOCKER_DEFAULT_PLATFORM: there } })
  return here === there ? builder : openDocker(forThem, docker.mask, { signal })
}

function enginesOf(project: Project, session: Session): Engines {
  const { hosts } = project
  return nonEmpty(hosts.map((host) => ({ host, docker: openReleaseDocker({ ...project, host }, session) })))
}

function noBuilder(error: unknown): never {
  if (!(error instanceof StagecraftError)) throw error
  throw error.with({
    kind: 'unreachable',
    message: 'Cannot build here: the Docker engine of this machine does not answer',
    hint: `Images are built here and sent to the hosts. ${error.hint ?? ''}`.trim(),
  })
}

/** @returns the end of an environment's tags on an engine that only builds for it */
export function buildMark(settings: Pick<Settings, 'host' | 'stateFile' | 'environment'>): string {
  const { host, root } = ownerHere(settings)
  return createHash('sha256').update(`${host}\n${root}`).digest('hex').slice(0, 8)
}

/** Marks images as needed by an environment. @param hosts of each host, the images that were built, by name */
export async function markBuilt(
  builder: Docker,
  mark: string,
  targets: readonly BuildTarget[],
  hosts: readonly ReadonlyMap<string, Image>[],
): Promise<void> {
  for (const { versionTag } of targets) {
    const image = hosts.map((images) => images.get(versionTag)).find((found) => found !== undefined)
    if (image === undefined) continue
    const tag = markTag(versionTag, image.id, mark)
    if (!image.tags.includes(tag)) await addTag(builder, [image.id, tag], { what: `tag the image of ${versionTag}` })
  }
}

/** @returns the mark of an environment on an image of a repository */
export function markTag(tag: string, id: string, mark: string): string {
  return `${tag.replace(/:[^:/]*$/, '')}:sc-${shortId(id)}-${mark}`
}

function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12)
}

/** A content tag (lib/docker/images.ts), or the mark of an environment on hosts. */
const NEEDED = /:sc-[0-9a-f]{12}(?:-([0-9a-f]{8}))?$/

/**
 * Removes images that no release of an environment needs any more from the engine that only built them: its tags, then its marks.
 * Images that another environment has marked or runs stay, and so do those built before there were marks.
 */
export async function pruneBuilt(builder: Docker, plan: PrunePlan, mark: string): Promise<void> {
  if (plan.tags.length === 0) return
  const present = await listTags(builder)
  const marks = (id: string | undefined) =>
    [...present].flatMap(([tag, its]) =>
      its === id ? (NEEDED.exec(tag)?.[1] ?? (NEEDED.test(tag) ? ['runs'] : [])) : [],
    )
  const loose = plan.tags.filter(({ tag }) => {
    const all = marks(present.get(tag))
    return !NEEDED.test(tag) && all.length > 0 && all.every((one) => one === mark)
  })
  const kept = new Set([...plan.named].flatMap((tag) => present.get(tag) ?? []))
  const isKept = (id: string, tag: string) => kept.has(id) || plan.named.has(tag.slice(0, -mark.length - 1))
  const own = [...present].filter(([tag, id]) => NEEDED.exec(tag)?.[1] === mark && !isKept(id, tag))
  for (const tag of [...loose.map((each) => each.tag), ...own.map(([each]) => each)]) await removeTag(builder, [tag])
}
