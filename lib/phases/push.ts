import { pullImages, pushImages, registryTag } from '../docker/build.ts'
import type { Image } from '../docker/client.ts'
import { inspectImages, tagImage } from '../docker/image-store.ts'
import { giveToOwners } from '../docker/owned-files.ts'
import { buildsElsewhere, contentStore } from '../hosts/host.ts'
import { openTransfer, type Transfer } from '../hosts/transfer.ts'
import { outputTo } from '../output/events.ts'
import { StagecraftError } from '../util/errors.ts'
import { formatBytes } from '../util/format.ts'
import { builtTags, NOTHING_BUILT, namesOf } from './build.ts'
import { onEachHost } from './each-host.ts'
import { fetchImages, type Here } from './fetch.ts'
import type { HostRequest, HostRun, ReleaseRun } from './host-run.ts'
import type { Phase } from './loop.ts'
import { sendToNodes } from './swarm/images.ts'

export const PUSH: Phase = {
  name: 'push',
  deploy: { describe: willPush, run: push },
  rollback: { describe: () => 'nothing: the engine has the images', run: keepPushed },
}

function willPush({ project: { config, host }, images: { targets } }: HostRequest): string {
  const { registry } = config.project
  if (targets.length > 0 && registry !== undefined) return `push ${namesOf(targets)} to ${registry}`
  if (!buildsElsewhere(host)) return 'nothing: the engine that builds the images runs them'
  return targets.length === 0
    ? `nothing: ${NOTHING_BUILT}`
    : `send ${namesOf(targets)} to ${host.name || 'the nodes that may run them'}`
}

/** Brings the images to their engines: pushes built ones to the registry, pulls or sends what an engine lacks. */
async function push(run: ReleaseRun): Promise<string> {
  const { project, targets, hostRuns, builder, tools } = run
  const notes: string[] = []
  const registry = project.config.project.registry
  if (registry !== undefined && targets.length > 0) {
    const input = { project, targets, docker: builder, onOutput: outputTo(tools.emit) }
    const digests = await pushImages(input, registry)
    for (const { bundle, found } of hostRuns) {
      const { tags = [] } = bundle.now
      const pushed = tags.map(({ tag, id }) => ({ tag: registryTag(registry, tag), id }))
      found.digests = digests
      bundle.save({ tags: [...tags, ...pushed] })
    }
    notes.push(`pushed ${targets.length} to ${registry}`)
  } else if (!buildsElsewhere(project.host)) notes.push('nothing to push: this engine built the images')
  const transfer = openTransfer({ exec: project.host.local, from: builder })
  try {
    const brought = await onEachHost(run, (hostRun) =>
      provide(hostRun, { transfer, builder, signal: tools.signal }, registry),
    )
    notes.push(...brought.flat())
  } finally {
    transfer.close()
  }
  return notes.join('; ')
}

/** @returns notes on what was brought to one host. @throws failed (5) for an image that is nowhere to be had */
async function provide(
  hostRun: HostRun,
  here: Here & { readonly signal: AbortSignal },
  registry: string | undefined,
): Promise<string[]> {
  const { request, tools, found } = hostRun
  const { project } = request
  const { names, built } = request.images
  const { docker } = tools
  const notes = project.host.isLocal
    ? await sendToNodes(hostRun, here.transfer, here.signal)
    : await bring(hostRun, here.transfer, registry)
  const { pulled, sent } = await fetchImages(hostRun, here)
  if (pulled.length > 0) notes.push(`pulled ${pulled.join(', ')}`)
  if (sent.length > 0) notes.push(`sent ${sent.join(', ')} from this machine to ${project.host.name}`)
  const fetched = [...pulled, ...sent]
  found.images = new Map([...found.images, ...(await inspectImages(docker, fetched))])
  for (const [service, name] of names)
    if (!found.images.has(name))
      throw new StagecraftError('failed', `Cannot find the image of ${service}: the engine has no ${name}`, {
        hint:
          fetched.includes(name) || built.has(name)
            ? 'It was there, and somebody has removed it (docker image prune -a?): disable that for now, then deploy again.'
            : 'Its pull_policy is `never`: build or load the image first.',
      })
  const [image] = found.images.values()
  const { owned } = found.rendering
  if (image && owned)
    await giveToOwners(owned, {
      docker,
      store: contentStore(project.host, true),
      project: project.model.name,
      image: image.id,
    })
  return notes
}

/** Brings built images to a host, from the registry or from the builder's engine, and creates folders for data. */
async function bring(hostRun: HostRun, transfer: Transfer, registry: string | undefined): Promise<string[]> {
  const { request, bundle, found } = hostRun
  const { host } = request.project
  const folders = host.makeFolders(found.rendering.data.flatMap(({ at }) => (at === undefined ? [] : [at])))
  folders.catch(() => {}) // thrown by the await below
  const tags = [...request.images.built]
  const { notes, images } =
    registry === undefined ? await send(hostRun, transfer, tags) : await pull(hostRun, registry, tags)
  await folders
  if (tags.length === 0) return notes
  found.images = new Map([...found.images, ...images])
  // The two kinds of image store have different ids for the same image: from here on the host's id counts.
  const others = (bundle.now.tags ?? []).filter(({ tag }) => !tags.includes(tag))
  bundle.save({ tags: [...builtTags(request.images, images), ...others] })
  return notes
}

/** Images that a host was given, with notes for people. */
interface Brought {
  readonly notes: string[]
  readonly images: ReadonlyMap<string, Image>
}

async function send({ request, tools, found }: HostRun, transfer: Transfer, tags: readonly string[]): Promise<Brought> {
  const { name } = request.project.host
  const to = { to: tools.docker, emit: tools.emit, host: name, present: found.present }
  const { images, sent } = await transfer.send(to, tags)
  const note = sent
    ? `sent ${sent.tags.length} to ${name}, ${formatBytes(sent.bytes)} of ${formatBytes(sent.whole)}`
    : `${name} has all images`
  return { notes: [note], images }
}

async function pull({ request, tools }: HostRun, registry: string, tags: readonly string[]): Promise<Brought> {
  const { docker } = tools
  const { platforms } = request.images
  for (const tag of tags) {
    await pullImages({ docker, onOutput: outputTo(tools.emit) }, [
      { name: registryTag(registry, tag), platform: platforms.get(tag) },
    ])
    await tagImage(docker, registryTag(registry, tag), tag)
  }
  return { notes: [], images: await inspectImages(docker, tags) }
}

/** A rollback pushes nothing: the engines have the images. */
async function keepPushed({ hostRuns }: ReleaseRun): Promise<string> {
  return `nothing to push: the ${hostRuns.length === 1 ? 'engine has' : 'engines have'} the images`
}
