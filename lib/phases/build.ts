import { buildImages } from '../builds.ts'
import { inspectImages } from '../docker.ts'
import { StagecraftError } from '../errors.ts'
import { imageNames } from '../images.ts'
import type { Run } from '../run.ts'

/** Keeps the content files as they are now; builds every service that has `build:` and tags it with the version. */
export async function build(run: Run): Promise<string> {
  const { project, targets } = run
  run.save({ content: run.rendering.content }) // before it is kept: a prune removes what no bundle names
  run.rendering = run.keepContent()
  if (targets.length > 0) await buildImages(run)
  const names = [...new Set(imageNames(project.model, targets).values())]
  run.images = await inspectImages(run.docker, names)
  if (targets.length === 0) return 'no service has a build section'
  run.save({ tags: builtTags(run) })
  return `built ${targets.map(({ service }) => service).join(', ')}`
}

function builtTags({ targets, images }: Run) {
  return targets.map(({ versionTag }) => ({ tag: versionTag, id: images.get(versionTag)?.id ?? '' }))
}

/** A rollback builds nothing, ever: the bundle's images are there, or it does not begin. */
export async function checkImages(run: Run): Promise<string> {
  const ids = [...new Set(Object.values(run.released ?? {}).map(({ id }) => id))]
  const present = await inspectImages(run.docker, ids)
  const gone = ids.find((id) => !present.has(id))
  if (gone !== undefined)
    throw new StagecraftError('failed', `Cannot find image ${gone}: it was here a moment ago`, {
      hint: 'Somebody removes images from this engine while you roll back.',
    })
  return `nothing is built: ${ids.length === 1 ? 'the image is' : `the ${ids.length} images are`} here`
}
