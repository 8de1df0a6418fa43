import { pullImages, pushImages, registryTag } from '../builds.ts'
import { inspectImages } from '../docker.ts'
import { StagecraftError } from '../errors.ts'
import { formatBytes } from '../format.ts'
import { imageNames, imagesToPull } from '../images.ts'
import type { Run } from '../run.ts'
import { sendImages } from '../transfer.ts'
import { builtTags } from './build.ts'

/** Makes the images present where they run: pushes what was built to the registry, pulls what the engine lacks. */
export async function push(run: Run): Promise<string> {
  const { project, targets } = run
  const notes: string[] = []
  const registry = project.config.project.registry
  if (registry !== undefined && targets.length > 0) {
    const digests = await pushImages({ ...run, docker: run.builder }, registry)
    run.digests = digests
    const pushed = (run.bundle.tags ?? []).map(({ tag, id }) => ({ tag: registryTag(registry, tag), id }))
    run.save({ tags: [...(run.bundle.tags ?? []), ...pushed] })
    notes.push(`pushed ${targets.length} to ${registry}`)
  } else if (project.host.name === undefined) notes.push('nothing to push: the engine that built the images runs them')
  notes.push(...(await bringToHost(run, registry)))
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

/** @returns what was brought to the host: images from the registry, or from the engine that built them; folders for data. */
async function bringToHost(run: Run, registry: string | undefined): Promise<string[]> {
  const { project, targets, docker, builder, emit } = run
  const { host } = project
  if (host.name === undefined) return []
  const data = run.rendering.data.flatMap(({ at }) => (at === undefined ? [] : [at]))
  const folders = host.makeFolders(data)
  const tags = targets.map(({ versionTag }) => versionTag)
  const notes: string[] = []
  if (registry !== undefined)
    for (const tag of tags) {
      await pullImages(run, [registryTag(registry, tag)])
      await docker.run(`tag ${tag}`, ['tag', registryTag(registry, tag), tag])
    }
  else {
    const sent = await sendImages({ exec: host.local, from: builder, to: docker, emit, host: host.name }, tags)
    notes.push(
      sent
        ? `sent ${sent.tags.length} to ${host.name}, ${formatBytes(sent.bytes)} of ${formatBytes(sent.whole)}`
        : `${host.name} has all images`,
    )
  }
  await folders
  if (tags.length === 0) return notes
  const images = await inspectImages(docker, tags)
  run.images = new Map([...run.images, ...images])
  // The two image stores have different ids for the same image: what counts from here on is the host's.
  const others = (run.bundle.tags ?? []).filter(({ tag }) => !tags.includes(tag))
  run.save({ tags: [...builtTags({ targets, images }), ...others] })
  return notes
}

/** A rollback runs the images where they are. */
export async function keepPushed(): Promise<string> {
  return 'nothing to push: the engine has the images'
}
