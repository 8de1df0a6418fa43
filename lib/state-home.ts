import { accessSync, constants, existsSync, lstatSync, realpathSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'

/** What deployment tools call the link to the checkout that is live (Capistrano, Deployer, Mina, Ansistrano …). */
const LINKS = ['current', 'live', 'latest', 'active']

/** How far above a project its checkout may begin. */
const LEVELS = 4

/**
 * Where each release has a checkout of its own (`releases/7`, to which a link `current` leads), a history in one of them would be
 * lost to the next, and go with it. Then it stands beside the link. A checkout that has one already keeps it.
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

/** @returns the folder of a link, beside the folder of all checkouts or (`siblings`) beside the checkout, that leads to one of them */
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
