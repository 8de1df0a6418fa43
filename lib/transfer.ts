import * as fs from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { childError, type Docker, type Image, inspectImages } from './docker.ts'
import { programError, StagecraftError } from './errors.ts'
import type { Emit } from './events.ts'
import type { Exec } from './exec.ts'
import { fingerprint } from './images.ts'
import { inspectEachImage } from './inspect-images.ts'
import { makeScratch } from './scratch.ts'

/** From which engine images go, without a registry. */
export interface Origin {
  readonly exec: Exec
  /** this machine's engine, which built them */
  readonly from: Docker
}

/** Where they go to. */
export interface Destination {
  readonly to: Docker
  readonly emit: Emit
  /** what the host is called */
  readonly host: string
  /** what it has under these tags */
  readonly present: Images
}

/** What was sent: bytes on the way, compressed, and of the images as a whole. */
export interface Sent {
  readonly tags: readonly string[]
  readonly bytes: number
  readonly whole: number
}

/** What a host has afterwards. */
export interface Arrived {
  readonly images: ReadonlyMap<string, Image>
  readonly sent?: Sent
}

/** Sends images to hosts; what several of them lack is saved and packed once. */
export interface Transfer {
  /**
   * Brings images to a host by their tags: only the layers that it lacks travel. An engine of the classic image store opens
   * the file of a layer only where it lacks it, so the others are left out of the archive; the containerd store refuses that,
   * and gets whole images. That it is the same image there is looked at, not believed: `docker load` can fail with exit 0.
   * @returns the images as the host has them, and what was sent; absent: it had them all
   * @throws failed (5), unreachable (8)
   */
  send(destination: Destination, tags: readonly string[]): Promise<Arrived>
  close(): void
}

export function openTransfer(origin: Origin): Transfer {
  let scratch: string | undefined
  const saved = new Map<string, Promise<Saved>>()
  const saveOnce = (tags: readonly string[]): Promise<Saved> => {
    scratch ??= makeScratch('images')
    const key = tags.join(' ')
    const known = saved.get(key) ?? save(origin, tags, join(scratch, `saved-${saved.size}`))
    saved.set(key, known)
    return known
  }
  return {
    send: (destination, tags) => sendImages(origin, destination, tags, saveOnce),
    close: () => {
      if (scratch) fs.rmSync(scratch, { recursive: true, force: true })
    },
  }
}

/** Images, taken apart in a folder. */
interface Saved {
  readonly folder: string
  /** bytes of them all */
  readonly whole: number
  /** archives of it, by what is left out of them */
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
    const message = `${host} does not take images without the layers that it has: they are sent whole`
    if (left.length > 0) emit({ type: 'warning', message })
    // Once more also where nothing was left out: somebody who removes images there may have removed these.
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
        hint: 'Look at the room on its disk (docker system df), then deploy again.',
      },
    )
  return new StagecraftError(
    'failed',
    `Cannot send ${gone.join(', ')} to ${host}: twice it was gone once it was there`,
    {
      hint: 'Something removes images there (docker image prune -a?): stop it for a while, or look at the room on its disk, then deploy again.',
    },
  )
}

/** @returns the tags whose image the host does not have; the others point to it afterwards. */
async function tagPresent({ to, present: there }: Destination, tags: readonly string[], ours: Images) {
  const [missing, moved]: [string[], string[]] = [[], []]
  for (const tag of tags.filter((tag) => !isSame([tag], ours, there))) {
    const tagged = await to.try(['tag', ours.get(tag)?.id ?? '', tag])
    if (tagged.code === 0) moved.push(tag)
    else missing.push(tag)
  }
  const now = await inspectImages(to, moved)
  missing.push(...moved.filter((tag) => !isSame([tag], ours, now))) // it was removed again
  const present = [...there, ...now].filter(([tag]) => !missing.includes(tag))
  return { present: new Map(present), missing }
}

/** @returns chains of layers that an engine has, by the ids of their layers from the lowest up. */
async function layersOf(docker: Docker): Promise<Set<string>> {
  const list = await docker.run('list images', ['image', 'ls', '-q', '--no-trunc'], { asks: true })
  const ids = [...new Set(list.stdout.split('\n').filter(Boolean))]
  const layers = await inspectEachImage(docker, '{{json .RootFS.Layers}}', ids)
  return new Set(layers.flatMap((line) => chainsOf(JSON.parse(line))))
}

/** A layer is the same only on the same layers below. */
function chainsOf(layers: readonly string[] | null): string[] {
  return (layers ?? []).map((_, at, all) => all.slice(0, at + 1).join())
}

/** Saves images into a folder, an archive taken apart. */
async function save({ exec, from }: Origin, tags: readonly string[], folder: string): Promise<Saved> {
  const archive = `${folder}.tar`
  fs.mkdirSync(folder)
  try {
    await from.run(`save ${tags.join(', ')}`, ['save', '-o', archive, ...tags], { outlive: 0 })
    const { size } = fs.statSync(archive)
    const result = await exec(['tar', '-xf', archive, '-C', folder])
    if (result.code !== 0) throw programError(`unpack ${tags.join(', ')}`, result)
    return { folder, whole: size, packed: new Map() }
  } finally {
    fs.rmSync(archive, { force: true })
  }
}

/** As `docker save` writes it: https://github.com/moby/docker-image-spec, "Combined Image JSON + Filesystem Changeset" */
interface Manifest {
  readonly Config: string
  readonly Layers: readonly string[]
}

/** @returns the files of layers that the host has, unless it lacks them in another image */
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

/** @returns the archive of what was saved but for these files */
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

/** Milliseconds between two words on how far it is: what takes less needs none. */
const BETWEEN_WORDS = 5_000

/** @returns the bytes that were sent */
async function load({ to, host, emit }: Destination, archive: string): Promise<number> {
  const { size: total } = fs.statSync(archive)
  const inputFrom = fs.createReadStream(archive) // somebody who listened to its data would begin to read it
  const timer = setInterval(() => emit({ type: 'sending', host, bytes: inputFrom.bytesRead, total }), BETWEEN_WORDS)
  try {
    const result = await to.try(['load'], { inputFrom, outlive: 0 })
    // A store that refuses layers that are left out says so here, and so does one from which layers or images were just
    // removed; what there is then is looked at afterwards.
    if (result.code !== 0 && !/layer|content|blob|not found|no such|does not exist/i.test(result.stderr))
      throw childError(`load images on ${host}`, result)
    return total
  } finally {
    clearInterval(timer)
    inputFrom.destroy()
  }
}

type Images = ReadonlyMap<string, Image>

/** @returns whether the host has all of them. Ids differ between the two image stores, and then engines of other versions. */
function isSame(tags: readonly string[], ours: Images, theirs: Images): boolean {
  return tags.every((tag) => {
    const [mine, there] = [ours.get(tag), theirs.get(tag)]
    return mine !== undefined && there !== undefined && (mine.id === there.id || contentOf(mine) === contentOf(there))
  })
}

/** Newer engines leave out what is empty. */
function contentOf({ config, ...image }: Image): string {
  const said = Object.entries(config).filter(
    ([, value]) => value && !isDeepStrictEqual(value, {}) && !isDeepStrictEqual(value, []),
  )
  return fingerprint({ ...image, config: Object.fromEntries(said) })
}
