import type { Readable } from 'node:stream'
import { childError, type Docker, type Image, verb } from './client.ts'
import { engineIsGone, noEngine } from './engine/answers.ts'
import { parseArray, parseImage, parseWhatThereIs } from './inspect.ts'

const inspect = verb(['image', 'inspect'], { readOnly: true })

/** @returns the images that the engine has, by name. @throws unreachable (8) */
export async function inspectImages(docker: Docker, names: readonly string[]): Promise<Map<string, Image>> {
  const images = new Map<string, Image>()
  const all = await inspect(docker, names)
  if (all.code === 0) {
    for (const [index, entry] of parseArray(all.stdout).entries()) images.set(names[index] ?? '', parseImage(entry))
    return images
  }
  if (engineIsGone(all.stderr)) throw noEngine(all.stderr.trim())
  if (names.length === 1) return images
  const there = names.filter((name) => !saysMissing(all.stderr, name))
  const found = parseWhatThereIs(all.stdout)
  if (found.length === there.length) return new Map(found.map((entry, at) => [there[at] ?? '', parseImage(entry)]))
  for (const name of names) for (const [key, image] of await inspectImages(docker, [name])) images.set(key, image)
  return images
}

/** The engine's words, and older clients'. */
function saysMissing(said: string, name: string): boolean {
  return said.split('\n').some((line) => line.endsWith(`No such image: ${name}`) || line.endsWith(`: ${name}:latest`))
}

/** @returns whether the engine has an image */
export async function hasImage(docker: Docker, image: string): Promise<boolean> {
  return (await inspect(docker, [image])).code === 0
}

/** @returns the layers of each image, the lowest first: one may be removed meanwhile. @throws failed (5), unreachable (8) */
export async function listLayers(docker: Docker): Promise<readonly (readonly string[] | null)[]> {
  const list = await docker.run('list images', ['image', 'ls', '-q', '--no-trunc'], { readOnly: true })
  const ids = [...new Set(list.stdout.split('\n').filter(Boolean))]
  const result = await inspect(docker, ids, { flags: { format: '{{json .RootFS.Layers}}' } })
  const errors = result.stderr.split('\n').filter((line) => line.trim() !== '')
  if (result.code !== 0 && !errors.every((line) => /no such image|: not found$/i.test(line)))
    throw childError('inspect images', result)
  return result.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

/** @returns the ids of the engine's images, by tag. @throws failed (5), unreachable (8) */
export async function listTags(docker: Docker): Promise<Map<string, string>> {
  const format = '{{.Repository}}:{{.Tag}} {{.ID}}'
  const list = await docker.run('list images', ['image', 'ls', '--no-trunc', '--format', format], { timeout: 60_000 })
  return new Map(list.stdout.split('\n').map((line) => line.split(' ') as [string, string])) // two words a line
}

export const pull = verb(['pull'])
export const addTag = verb(['tag'])
/** An image is removed with its last tag; the engine refuses while a container uses it. */
export const removeTag = verb(['rmi'])
/** Into an archive, the first operand. */
export const saveImages = verb(['save', '-o'], { outlive: 0 })

/** @throws failed (5), with a hint if the image was removed after this run saw it; unreachable (8) */
export async function tagImage(docker: Docker, image: string, tag: string): Promise<void> {
  const result = await addTag(docker, [image, tag])
  if (result.code === 0) return
  const error = childError(`tag the image of ${tag}`, result)
  if (error.kind !== 'failed' || !/no such image|not found/i.test(result.stderr)) throw error
  throw error.with({
    message: `Cannot tag ${tag}: its image was removed meanwhile`,
    hint: 'Something removes images from that engine (docker image prune -a?): pause it, then try again.',
  })
}

/** Layers that the archive lacks, or that were just removed there, are no error: compare the images. @throws failed (5), unreachable (8) */
export async function loadImages(docker: Docker, inputFrom: Readable, what: string): Promise<void> {
  const result = await docker.try(['load'], { inputFrom, outlive: 0 })
  if (result.code !== 0 && !/layer|content|blob|not found|no such|does not exist/i.test(result.stderr))
    throw childError(what, result)
}
