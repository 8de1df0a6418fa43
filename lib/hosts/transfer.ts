import * as fs from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Docker, Image } from '../docker/client.ts'
import { addTag, inspectImages, listLayers, loadImages, saveImages } from '../docker/image-store.ts'
import { fingerprint } from '../docker/images.ts'
import type { Emit } from '../output/events.ts'
import type { Exec } from '../system/exec.ts'
import { makeTempFolder } from '../system/temp-folder.ts'
import { programError, StagecraftError } from '../util/errors.ts'

/** The engine that images are sent from, without a registry. */
interface Origin {
  readonly exec: Exec
  /** this machine's engine, which built them */
  readonly from: Docker
}

/** The host that images are sent to. */
interface Destination {
  readonly to: Docker
  readonly emit: Emit
  readonly host: string
  /** the images that it has under these tags */
  readonly present: Images
}

/** What was sent: `bytes` is the compressed size, `whole` that of the complete images. */
interface Sent {
  readonly tags: readonly string[]
  readonly bytes: number
  readonly whole: number
}

/** The images of a host afterwards. */
interface Arrived {
  readonly images: ReadonlyMap<string, Image>
  readonly sent?: Sent
}

/** Sends images to hosts. Images that several hosts lack are saved and packed once. */
export interface Transfer {
  /**
   * Sends images to a host, but only the layers that it lacks. An engine with the classic image store reads a layer's file only if
   * it lacks the layer, so the others are left out of the archive; the containerd store refuses such an archive, and gets whole
   * images. Afterwards the images are compared, since `docker load` can fail with exit 0.
   * @returns the host's images, and what was sent; absent: it had them all
   * @throws failed (5), unreachable (8)
   */
  send(destination: Destination, tags: readonly string[]): Promise<Arrived>
  close(): void
}

