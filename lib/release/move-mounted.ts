import { MOVE_BUSY, MOVE_CONTENT, MOVE_DATA, MOVE_FAR, MOVE_MOUNTED, MOVE_TWO } from '../hosts/scripts/state.ts'
import type * as contract from '../output/contract/results.ts'
import type { Settings } from '../project/settings.ts'
import { findLive } from '../record/bundle.ts'
import { partOn, placeOf } from '../record/bundle-parts.ts'
import { releasesOf, STATE_FILE } from '../record/releases.ts'
import type { Result } from '../system/exec.ts'
import { StagecraftError } from '../util/errors.ts'
import { mapConcurrently } from '../util/map-concurrently.ts'
import type { Of } from '../util/schema.ts'

/** Content and data of a host that have been moved, because containers mount them from another folder now. */
type MountedMove = NonNullable<Of<typeof contract.moved>['mounted']>[number]

/**
 * Each host has its own content and data, in a folder below `root:`. If the live release has them in another folder,
 * they are moved to the new one.
 * @returns the moves, one for each host on which there was something to move
 * @throws config (3) for data that cannot be moved, locked (7), state (9)
 */
export async function bringMounted(settings: Settings): Promise<MountedMove[]> {
  const { hosts, stateFile, environment } = settings
  const releases = releasesOf(stateFile, environment.name)
  const serving = findLive(stateFile, releases)
  const moves = await mapConcurrently(hosts, async (host): Promise<MountedMove[]> => {
    const live = serving && partOn(stateFile, serving, placeOf(host, hosts))
    if (host.folder === undefined || live === undefined) return []
    const [from] = foldersOf(JSON.stringify(live.model), settings).filter((folder) => folder !== host.folder)
    if (from === undefined) return []
    const move = { host: host.name, from, to: host.folder }
    const result = await host.run(MOVE_MOUNTED, [from, environment.name, host.folder])
    if (result.code !== 0) throw moveFailed(move, result)
    return result.stdout.includes('moved') ? [move] : []
  })
  return moves.flat()
}

/** @returns the folders of this environment from which a model mounts, below any root. */
function foldersOf(model: string, { config, environment }: Settings): string[] {
  const below = `/${config.project.name}/${environment.name}`
  const found = model.matchAll(/"source":"(\/[^"]*?)\/(?:content|data)\//g)
  return [...new Set([...found].map(([, folder = '']) => folder))].filter((folder) => folder.endsWith(below))
}

/** @returns why not everything was moved; the next attempt continues with the rest. */
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
      hint: `Decide which is needed, and move the other aside: mv ${to}/data ${to}/data.aside`,
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
    hint: `Only one history is kept. Move the ${STATE_FILE} here aside if it is not needed any more, then try again.`,
  })
}
