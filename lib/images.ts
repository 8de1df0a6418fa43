import { createHash } from 'node:crypto'
import { canonical } from './canonical.ts'
import type { Build, ComposeModel, Service } from './compose.ts'
import { childError, type Docker, type Image, inspectImages } from './docker.ts'
import { StagecraftError } from './errors.ts'
import { forPlatforms, platformsOf } from './platforms.ts'

/** The image of one service in a release. */
export interface ReleasedImage {
  /** what people call it: the Compose file's name, or the tag with the version */
  readonly name: string
  /** what the model says: a tag or digest that never moves */
  readonly reference: string
  /** the image's id, `sha256:…` */
  readonly id: string
  /** equal where the content is, whatever the id: see `fingerprint` */
  readonly fingerprint: string
  readonly built: boolean
  /** containers of it hold data: the image declares a volume */
  readonly volumes: boolean
  /** where it declares them; absent: nowhere, or in a release of an earlier version */
  readonly volume_paths?: readonly string[]
  /** `<registry>/<name>@sha256:…` once it has been pushed */
  readonly digest?: string
}

/** What `docker compose build` is asked to build, and how the results are called. */
export interface BuildTarget {
  readonly service: string
  /** `<compose project>-<service>:<version>`: for people; it may move */
  readonly versionTag: string
}

/** @returns the services with `build:`, in order of name. */
export function buildTargets(model: ComposeModel, version: string): BuildTarget[] {
  return Object.keys(model.services)
    .filter((service) => model.services[service]?.build)
    .toSorted()
    .map((service) => ({ service, versionTag: `${imageRepository(model.name, service)}:${version}` }))
}

/** The model for `docker compose build`: the user's own name of the image stays, the version is one more tag. */
export function buildModel(model: ComposeModel, targets: readonly BuildTarget[]): ComposeModel {
  const services: Record<string, Service> = {}
  for (const { service, versionTag } of targets) {
    const { build, image, platform } = model.services[service] ?? {}
    const tags = [...(build?.tags ?? []), ...(image === undefined ? [] : [versionTag])]
    services[service] = {
      image: image ?? versionTag,
      ...(build ? { build: { ...forOnePlatform(build, platform), ...(tags.length > 0 ? { tags } : {}) } } : {}),
      ...(platform === undefined ? {} : { platform }),
    }
  }
  return { ...model, services }
}

/** As `docker compose up` builds: what runs has one platform, its own or the builder's. One that is not listed is refused by Compose. */
function forOnePlatform({ platforms, ...build }: Build, platform: string | undefined): Build {
  if (platforms === undefined || platforms.length <= 1) return { ...build, ...(platforms ? { platforms } : {}) }
  if (platform === undefined) return build
  return { ...build, platforms: platforms.includes(platform) ? [platform] : platforms }
}

/**
 * @returns the name under which the engine has the image of each service: a service without `build:` may use what
 * another one builds, by the name in that one's `image:`
 */
export function imageNames(model: ComposeModel, targets: readonly BuildTarget[]): Map<string, string> {
  const built = new Map(targets.map(({ service, versionTag }) => [service, versionTag]))
  const byImage = new Map(targets.map(({ service, versionTag }) => [model.services[service]?.image, versionTag]))
  byImage.delete(undefined)
  return new Map(
    Object.entries(model.services).map(([name, { image = '' }]) => [
      name,
      built.get(name) ?? byImage.get(image) ?? image,
    ]),
  )
}

/** An image to pull: by its name, for the platform that its services ask for. */
export interface Pull {
  readonly name: string
  readonly platform: string | undefined
}

/**
 * Images that must be had from elsewhere before they can run: those the engine lacks, or has for another platform, and
 * `pull_policy: always`.
 */
export function imagesToPull(
  model: ComposeModel,
  names: ReadonlyMap<string, string>,
  present: ReadonlyMap<string, Image>,
  targets: readonly BuildTarget[],
): Pull[] {
  const platforms = platformsOf(model, names)
  const there = forPlatforms(present, platforms)
  const built = new Set(targets.map(({ versionTag }) => versionTag))
  const wanted = [...names].filter(([service, name]) => {
    if (built.has(name)) return false
    const policy = model.services[service]?.pull_policy
    return policy === 'always' || (!there.has(name) && policy !== 'never')
  })
  const pulled = [...new Set(wanted.map(([, name]) => name))].toSorted()
  return pulled.map((name) => ({ name, platform: platforms.get(name) }))
}

