import { pullImages, pushImages, registryTag } from '../builds.ts'
import { inspectImages } from '../docker.ts'
import { StagecraftError } from '../errors.ts'
import { imageNames, imagesToPull } from '../images.ts'
import type { Run } from '../run.ts'

/** Makes the images present where they run: pushes what was built to the registry, pulls what the engine lacks. */
export async function push(run: Run): Promise<string> {
  const { project, targets } = run
  const notes: string[] = []
  const registry = project.config.project.registry
  if (registry !== undefined && targets.length > 0) {
    const digests = await pushImages(run, registry)
    run.digests = digests
    const pushed = (run.bundle.tags ?? []).map(({ tag, id }) => ({ tag: registryTag(registry, tag), id }))
    run.save({ tags: [...(run.bundle.tags ?? []), ...pushed] })
    notes.push(`pushed ${targets.length} to ${registry}`)
  } else notes.push('nothing to push: the engine that built the images runs them')
  const names = imageNames(project.model, targets)
  const pulls = imagesToPull(project.model, names, run.images, targets)
  await pullImages(run, pulls)
  if (pulls.length > 0) {
    notes.push(`pulled ${pulls.join(', ')}`)
    run.images = new Map([...run.images, ...(await inspectImages(run.docker, pulls))])
  }
  for (const [service, name] of names)
    if (!run.images.has(name))
      throw new StagecraftError('failed', `Cannot find the image of ${service}: the engine has no ${name}`, {
        hint: 'Its pull_policy is `never`: build or load the image first.',
      })
  return notes.join('; ')
}

/** A rollback runs the images where they are. */
export async function keepPushed(): Promise<string> {
  return 'nothing to push: the engine has the images'
}
