import { createHash } from 'node:crypto'
import type { Assets } from '../../config/edge/assets.ts'
import { childError, type Docker } from '../../docker/client.ts'
import type { ReleasedImage } from '../../docker/images.ts'
import { create, isGone, NOBODYS, removeForced, runOnce } from '../../docker/lifecycle.ts'
import { removeVolumes } from '../../docker/volumes/commands.ts'
import type { Result } from '../../system/exec.ts'
import { NO_PROXY } from '../api.ts'
import { findProxy } from '../container.ts'
import { LINK, MOST_FILES, MOST_KIB, MOST_SETS, NO_ASSETS, STORE, TOO_MANY } from '../inside/assets.ts'
import { inProxy } from '../inside/run.ts'

/** The assets of a service in one release. */
export interface AssetSet extends Assets {
  readonly service: string
  readonly image: Pick<ReleasedImage, 'id' | 'fingerprint'>
}

/** @returns what the proxy calls them: equal for equal images, which it keeps once */
function setName({ image, path, folder }: AssetSet): string {
  return createHash('sha256')
    .update(JSON.stringify([image.fingerprint, path, folder]))
    .digest('hex')
    .slice(0, 32)
}

/**
 * Lets the proxy answer from exactly these, all at once, and removes the files of others.
 * @param sets of all services, the newest first; none: all are removed
 * @returns those whose files it does not have: it answers from them as soon as it does; undefined if no proxy runs
 */
export async function linkAssets(
  docker: Docker,
  project: string,
  sets: readonly AssetSet[],
): Promise<readonly AssetSet[] | undefined> {
  const links = [...Map.groupBy(sets, ({ service }) => service)].flatMap(([service, own]) =>
    [...new Set(own.map(setName))].slice(0, MOST_SETS).map((name, at) => `${service}.${at}=${name}`),
  )
  const result = await inProxy(docker, 'link', LINK, [project, ...links], { changes: true })
  if (isGone(result)) return undefined
  if (result.code !== 0) throw childError('change which assets the proxy has', result)
  const missing = new Set(result.stdout.split('\n'))
  const names = sets.map(setName)
  return sets.filter((_, at) => missing.has(names[at] ?? '') && names.indexOf(names[at] ?? '') === at)
}

/** What making a set needs. */
interface Storing {
  readonly docker: Docker
  /** not ended by a signal: it removes what was made for it */
  readonly undoDocker: Docker
  /** the Compose project */
  readonly project: string
}

/**
 * Brings a folder of an image into the proxy's volume, on the engine's machine alone, and without running anything of the image:
 * it is never started. The engine fills a volume for it, of which a container of the proxy's image takes the regular files.
 * @returns why it has not been done; undefined: the proxy has the files, or a signal has ended it
 */
export async function storeAssets(
  { docker, undoDocker, project }: Storing,
  set: AssetSet,
): Promise<string | undefined> {
  const [from, to, volume] = temporaries(project)
  const proxy = await findProxy(docker)
  if (proxy === undefined) return NO_PROXY
  const mount = `type=volume,source=${volume},"target=${set.folder.replaceAll('"', '""')}"`
  const label = [`stagecraft.project=${project}`, ...NOBODYS]
  const alone = { network: 'none', pull: 'never' }
  try {
    // The command is never run, but an image may have none.
    const made = await create(docker, [set.image.id, 'none'], { flags: { name: from, label, ...alone, mount } })
    if (made.code !== 0) return said(made)
    const volumes = [`${volume}:/from:ro`, 'stagecraft-proxy-config:/config']
    const flags = { name: to, label: NOBODYS, ...alone, volume: volumes, entrypoint: '/bin/sh' }
    const below = set.path === '/' ? '' : set.path
    const words = ['-c', STORE, 'stagecraft-store', project, setName(set), below, String(MOST_KIB), String(MOST_FILES)]
    const stored = await runOnce(docker, [proxy.image, ...words], { flags })
    if (stored.code === NO_ASSETS) return `its image has no files in ${set.folder}`
    if (stored.code === TOO_MANY)
      return `${set.folder} has more than ${MOST_KIB / 1024} MiB, or more than ${MOST_FILES} files and folders`
    return stored.code === 0 ? undefined : said(stored)
  } finally {
    await removeStoring({ undoDocker, project })
  }
}

/** Removes what making a set needed, also what a run that died left. */
export async function removeStoring({ undoDocker, project }: Pick<Storing, 'undoDocker' | 'project'>): Promise<void> {
  const [from, to, volume] = temporaries(project)
  await removeForced(undoDocker, [from, to], { flags: { volumes: true } })
  await removeVolumes(undoDocker, [volume])
}

function temporaries(project: string) {
  return [
    `stagecraft-assets-from-${project}`,
    `stagecraft-assets-to-${project}`,
    `stagecraft-assets-of-${project}`,
  ] as const
}

/** @throws unreachable (8) */
function said(result: Result): string | undefined {
  const error = childError('keep assets', result)
  if (error.kind !== 'failed') throw error
  if (result.code === 128 + SIGTERM) return undefined
  return error.detail?.split('\n').at(-1) || error.message
}

const SIGTERM = 15
