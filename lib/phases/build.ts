import { buildImages } from '../builds.ts'
import { inspectImages } from '../docker.ts'
import { imageNames } from '../images.ts'
import { withContentLock } from '../lock-files.ts'
import type { Run } from '../run.ts'

/** Keeps the content files as they are now; builds every service that has `build:` and tags it with the version. */
export async function build(run: Run): Promise<string> {
  const { project, targets } = run
  withContentLock(project.stateFile, () => {
    run.save({ content: run.rendering.content }) // before it is kept: a prune removes what no bundle names
    run.rendering = run.keepContent()
  })
  if (targets.length > 0) await buildImages({ ...run, docker: run.builder })
  run.images = await findImages(run)
  if (targets.length === 0) return 'no service has a build section'
  run.save({ tags: builtTags(run) })
  return `built ${targets.map(({ service }) => service).join(', ')}`
}

/** What is built is looked for where it was built. */
async function findImages({ project, targets, docker, builder }: Run) {
  const names = [...new Set(imageNames(project.model, targets).values())]
  if (builder === docker) return inspectImages(docker, names)
  const isBuilt = (name: string) => targets.some(({ versionTag }) => versionTag === name)
  const [built, others] = await Promise.all([
    inspectImages(builder, names.filter(isBuilt)),
    inspectImages(
      docker,
      names.filter((name) => !isBuilt(name)),
    ),
  ])
  return new Map([...built, ...others])
}

export function builtTags({ targets, images }: Pick<Run, 'targets' | 'images'>) {
  return targets.map(({ versionTag }) => ({ tag: versionTag, id: images.get(versionTag)?.id ?? '' }))
}

/** A rollback builds nothing, ever: that the bundle's images are there was found out before the release was made. */
export async function checkImages({ released }: Run): Promise<string> {
  const ids = new Set(Object.values(released ?? {}).map(({ id }) => id))
  return `nothing is built: ${ids.size === 1 ? 'the image is' : `the ${ids.size} images are`} here`
}