export function openTransfer(origin: Origin): Transfer {
  let folder: string | undefined
  const saved = new Map<string, Promise<Saved>>()
  const saveOnce = (tags: readonly string[]): Promise<Saved> => {
    folder ??= makeTempFolder('images')
    const key = tags.join(' ')
    const known = saved.get(key) ?? save(origin, tags, join(folder, `saved-${saved.size}`))
    saved.set(key, known)
    return known
  }
  return {
    send: (destination, tags) => sendImages(origin, destination, tags, saveOnce),
    close: () => {
      if (folder) fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Saved images, unpacked into a folder. */
interface Saved {
  readonly folder: string
  /** bytes of all images */
  readonly whole: number
  /** archives of the folder, by the files that are left out */
  readonly packed: Map<string, Promise<string>>
}

async function sendImages(
  origin: Origin,
  destination: Destination,
  tags: readonly string[],
  saveOnce: (tags: readonly string[]) => Promise<Saved>,
): Promise<Arrived> {
  const { emit, host, to } = destination
  const ours = await inspectImages(origin.from, tags)
  const { present, missing } = await tagPresent(destination, tags, ours)
  if (missing.length === 0) return { images: present }
  const saved = await saveOnce(missing)
  const left = presentFiles(saved.folder, await layersOf(to))
  let bytes = await load(destination, await packOnce(origin, saved, left))
  let theirs = await inspectImages(to, missing)
  if (!isSame(missing, ours, theirs)) {
    const message = `${host} does not accept images without the layers that it already has: they are sent whole`
    if (left.length > 0) emit({ type: 'warning', message })
    // Sent again even if nothing was left out: somebody there may have removed these images.
    bytes += await load(destination, await packOnce(origin, saved, []))
    theirs = await inspectImages(to, missing)
  }
  const sent = { tags: missing, bytes, whole: saved.whole }
  if (isSame(missing, ours, theirs)) return { images: new Map([...present, ...theirs]), sent }
  throw notArrived(host, missing, theirs)
}

function notArrived(host: string, tags: readonly string[], theirs: Images): StagecraftError {
  const gone = tags.filter((tag) => !theirs.has(tag))
  if (gone.length === 0)
    return new StagecraftError(
      'failed',
      `Cannot send ${tags.join(', ')} to ${host}: what arrived is not the same image`,
      {
        hint: 'Check its free disk space (docker system df), then deploy again.',
      },
    )
  return new StagecraftError(
    'failed',
    `Cannot send ${gone.join(', ')} to ${host}: it was removed there twice, right after it had arrived`,
    {
      hint: 'Something removes images there (docker image prune -a?): stop it for a while, or check its free disk space, then deploy again.',
    },
  )
}

/** Tags images that the host has under another name. @returns the images that it has, and the tags of the missing ones */
async function tagPresent({ to, present: there }: Destination, tags: readonly string[], ours: Images) {
  const [missing, moved]: [string[], string[]] = [[], []]
  for (const tag of tags.filter((tag) => !isSame([tag], ours, there))) {
    const tagged = await addTag(to, [ours.get(tag)?.id ?? '', tag])
    if (tagged.code === 0) moved.push(tag)
    else missing.push(tag)
  }
  const now = await inspectImages(to, moved)
  missing.push(...moved.filter((tag) => !isSame([tag], ours, now))) // removed by somebody meanwhile
  const present = [...there, ...now].filter(([tag]) => !missing.includes(tag))
  return { present: new Map(present), missing }
}

/** @returns the chains of layers that an engine has, each as the ids of its layers, the lowest first */
async function layersOf(docker: Docker): Promise<Set<string>> {
  return new Set((await listLayers(docker)).flatMap(chainsOf))
}

/** A layer counts as present only if all layers below it are the same. */
function chainsOf(layers: readonly string[] | null): string[] {
  return (layers ?? []).map((_, at, all) => all.slice(0, at + 1).join())
}

/** Saves images, and unpacks the archive into a folder. */
async function save({ exec, from }: Origin, tags: readonly string[], folder: string): Promise<Saved> {
  const archive = `${folder}.tar`
  fs.mkdirSync(folder)
  try {
    await saveImages(from, [archive, ...tags], { what: `save ${tags.join(', ')}` })
    const { size } = fs.statSync(archive)
    const result = await exec(['tar', '-xf', archive, '-C', folder])
    if (result.code !== 0) throw programError(`unpack ${tags.join(', ')}`, result)
    return { folder, whole: size, packed: new Map() }
  } finally {
    fs.rmSync(archive, { force: true })
  }
}

/** Written by `docker save`: https://github.com/moby/docker-image-spec, "Combined Image JSON + Filesystem Changeset" */
interface Manifest {
  readonly Config: string
  readonly Layers: readonly string[]
}

/** @returns the files of layers that the host has in every image that uses them */
function presentFiles(folder: string, present: ReadonlySet<string>): string[] {
  const read = (path: string) => JSON.parse(fs.readFileSync(join(folder, path), 'utf8'))
  const [there, needed] = [new Set<string>(), new Set<string>()]
  const manifests: readonly Manifest[] = read('manifest.json')
  for (const { Config, Layers } of manifests) {
    const chains = chainsOf(read(Config).rootfs.diff_ids)
    for (const [at, layer] of Layers.entries()) (present.has(chains[at] ?? '') ? there : needed).add(layer)
  }
  // Older engines write the same layer twice, the second time as a link to the first.
  return [...there].filter((layer) => !needed.has(layer)).toSorted()
}

/** @returns an archive of the saved images without these files */
function packOnce({ exec }: Origin, { folder, packed }: Saved, left: readonly string[]): Promise<string> {
  const key = left.join(' ')
  const pack = async () => {
    const archive = `${folder}-${packed.size}.tar.gz`
    const without = `${archive}.without`
    fs.writeFileSync(without, left.map((path) => `${path}\n`).join(''))
    const argv = ['tar', '-czf', archive, '-X', without, '-C', folder, ...fs.readdirSync(folder)]
    const result = await exec(argv, { env: { COPYFILE_DISABLE: '1' } })
    if (result.code !== 0) throw programError('pack the images', result)
    return archive
  }
  const known = packed.get(key) ?? pack()
  packed.set(key, known)
  return known
}

/** Milliseconds between two progress lines; a shorter transfer prints none. */
const BETWEEN_WORDS = 5_000

/** @returns the bytes that were sent */
async function load({ to, host, emit }: Destination, archive: string): Promise<number> {
  const { size: total } = fs.statSync(archive)
  const inputFrom = fs.createReadStream(archive) // no listener on `data`: that would start reading
  const timer = setInterval(() => emit({ type: 'sending', host, bytes: inputFrom.bytesRead, total }), BETWEEN_WORDS)
  try {
    await loadImages(to, inputFrom, `load images on ${host}`)
    return total
  } finally {
    clearInterval(timer)
    inputFrom.destroy()
  }
}

type Images = ReadonlyMap<string, Image>

/** @returns whether the host has the same images. Ids differ between the image stores, so the content is compared as well. */
function isSame(tags: readonly string[], ours: Images, theirs: Images): boolean {
  return tags.every((tag) => {
    const [mine, there] = [ours.get(tag), theirs.get(tag)]
    return mine !== undefined && there !== undefined && (mine.id === there.id || portable(mine) === portable(there))
  })
}

/** @returns a fingerprint without empty fields, which newer engines leave out */
export function portable({ config, ...image }: Image): string {
  const said = Object.entries(config).filter(
    ([, value]) => value && !isDeepStrictEqual(value, {}) && !isDeepStrictEqual(value, []),
  )
  return fingerprint({ ...image, config: Object.fromEntries(said) })
}
