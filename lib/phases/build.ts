import { buildImages } from '../builds.ts'
import { inspectImages } from '../docker.ts'
import { imageNames } from '../images.ts'
import type { Run } from '../run.ts'

/** Keeps the content files as they are now; builds every service that has `build:` and tags it with the version. */
export async function build(run: Run): Promise<string> {
  const { project, targets } = run
  run.rendering = run.keepContent()
  if (targets.length > 0) await buildImages(run)
  const names = [...new Set(imageNames(project.model, targets).values())]
  run.images = await inspectImages(run.docker, names)
  if (targets.length === 0) return 'no service has a build section'
  return `built ${targets.map(({ service }) => service).join(', ')}`
}
