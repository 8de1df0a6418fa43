import type { Docker, Image } from '../../docker/client.ts'
import { addTag, inspectImages } from '../../docker/image-store.ts'
import { contentTag, type ReleasedImage, remoteName } from '../../docker/images.ts'
import { openTransfer } from '../../hosts/transfer.ts'
import { markTag } from '../../project/built-here.ts'
import { findImageNodes, type ImageNode, type NodeQuestion } from '../../project/engine/nodes.ts'
import type { Exec } from '../../system/exec.ts'

/** Images of an earlier release, and where they may be had. */
export interface Keeping extends Omit<NodeQuestion, 'services'> {
  readonly images: Readonly<Record<string, ReleasedImage>>
  /** this machine's engine, which may have built them */
  readonly builder: Docker
  /** that of the environment, on its engine */
  readonly mark: string
  /** runs programs of this machine */
  readonly exec: Exec
}

/** An image that a node lacks. */
export interface Lack {
  readonly node: ImageNode
  readonly service: string
  readonly image: ReleasedImage
  /** an engine that has it, and its name there; undefined: none is known */
  readonly source: Source | undefined
}

interface Source {
  readonly docker: Docker
  readonly name: string
}

/** @returns the images of a release that no registry has, and that nodes which may run them lack @throws as findImageNodes */
export async function findLacks(keeping: Keeping): Promise<Lack[]> {
  const { images, model } = keeping
  const own = Object.entries(images).filter(([, image]) => image.built && remoteName(image) === undefined)
  if (own.length === 0) return []
  const nodes = await findImageNodes({ ...keeping, services: own.map(([service]) => service) })
  const tagOf = (service: string) => contentTag(model.name, service, images[service]?.id ?? '')
  const names = [...new Set(own.flatMap(([service, { reference }]) => [reference, tagOf(service)]))]
  const present = new Map<ImageNode, ReadonlyMap<string, Image>>()
  await Promise.all(nodes.map(async (node) => present.set(node, await inspectImages(node.docker, names))))
  const lacks: Lack[] = []
  for (const [service, image] of own)
    for (const node of nodes.filter((each) => each.services.includes(service)))
      if (!present.get(node)?.has(image.reference)) {
        const other = nodes.find((each) => present.get(each)?.has(tagOf(service)))
        const source = other ? { docker: other.docker, name: tagOf(service) } : await onBuilder(keeping, service, image)
        lacks.push({ node, service, image, source })
      }
  return lacks
}

async function onBuilder({ builder, model, mark }: Keeping, service: string, { id }: ReleasedImage) {
  const tag = contentTag(model.name, service, id)
  const names = [tag, markTag(tag, id, mark)]
  const found = await inspectImages(builder, names)
  const name = names.find((each) => found.get(each)?.id === id)
  return name === undefined ? undefined : { docker: builder, name }
}

/** Sends images to the nodes that lack them. @throws failed (5), unreachable (8) */
export async function supply(lacks: readonly Lack[], { exec, emit, model }: Keeping): Promise<void> {
  for (const { node, service, image, source } of lacks) {
    if (source === undefined) continue
    const transfer = openTransfer({ exec, from: source.docker })
    try {
      await transfer.send({ to: node.docker, emit, host: node.name, present: new Map() }, [source.name])
    } finally {
      transfer.close()
    }
    const tag = contentTag(model.name, service, image.id)
    await addTag(node.docker, [source.name, tag], { what: `tag the image of ${service} on ${node.name}` })
    emit({
      type: 'warning',
      message: `${node.name} did not have the image of ${service} (${image.name}): it is sent again`,
    })
  }
}
