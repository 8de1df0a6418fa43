import { createHash } from 'node:crypto'
import type { Build, ComposeModel, Service } from '../compose/model.ts'
import { canonical } from '../util/canonical.ts'
import type { Docker, Image } from './client.ts'
import { inspectImages, tagImage } from './image-store.ts'
import { forPlatforms, platformsOf } from './platforms.ts'

/** The image of one service in a release. */
export interface ReleasedImage {
  /** for people: the Compose file's name, or the tag with the version */
  readonly name: string
  /** for the model: a tag or digest that never moves */
  readonly reference: string
  /** the image's id, `sha256:…` */
  readonly id: string
  /** equal for equal content, even if the ids differ: see `fingerprint` */
  readonly fingerprint: string
  readonly built: boolean
  /** the image declares a volume, so its containers hold data */
  readonly volumes: boolean
  /** `<registry>/<name>@sha256:…` once it has been pushed */
  readonly digest?: string
}

/** What `docker compose build` builds, and the name of the result. */
export interface BuildTarget {
  readonly service: string
  /** `<compose project>-<service>:<version>`: for people; it may move */
  readonly versionTag: string
}

/** The images that the services of a model run, before they are known by content. */
export interface ModelImages {
  /** those that are built */
  readonly targets: readonly BuildTarget[]
  /** their version tags */
  readonly built: ReadonlySet<string>
  /** the engine's name of each service's image; a service without `build:` may run another one's built image */
  readonly names: ReadonlyMap<string, string>
  /** by name, the platforms that services ask for; without one, the engine chooses */
  readonly platforms: ReadonlyMap<string, string>
}

/** Of a rollback, which takes its images from its target's bundle: it builds, pulls and sends none. */
export const NO_IMAGES: ModelImages = { targets: [], built: new Set(), names: new Map(), platforms: new Map() }

/** @throws config (3) if two services want the same image for different platforms */
export function modelImages(model: ComposeModel, version: string): ModelImages {
  const targets = buildTargets(model, version)
  const names = imageNames(model, targets)
  const built = new Set(targets.map(({ versionTag }) => versionTag))
  return { targets, built, names, platforms: platformsOf(model, names) }
}

/** @returns the services with `build:`, in order of name. */
export function buildTargets(model: ComposeModel, version: string): BuildTarget[] {
  return Object.keys(model.services)
    .filter((service) => model.services[service]?.build)
    .toSorted()
    .map((service) => ({ service, versionTag: `${imageRepository(model.name, service)}:${version}` }))
}

/** @returns the model for `docker compose build`: the user's own image name stays, the version is an additional tag. */
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

/** As in `docker compose up`: build for one platform, the service's or the builder's. Compose refuses one that is not listed. */
function forOnePlatform({ platforms, ...build }: Build, platform: string | undefined): Build {
  if (platforms === undefined || platforms.length <= 1) return { ...build, ...(platforms ? { platforms } : {}) }
  if (platform === undefined) return build
  return { ...build, platforms: platforms.includes(platform) ? [platform] : platforms }
}

/**
 * @returns the engine's name for the image of each service. A service without `build:` may use another one's built image, by
 * the name in that one's `image:`
 */
function imageNames(model: ComposeModel, targets: readonly BuildTarget[]): Map<string, string> {
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

/** An image to pull, for the platform that its services ask for. */
export interface Pull {
  readonly name: string
  readonly platform: string | undefined
}

/**
 * @returns images that must be fetched before they can run: those that the engine lacks, or has for another platform, and
 * those with `pull_policy: always`.
 */
export function imagesToPull(
  model: ComposeModel,
  { built, names, platforms }: ModelImages,
  present: ReadonlyMap<string, Image>,
): Pull[] {
  const there = forPlatforms(present, platforms)
  const wanted = [...names].filter(([service, name]) => {
    if (built.has(name)) return false
    const policy = model.services[service]?.pull_policy
    return policy === 'always' || (!there.has(name) && policy !== 'never')
  })
  const pulled = [...new Set(wanted.map(([, name]) => name))].toSorted()
  return pulled.map((name) => ({ name, platform: platforms.get(name) }))
}

/** @returns what a release records about an image of the engine. */
export function releasedImage(
  image: Image,
  facts: { name: string; project: string; service: string; built: boolean },
): ReleasedImage {
  const repository = facts.name.split('@')[0]?.replace(/:[^/]*$/, '') ?? ''
  const digest = facts.built ? undefined : image.digests.find((entry) => entry.startsWith(`${repository}@`))
  return {
    name: facts.name,
    reference: digest ?? contentTag(facts.project, facts.service, image.id),
    id: image.id,
    fingerprint: fingerprint(image),
    built: facts.built,
    volumes: Object.keys(image.config['Volumes'] ?? {}).length > 0,
  }
}

/**
 * Tags each image, which keeps it on the engine while a release needs it.
 * @param known images of the engine that this run has just inspected
 * @throws failed (5), unreachable (8)
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

/** @returns the registry's name for exactly this image, if it is known. */
export function remoteName({ digest, reference }: ReleasedImage): string | undefined {
  return digest ?? (reference.includes('@sha256:') ? reference : undefined)
}

/**
 * An engine forgets a digest with the last tag of its repository (`docker rmi postgres:16`), but keeps the image by its
 * content tag.
 * @returns the images, referred to by names that the engine has, or will have after `keepImages`
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

/** @returns `<compose project>-<service>:sc-<12 of the id>`: it names the content, so it never moves. */
export function contentTag(project: string, service: string, id: string): string {
  return `${imageRepository(project, service)}:sc-${id.replace(/^sha256:/, '').slice(0, 12)}`
}

/** A path component of a repository, after the distribution reference grammar. */
const COMPONENT = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$/

/**
 * @returns the repository that Compose uses for a built image. Service names may have characters that a repository's may not:
 * those get a hash, so that no two services share one.
 */
export function imageRepository(project: string, service: string): string {
  const name = `${project}-${service}`
  if (COMPONENT.test(name)) return name
  const words = name.toLowerCase().match(/[a-z0-9]+/g) ?? []
  return `${words.join('-')}-${createHash('sha256').update(name).digest('hex').slice(0, 8)}`
}

/**
 * @returns a hash that is equal for equal content: of layers and configuration, without what a rebuild changes for no reason
 * (created, history; legacy builders' own fields; the labels in which Compose notes who built it).
 */
export function fingerprint(image: Image): string {
  const { Hostname: _h, Domainname: _d, Image: _i, ContainerConfig: _c, Labels, ...config } = image.config
  const labels = Object.entries(Labels ?? {}).filter(([name]) => !name.startsWith('com.docker.compose.'))
  const parts = [image.layers, image.platform, canonical(config), canonical(Object.fromEntries(labels))]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}
