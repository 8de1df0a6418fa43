import { StagecraftError } from '../../util/errors.ts'
import type { Docker } from '../client.ts'
import type { Container } from '../inspect.ts'
import { create, NOBODYS } from '../lifecycle.ts'
import { ArchiveDigest } from './archive-digest.ts'

/** What comparing volumes with the image that filled them needs. */
interface Comparing {
  readonly docker: Docker
  /** not ended by a signal: it removes the container of the comparison */
  readonly undoDocker: Docker
  /** the Compose project */
  readonly project: string
}

/** The parts of a container that comparing its anonymous volumes needs. */
export type WithVolumes = Pick<Container, 'id' | 'name' | 'service' | 'image' | 'state' | 'anonymous'>

/** Compares the anonymous volumes of a container with its image's files there. @returns why they differ, or may differ */
export type Compare = (container: WithVolumes) => Promise<string | undefined>

/** The most bytes of a folder's archive. */
const MOST = 64 * 1024 * 1024
/** Milliseconds to read a service's volumes: they are read again while it is down. */
export const WITHIN = 10_000
/** Milliseconds to create a container, which fills its volumes. */
const MAKE_WITHIN = 60_000

/**
 * A container that is created from an image, and never started, shows what the image fills its volumes with.
 * @returns a function that says why data may be lost with a container's volumes, or undefined: all of it is in its image, byte
 * for byte, and no other container uses them. A running container may still write.
 */
export function openComparing({ docker, undoDocker, project }: Comparing): Compare {
  const filled = new Map<string, Promise<Read[]>>()
  const readImage = (image: string, paths: readonly string[]) => {
    const key = [image, ...paths].join('\n')
    const known = filled.get(key) ?? readFilled({ docker, undoDocker, project }, image, paths)
    filled.set(key, known)
    return known
  }
  return async ({ id, image, anonymous }) => {
    try {
      const paths = anonymous.map(({ path }) => path)
      if (await isShared(docker, id, anonymous)) return 'another container uses it too'
      const has = await readAll(docker, id, paths)
      const unread = has.find(({ why }) => why !== undefined)
      if (unread) return unread.why
      const had = await readImage(image, paths)
      const unknown = had.find(({ why }) => why !== undefined)
      if (unknown) return unknown.why
      const at = has.findIndex(({ digest }, index) => digest === undefined || digest !== had[index]?.digest)
      return at < 0 ? undefined : `somebody has written to ${paths[at]}`
    } catch (error) {
      if (!(error instanceof StagecraftError) || error.kind === 'state') throw error
      return cannotCompare(error.message)
    }
  }
}

/** The hash of a container's folder, or why there is none. */
interface Read {
  readonly digest?: string
  readonly why?: string
}

async function readAll(docker: Docker, container: string, paths: readonly string[]): Promise<Read[]> {
  const found: Read[] = []
  for (const path of paths) {
    const read = await readFolder(docker, container, path)
    found.push(read)
    if (read.why !== undefined) break
  }
  return found
}

/** The `/.` reads the target of a link instead of the link. */
async function readFolder(docker: Docker, container: string, path: string): Promise<Read> {
  const archive = new ArchiveDigest(MOST)
  const args = ['cp', `${container}:${path.replace(/\/*$/, '')}/.`, '-']
  const result = await docker.try(args, { outputTo: archive, limit: 4096, timeout: WITHIN }).catch((error: unknown) => {
    if (error instanceof StagecraftError && error.kind !== 'state') return undefined
    throw error
  })
  if (archive.isTooLarge) return { why: `${path} has more than ${MOST / 1024 / 1024} MiB to compare` }
  if (result === undefined) return { why: `it takes longer than ${WITHIN / 1000} s to compare ${path}` }
  const digest = result.code === 0 ? archive.digest() : undefined
  return digest === undefined ? { why: `${path} cannot be read: ${result.stderr.trim().split('\n')[0]}` } : { digest }
}

async function isShared(docker: Docker, id: string, volumes: Container['anonymous']): Promise<boolean> {
  const filters = volumes.flatMap(({ name }) => ['--filter', `volume=${name}`])
  const list = await docker.run('list containers', ['ps', '-aq', '--no-trunc', ...filters], { readOnly: true })
  return list.stdout.split('\n').some((line) => line !== '' && line !== id)
}

/** Creates a container of an image, with volumes at these paths, reads them, and removes container and volumes. */
async function readFilled(
  { docker, undoDocker, project }: Comparing,
  image: string,
  paths: readonly string[],
): Promise<Read[]> {
  await removeComparison(undoDocker, project) // left by a run that died
  // In the short form, a path with a colon would be the host's.
  const mount = paths.map((path) => `type=volume,"target=${path.replaceAll('"', '""')}"`)
  const label = [`stagecraft.project=${project}`, ...NOBODYS]
  const flags = { name: comparison(project), label, network: 'none', pull: 'never', mount }
  try {
    // The command is never run, but an image may have none.
    const made = await create(docker, [image, 'none'], { flags, timeout: MAKE_WITHIN })
    return made.code === 0 ? await readAll(docker, comparison(project), paths) : [{ why: cannotCompare(made.stderr) }]
  } finally {
    await removeComparison(undoDocker, project)
  }
}

function cannotCompare(said: string): string {
  return `it cannot be compared with its image: ${said.trim().split('\n')[0]}`
}

function comparison(project: string): string {
  return `stagecraft-volumes-${project}`
}

/** Removes the container of a comparison, if there is one. */
export async function removeComparison(docker: Docker, project: string): Promise<void> {
  await docker.try(['rm', '--force', '--volumes', comparison(project)])
}
