import { pullImages, pushImages, registryTag } from '../builds.ts'
import { type Image, inspectImages } from '../docker.ts'
import { StagecraftError } from '../errors.ts'
import { formatBytes } from '../format.ts'
import { contentStore } from '../host.ts'
import { imageNames, tagImage } from '../images.ts'
import { giveToOwners } from '../owned-files.ts'
import { platformsOf } from '../platforms.ts'
import type { Run, Site } from '../run.ts'
import { onSites } from '../sites.ts'
import { openTransfer, type Transfer } from '../transfer.ts'
import { builtTags } from './build.ts'
import { fetchImages, type Here } from './fetch.ts'

/** Makes the images present where they run: pushes what was built to the registry, pulls what an engine lacks. */
export async function push(run: Run): Promise<string> {
  const { project, targets, sites } = run
  const notes: string[] = []
  const registry = project.config.project.registry
  if (registry !== undefined && targets.length > 0) {
    const digests = await pushImages({ ...run, docker: run.builder }, registry)
    for (const site of sites) {
      const pushed = (site.bundle.tags ?? []).map(({ tag, id }) => ({ tag: registryTag(registry, tag), id }))
      site.digests = digests
      site.save({ tags: [...(site.bundle.tags ?? []), ...pushed] })
    }
    notes.push(`pushed ${targets.length} to ${registry}`)
  } else if (project.host.name === undefined) notes.push('nothing to push: the engine that built the images runs them')
  const transfer = openTransfer({ exec: project.host.local, from: run.builder })
  try {
    const brought = await onSites(run, (site) => provide(site, { transfer, builder: run.builder }, registry))
    notes.push(...brought.flat())
  } finally {
    transfer.close()
  }
  return notes.join('; ')
}

/** @returns what was brought to one host */
async function provide(site: Site, here: Here, registry: string | undefined): Promise<string[]> {
  const { project, targets } = site
  const notes = project.host.name === undefined ? [] : await bring(site, here.transfer, registry)
  const names = imageNames(project.model, targets)
  const { pulled, sent } = await fetchImages(site, here)
  if (pulled.length > 0) notes.push(`pulled ${pulled.join(', ')}`)
  if (sent.length > 0) notes.push(`sent ${sent.join(', ')} from this machine to ${project.host.name}`)
  const fetched = [...pulled, ...sent]
  site.images = new Map([...site.images, ...(await inspectImages(site.docker, fetched))])
  for (const [service, name] of names)
    if (!site.images.has(name))
      throw new StagecraftError('failed', `Cannot find the image of ${service}: the engine has no ${name}`, {
        hint:
          fetched.includes(name) || targets.some(({ versionTag }) => versionTag === name)
            ? 'It was there, and somebody has removed it (docker image prune -a?): stop that for a while, then deploy again.'
            : 'Its pull_policy is `never`: build or load the image first.',
      })
  const [image] = site.images.values()
  if (image && site.rendering.owned)
    await giveToOwners(site.rendering.owned, {
      docker: site.docker,
      store: contentStore(project.host, true),
      project: project.model.name,
      image: image.id,
    })
  return notes
}

/** Images from the registry, or from the engine that built them; folders for data. */
async function bring(site: Site, transfer: Transfer, registry: string | undefined): Promise<string[]> {
  const { project, targets, rendering } = site
  const { host } = project
  const folders = host.makeFolders(rendering.data.flatMap(({ at }) => (at === undefined ? [] : [at])))
  folders.catch(() => {}) // told below
  const tags = targets.map(({ versionTag }) => versionTag)
  const { notes, images } = registry === undefined ? await send(site, transfer, tags) : await pull(site, registry, tags)
  await folders
  if (tags.length === 0) return notes
  site.images = new Map([...site.images, ...images])
  // The two image stores have different ids for the same image: what counts from here on is the host's.
  const others = (site.bundle.tags ?? []).filter(({ tag }) => !tags.includes(tag))
  site.save({ tags: [...builtTags({ targets, images }), ...others] })
  return notes
}

/** What a host was given, for people, and its images. */
interface Brought {
  readonly notes: string[]
  readonly images: ReadonlyMap<string, Image>
}

async function send(
  { project, docker, emit, present }: Site,
  transfer: Transfer,
  tags: readonly string[],
): Promise<Brought> {
  const { name = '' } = project.host
  const { images, sent } = await transfer.send({ to: docker, emit, host: name, present }, tags)
  const note = sent
    ? `sent ${sent.tags.length} to ${name}, ${formatBytes(sent.bytes)} of ${formatBytes(sent.whole)}`
    : `${name} has all images`
  return { notes: [note], images }
}

async function pull(site: Site, registry: string, tags: readonly string[]): Promise<Brought> {
  const { model } = site.project
  const platforms = platformsOf(model, imageNames(model, site.targets))
  for (const tag of tags) {
    await pullImages(site, [{ name: registryTag(registry, tag), platform: platforms.get(tag) }])
    await tagImage(site.docker, registryTag(registry, tag), tag)
  }
  return { notes: [], images: await inspectImages(site.docker, tags) }
}

/** A rollback runs the images where they are. */
export async function keepPushed({ sites }: Run): Promise<string> {
  return `nothing to push: the ${sites.length === 1 ? 'engine has' : 'engines have'} the images`
}
