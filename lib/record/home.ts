import { accessSync, constants, existsSync, lstatSync, realpathSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'

/** Names of the link to the live checkout in deployment tools (Capistrano, Deployer, Mina, Ansistrano …). */
const LINKS = ['current', 'live', 'latest', 'active']

/** How many levels above a project its checkout may be. */
const LEVELS = 4

/**
 * If each release has its own checkout (`releases/7`, with a link `current` to it), the next one would not find a history inside
 * it. Then the history is next to the link. A checkout that already has one keeps it.
 * @returns the folder of a project's history
 */
export function stateHome(projectDir: string, file: string): string {
  const own = join(projectDir, '.stagecraft')
  if (existsSync(join(own, file)) || !existsSync(projectDir)) return own
  const directory = realpathSync(projectDir)
  let checkout = directory
  for (let level = 0; level < LEVELS && checkout !== dirname(checkout); level++, checkout = dirname(checkout)) {
    const folder = folderOfLink(checkout, level === 0)
    if (folder === undefined) continue
    const home = join(folder, '.stagecraft', relative(checkout, directory))
    return existsSync(home) || isWritable(folder) ? home : own
  }
  return own
}

/** @returns the folder with a link to one of the checkouts: next to the folder of all of them, or (`siblings`) in it */
function folderOfLink(checkout: string, siblings: boolean): string | undefined {
  const checkouts = dirname(checkout)
  return [...(siblings ? [checkouts] : []), dirname(checkouts)].find((folder) =>
    LINKS.some((name) => leadsInto(join(folder, name), checkouts) && basename(checkout) !== name),
  )
}

function leadsInto(link: string, folder: string): boolean {
  try {
    return lstatSync(link).isSymbolicLink() && dirname(realpathSync(link)) === folder
  } catch {
    return false
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}
