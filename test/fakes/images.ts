import { createHash } from 'node:crypto'
import type { Answer } from './answer.ts'
import type { FakeEngine } from './engine.ts'
import type { FakeImage } from './engine-state.ts'

function digestOf(content: string): string {
  return createHash('sha256').update(`digest of ${content}`).digest('hex')
}

/** An image of this content, under this name. @returns its id, which follows from content and labels */
export function addImage(
  engine: FakeEngine,
  name: string,
  content: string,
  labels: Readonly<Record<string, string>> = {},
  platform?: string,
): string {
  const id = `sha256:${createHash('sha256')
    .update(JSON.stringify([content, labels, ...(platform ? [platform] : [])]))
    .digest('hex')}`
  const volumes = engine.withVolume.has(content)
  engine.state.images[id] = { id, content, labels, volumes, ...(platform ? { platform } : {}) }
  engine.state.tags[name] = id
  return id
}

export function inspectImages(engine: FakeEngine, names: readonly string[]): Answer {
  const found = names.map((name) => engine.state.images[engine.state.tags[name] ?? name])
  const inspected = found.flatMap((image) => (image ? [inspectedImage(engine, image)] : []))
  const missing = names.filter((_, at) => found[at] === undefined)
  if (missing.length === 0) return { stdout: JSON.stringify(inspected) }
  const lines = missing.map((name) => `Error response from daemon: No such image: ${name}`)
  return { code: 1, stdout: JSON.stringify(inspected), stderr: lines.join('\n') }
}

function inspectedImage(engine: FakeEngine, { id, content, labels, volumes, platform = 'linux/amd64' }: FakeImage) {
  const names = Object.keys(engine.state.tags).filter((name) => engine.state.tags[name] === id)
  return {
    Id: id,
    RepoTags: names.filter((name) => !name.includes('@')),
    RepoDigests: names.filter((name) => name.includes('@')),
    Os: platform.split('/')[0],
    Architecture: platform.split('/')[1],
    RootFS: { Layers: [`layer of ${content}`] },
    Config: { Cmd: [content], Labels: labels, ...(volumes ? { Volumes: { '/data': {} } } : {}) },
  }
}

export function listImages(engine: FakeEngine, flags: readonly string[]): Answer {
  const format = '{{.Repository}}:{{.Tag}} {{.ID}}'
  if (flags.join(' ') !== `--no-trunc --format ${format}`) throw new Error(`unexpected: image ls ${flags.join(' ')}`)
  const lines = Object.entries(engine.state.tags).map(([name, id]) => {
    return name.includes('@') ? `${name.replace(/@.*/, '')}:<none> ${id}\n` : `${name} ${id}\n`
  })
  return { stdout: lines.join('') }
}

/** A repository's digests go with the last tag in it, the image with its last name. */
export function untag(engine: FakeEngine, tag: string): Answer {
  const { tags, images, containers } = engine.state
  const id = tags[tag]
  if (id === undefined) return { code: 1, stderr: `Error response from daemon: No such image: ${tag}` }
  const names = Object.keys(tags).filter((name) => tags[name] === id && name !== tag)
  const used = containers.some(({ image }) => image === id)
  if (used && !names.some((name) => !name.includes('@')))
    return { code: 1, stderr: `Error response from daemon: conflict: unable to remove repository reference "${tag}"` }
  delete tags[tag]
  const repository = (name: string) => name.replace(/@.*|:[^/:]*$/, '')
  const inUse = new Set(names.filter((name) => !name.includes('@')).map(repository))
  const loose = names.filter((name) => name.includes('@') && !inUse.has(repository(name)))
  for (const name of loose) delete tags[name]
  if (names.length === loose.length) delete images[id]
  return { stdout: `Untagged: ${tag}\n` }
}

export function tagImage(engine: FakeEngine, from: string, to: string): Answer {
  const id = engine.state.tags[from] ?? from
  if (engine.state.images[id] === undefined)
    return { code: 1, stderr: `Error response from daemon: No such image: ${from}` }
  engine.state.tags[to] = id
  return {}
}

export function pullImage(engine: FakeEngine, name: string, platform: string | undefined): Answer {
  const content = engine.registry[name]
  if (content === undefined)
    return { code: 1, stderr: `Error response from daemon: manifest for ${name} not found: manifest unknown` }
  const id = engine.addImage(name, content, {}, platform)
  engine.state.tags[`${name.replace(/:[^/:]*$/, '')}@sha256:${digestOf(content)}`] = id
  return { lines: [`${name}: Pulling`, `Status: Downloaded newer image for ${name}`] }
}

export function pushImage(engine: FakeEngine, name: string): Answer {
  const image = engine.state.images[engine.state.tags[name] ?? '']
  if (image === undefined) return { code: 1, stderr: `An image does not exist locally with the tag: ${name}` }
  const line = `v1: digest: sha256:${digestOf(image.content)} size: 528`
  return { stdout: `${line}\n`, lines: [line] }
}