/** @returns what a release records of an image that the engine has. */
export function releasedImage(
  image: Image,
  facts: { name: string; project: string; service: string; built: boolean },
): ReleasedImage {
  const repository = facts.name.split('@')[0]?.replace(/:[^/]*$/, '') ?? ''
  const paths = Object.keys(image.config['Volumes'] ?? {}).toSorted()
  const digest = facts.built ? undefined : image.digests.find((entry) => entry.startsWith(`${repository}@`))
  return {
    name: facts.name,
    reference: digest ?? contentTag(facts.project, facts.service, image.id),
    id: image.id,
    fingerprint: fingerprint(image),
    built: facts.built,
    volumes: paths.length > 0,
    ...(paths.length > 0 ? { volume_paths: paths } : {}),
  }
}

/**
 * Gives each image the tag that keeps it on the engine for as long as a release needs it.
 * @param known images of the engine, as this run has just seen them
 */
export async function keepImages(
  docker: Docker,
  project: string,
  images: Readonly<Record<string, ReleasedImage>>,
  known: Iterable<Image> = [],
): Promise<void> {
  const kept = new Set([...known].flatMap(({ id, tags }) => tags.map((tag) => `${id} ${tag}`)))
  const tags = Object.entries(images)
    .map(([service, image]) => ({ id: image.id, tag: contentTag(project, service, image.id) }))
    .filter(({ id, tag }) => !kept.has(`${id} ${tag}`))
  const present = await inspectImages(
    docker,
    tags.map(({ tag }) => tag),
  )
  for (const { id, tag } of tags) if (present.get(tag)?.id !== id) await tagImage(docker, id, tag)
}

/** @throws failed (5); said plainly where somebody has just removed the image: it was there when this run looked */
export async function tagImage(docker: Docker, image: string, tag: string): Promise<void> {
  const result = await docker.try(['tag', image, tag])
  if (result.code === 0) return
  const error = childError(`tag the image of ${tag}`, result)
  if (error.kind !== 'failed' || !/no such image|not found/i.test(result.stderr)) throw error
  throw new StagecraftError('failed', `Cannot tag ${tag}: its image was there, and somebody has removed it`, {
    detail: error.detail,
    hint: 'Something removes images from that engine (docker image prune -a?): stop it for a while, then try again.',
  })
}

/** @returns where a registry has exactly this image. */
export function remoteName({ digest, reference }: ReleasedImage): string | undefined {
  return digest ?? (reference.includes('@sha256:') ? reference : undefined)
}

/**
 * An engine forgets a digest with the last tag of its repository (`docker rmi postgres:16`), and keeps the image by its
 * content tag.
 * @returns the images by names that the engine has, or will have after `keepImages`
 */
export function byPresentNames(
  project: string,
  images: Readonly<Record<string, ReleasedImage>>,
  present: ReadonlyMap<string, Image>,
): Record<string, ReleasedImage> {
  const named = Object.entries(images).map(([service, image]) => {
    if (present.get(image.reference)?.id === image.id) return [service, image] as const
    const digest = remoteName(image)
    const reference = contentTag(project, service, image.id)
    return [service, { ...image, reference, ...(digest === undefined ? {} : { digest }) }] as const
  })
  return Object.fromEntries(named)
}

/** `<compose project>-<service>:sc-<12 of the id>`: says what is in it, so it never moves (design 5). */
export function contentTag(project: string, service: string, id: string): string {
  return `${imageRepository(project, service)}:sc-${id.replace(/^sha256:/, '').slice(0, 12)}`
}

/** A path component of a repository, as the distribution reference grammar has it. */
const COMPONENT = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$/

/**
 * As Compose names what it builds. Service names may hold more than a repository's: those get a hash, so that no two
 * services share one.
 */
export function imageRepository(project: string, service: string): string {
  const name = `${project}-${service}`
  if (COMPONENT.test(name)) return name
  const words = name.toLowerCase().match(/[a-z0-9]+/g) ?? []
  return `${words.join('-')}-${createHash('sha256').update(name).digest('hex').slice(0, 8)}`
}

/**
 * Equal for images of equal content: layers and configuration, without what a rebuild changes for nothing (created,
 * history; legacy builders' own fields; the labels in which Compose notes who built it).
 */
export function fingerprint(image: Image): string {
  const { Hostname: _h, Domainname: _d, Image: _i, ContainerConfig: _c, Labels, ...config } = image.config
  const labels = Object.entries(Labels ?? {}).filter(([name]) => !name.startsWith('com.docker.compose.'))
  const parts = [image.layers, image.platform, canonical(config), canonical(Object.fromEntries(labels))]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}
