import type { Image } from '../../docker/client.ts'
import { addTag, inspectImages } from '../../docker/image-store.ts'
import { contentTag } from '../../docker/images.ts'
import type { Transfer } from '../../hosts/transfer.ts'
import { buildMark, markTag } from '../../project/built-here.ts'
import { findImageNodes } from '../../project/engine/nodes.ts'
import { formatBytes } from '../../util/format.ts'
import { mapConcurrently } from '../../util/map-concurrently.ts'
import type { HostRequest, HostRun } from '../host-run.ts'

/** The services whose images no registry has: those that are built. */
export function sentServices({ project, images: { names, built } }: HostRequest): string[] {
  if (project.config.project.registry !== undefined) return []
  return [...names].flatMap(([service, name]) => (built.has(name) ? [service] : []))
}

/**
 * Sends built images to all nodes that may run them, and sets what they are called there.
 * @returns notes for people @throws config (3) for a node that cannot be given them, failed (5), unreachable (8)
 */
export async function sendToNodes(hostRun: HostRun, transfer: Transfer, signal: AbortSignal): Promise<string[]> {
  const { request, tools, found } = hostRun
  const { project, images } = request
  const services = sentServices(request)
  if (services.length === 0 || project.host.nodes === undefined) return []
  const { docker, emit } = tools
  const question = { host: project.host, model: project.model, services, docker, emit, signal }
  const nodes = await findImageNodes(question)
  const mark = buildMark(project)
  const own = (service: string): { name: string; image: Image; tag: string } | undefined => {
    const name = images.names.get(service) ?? ''
    const image = found.images.get(name)
    return image && { name, image, tag: markTag(name, image.id, mark) }
  }
  const arrived = await mapConcurrently(nodes, async (node) => {
    const tags = [...new Set(node.services.flatMap((service) => own(service)?.tag ?? []))]
    const present = await inspectImages(node.docker, tags)
    const result = await transfer.send({ to: node.docker, emit, host: node.name, present }, tags)
    return { ...result, node }
  })
  const onNodes: Record<string, string> = {}
  for (const service of services) {
    const mine = own(service)
    if (mine === undefined) continue
    const there = arrived.flatMap(({ images: has }) => has.get(mine.tag) ?? [])
    const isOne = new Set(there.map(({ id }) => id)).size === 1
    const image = (isOne ? there[0] : undefined) ?? mine.image
    const tag = contentTag(project.model.name, service, image.id)
    for (const { node } of arrived.filter((each) => each.node.services.includes(service)))
      await addTag(node.docker, [mine.tag, tag], { what: `tag the image of ${service} on ${node.name}` })
    onNodes[service] = isOne ? image.id : tag
    found.images = new Map([...found.images, [mine.name, image]])
  }
  found.onNodes = onNodes
  const sent = arrived.flatMap(({ sent: one, node }) =>
    one ? [`sent ${one.tags.length} to ${node.name}, ${formatBytes(one.bytes)} of ${formatBytes(one.whole)}`] : [],
  )
  return sent.length > 0
    ? sent
    : [`${nodes.length === 1 ? nodes[0]?.name : 'the nodes'} ${nodes.length === 1 ? 'has' : 'have'} all images`]
}
