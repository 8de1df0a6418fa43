import type { Docker, Image } from '../../docker/client.ts'
import { inspectImages, pull } from '../../docker/image-store.ts'
import { byPresentNames, type ReleasedImage, remoteName } from '../../docker/images.ts'
import type { LiveRelease } from '../../record/bundle.ts'
import { StagecraftError } from '../../util/errors.ts'

// The images of a rollback's target, on one engine.

/** @returns the images of a release that the engine has, by id and by the name that its model uses. */
export function presentImages(docker: Docker, { bundle }: LiveRelease): Promise<Map<string, Image>> {
  const images = Object.values(bundle.images)
  return inspectImages(docker, [...new Set(images.flatMap(({ id, reference }) => [id, reference]))])
}

/** @returns the images that the engine lacks, by service */
export function missingImages(present: ReadonlyMap<string, Image>, { bundle }: LiveRelease): [string, ReleasedImage][] {
  return Object.entries(bundle.images).filter(([, { id }]) => !present.has(id))
}

/** @returns the release with its images by names that the engine has */
export function withPresentNames(present: ReadonlyMap<string, Image>, target: LiveRelease): LiveRelease {
  const { bundle } = target
  return { ...target, bundle: { ...bundle, images: byPresentNames(bundle.project, bundle.images, present) } }
}

/** Pulls an image by its digest. @throws not-found (4) if that does not bring it */
export async function fetchImage(
  docker: Docker,
  target: LiveRelease,
  service: string,
  image: ReleasedImage,
): Promise<void> {
  const remote = remoteName(image)
  const { platform } = target.model.services[service] ?? {}
  const pulled = remote === undefined ? undefined : await pull(docker, [remote], { flags: { platform } })
  const found = pulled?.code === 0 ? await inspectImages(docker, [image.id]) : undefined
  if (!found?.has(image.id)) throw imageGone(target, service, image, pulled?.stderr.trim())
}

/** @returns the error for an image that is nowhere to be had */
export function imageGone(
  { bundle }: LiveRelease,
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
