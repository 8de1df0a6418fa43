import { findServing } from './bundle.ts'
import { partOn, placeOf } from './bundle-parts.ts'
import { StagecraftError } from './errors.ts'
import type { Result } from './exec.ts'
import { onEach } from './on-each.ts'
import type { Settings } from './project.ts'
import { openState } from './state.ts'
import { MOVE_BUSY, MOVE_CONTENT, MOVE_DATA, MOVE_FAR, MOVE_MOUNTED, MOVE_TWO } from './state-scripts.ts'

/** What containers have mounted of a host, and where it is now. */
export interface MountedMove {
  readonly host: string
  readonly from: string
  readonly to: string
}

/**
 * Each host has content and data of its own, in a folder that `root:` gives it: where the live release has them in another
 * one, they are brought along.
 * @returns from where, for each host where that was so
 * @throws config (3) for data that cannot be moved, locked (7), state (9)
 */
export async function bringMounted(settings: Settings): Promise<MountedMove[]> {
  const { hosts, stateFile, environment } = settings
  const releases = openState(stateFile, { clock: Date.now }).listReleases({ environment: environment.name })
  const serving = findServing(stateFile, releases)
  const moves = await onEach(hosts, async (host): Promise<MountedMove[]> => {
    const live = serving && partOn(stateFile, serving, placeOf(host, hosts))
    if (host.folder === undefined || live === undefined) return []
    const [from] = foldersOf(JSON.stringify(live.model), settings).filter((folder) => folder !== host.folder)
    if (from === undefined) return []
    const move = { host: host.name ?? '', from, to: host.folder }
    const result = await host.run(MOVE_MOUNTED, [from, environment.name, host.folder])
    if (result.code !== 0) throw moveFailed(move, result)
    return result.stdout.includes('moved') ? [move] : []
  })
  return moves.flat()
}

/** @returns the folders of this environment that a model mounts from, whatever their root */
function foldersOf(model: string, { config, environment }: Settings): string[] {
  const below = `/${config.project.name}/${environment.name}`
  const found = model.matchAll(/"source":"(\/[^"]*?)\/(?:content|data)\//g)
  return [...new Set([...found].map(([, folder = '']) => folder))].filter((folder) => folder.endsWith(below))
}

/** @returns why nothing was moved, or not all of it: what has been is where the next try looks for it */
export function moveFailed({ host, from, to }: MountedMove, { code, stderr }: Result): StagecraftError {
  const detail = stderr.trim()
  const at = host === '' ? '' : ` on ${host}`
  if (code === MOVE_BUSY)
    return new StagecraftError('locked', `Cannot move the releases of ${from}: a run is under way there`, {
      detail,
      hint: `Wait until it has ended${at}, then try again.`,
    })
  if (code === MOVE_TWO) return twoHistories(from)
  if (code === MOVE_DATA)
    return new StagecraftError('config', `Cannot move the data of ${from}${at}: there is data in ${to} as well`, {
      hint: `Decide which is needed, and put the other aside: mv ${to}/data ${to}/data.aside`,
    })
  if (code === MOVE_FAR)
    return new StagecraftError('config', `Cannot move the data of ${from}${at}: ${to} is on another file system`, {
      hint: `Stop what writes it, move it there as root (mv ${from}/data ${to}/data), then try again.`,
    })
  if (code === MOVE_CONTENT)
    return new StagecraftError('state', `Cannot move the content of ${from}${at}: not all of it can be read`, {
      detail,
      hint: `${to} is on another file system. As root there: cp -Rp ${from}/content ${to}/ , then try again.`,
    })
  return new StagecraftError('state', `Cannot move the releases of ${from}${at}: a command there failed`, { detail })
}

export function twoHistories(root: string): StagecraftError {
  return new StagecraftError('state', `Cannot move the releases of ${root}: there are others here as well`, {
    hint: 'One history is kept. Put the releases.json here aside if it is not needed any more, then try again.',
  })
}
