import { statSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import type { Docker } from './docker.ts'
import { errnoOf, StagecraftError } from './errors.ts'
import type { Host } from './host.ts'
import { onEach } from './on-each.ts'
import type { Settings } from './project.ts'
import { openState, stateFileIn } from './state.ts'
import { EXISTS } from './state-scripts.ts'
import { type Locked, openReleaseDocker } from './world.ts'

/** Who keeps the releases of a Compose project: every engine that runs it has it written down (spec/core/ownership.md). */
export interface Owner {
  /** the first host of the environment (lib/host.ts, key), or the machine whose checkout it is */
  readonly host: string
  /** the folder of releases.json there */
  readonly root: string
}

/** Whose an environment is that is deployed from here. */
export function ownerHere({ host, stateFile }: Pick<Settings, 'host' | 'stateFile'>): Owner {
  return host.name === undefined
    ? { host: hostname(), root: dirname(stateFile) }
    : { host: host.key, root: host.folder ?? '' }
}

const LABELS = { host: 'stagecraft.host', root: 'stagecraft.root' } as const
const PREFIX = 'stagecraft-'

/** @returns who keeps the releases of what an engine runs, by Compose project */
export async function readOwners(docker: Docker): Promise<ReadonlyMap<string, Owner>> {
  const format = `{{.Name}}\t{{.Label "${LABELS.host}"}}\t{{.Label "${LABELS.root}"}}`
  const args = ['volume', 'ls', '--filter', `label=${LABELS.root}`, '--format', format]
  const { stdout } = await docker.run('list volumes', args, { asks: true })
  return new Map(
    stdout
      .split('\n')
      .filter((line) => line.startsWith(PREFIX))
      .map((line) => {
        const [name = '', host = '', root = ''] = line.split('\t')
        return [name.slice(PREFIX.length), { host, root }]
      }),
  )
}

/** Writes down on an engine who keeps the releases of a Compose project. Nothing is in the volume but its labels. @param instead of another */
export async function record(docker: Docker, project: string, { host, root }: Owner, instead: boolean): Promise<void> {
  const name = `${PREFIX}${project}`
  if (instead) await docker.run(`remove volume ${name}`, ['volume', 'rm', name])
  const labels = ['--label', `${LABELS.host}=${host}`, '--label', `${LABELS.root}=${root}`]
  await docker.run(`make volume ${name}`, ['volume', 'create', ...labels, name])
}

/** @returns an owner other than this one, and on which of the hosts it is written down */
export async function otherOwner(
  settings: Settings,
  project: string,
  world: Locked,
): Promise<{ readonly owner: Owner; readonly on: readonly Host[] } | undefined> {
  const found = await eachOwner(settings, project, world)
  const others = found.filter(({ owner }) => owner !== undefined && !isSame(owner, settings))
  const [first] = others
  if (first?.owner === undefined) return undefined
  const { owner } = first
  // Another one's is not part of it: whoever moves that asks for it by itself.
  const same = others.filter((each) => each.owner?.host === owner.host && each.owner.root === owner.root)
  return { owner, on: same.map(({ host }) => host) }
}

async function eachOwner(settings: Settings, project: string, world: Locked) {
  return onEach(settings.hosts, async (host) => {
    const docker = openReleaseDocker({ secrets: [], host }, world)
    return { host, docker, owner: (await (host.owners?.() ?? readOwners(docker))).get(project) }
  })
}

/** Where the folder is the same, but not the name of the machine or host: whoever has releases there has kept them. */
function isSame(owner: Owner, settings: Settings): boolean {
  const own = ownerHere(settings)
  return owner.root === own.root && (owner.host === own.host || (hasReleases(settings) && !isAmong(owner, settings)))
}

function hasReleases({ stateFile }: Pick<Settings, 'stateFile'>): boolean {
  return openState(stateFile, { clock: Date.now }).listReleases().length > 0
}

function isAmong({ host }: Owner, { hosts }: Settings): boolean {
  return hosts.some(({ key }) => key === host)
}

/**
 * For who changes what is kept, and makes no release.
 * @throws state (9) where another folder keeps the releases of a Compose project
 */
export async function refuseForeign(settings: Settings, project: string, world: Locked): Promise<void> {
  const found = await otherOwner(settings, project, world)
  if (found) throw notOurs(settings, project, found.owner)
}

/**
 * Sees to it that one history is kept of a Compose project: before anything is changed, on all hosts. The first to come writes
 * down that it is theirs; where what was written down is gone, it is said what is lost.
 * @throws state (9) where another folder keeps it
 */
export async function claim(settings: Settings, project: string, world: Locked): Promise<void> {
  const own = ownerHere(settings)
  const all = await eachOwner(settings, project, world)
  for (const { owner } of all)
    if (owner !== undefined && !isSame(owner, settings) && (await isThere(owner, settings)) !== false)
      throw notOurs(settings, project, owner)
  for (const { host, docker, owner } of all) {
    if (owner !== undefined && isSame(owner, settings)) continue
    await record(docker, project, own, owner !== undefined)
    const now = (await readOwners(docker)).get(project) // whoever else was the first at the same time
    if (now !== undefined && !isSame(now, settings)) throw notOurs(settings, project, now)
    if (owner === undefined) continue
    const where = host.name === undefined ? '' : ` (${host.name})`
    world.emit({
      type: 'warning',
      message: `what ${place(owner)} kept of ${project}${where} is gone: its releases cannot be put back any more`,
      hint: 'It is kept here from now on. What runs is taken over as it is.',
    })
  }
}

/** @returns whether an owner still has releases; undefined: that cannot be found out from here, or not by who asks */
export async function isThere(owner: Owner, settings: Settings): Promise<boolean | undefined> {
  const file = stateFileIn(owner.root)
  if (settings.host.name === undefined) return owner.host === hostname() ? existsHere(file) : undefined
  const there = settings.hosts.find(({ key }) => key === owner.host)
  if (there === undefined) return undefined
  const { code } = await there.run(EXISTS, [file])
  return code === 0 ? true : code === 1 ? false : undefined
}

function existsHere(file: string): boolean | undefined {
  try {
    statSync(file)
    return true
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '') ? false : undefined
  }
}

function place({ host, root }: Owner): string {
  return `${root} on ${host}`
}

function notOurs({ environment }: Settings, project: string, owner: Owner): StagecraftError {
  return new StagecraftError('state', `Cannot go on with ${project}: its releases are kept in ${place(owner)}`, {
    hint: `Deploy from there. Or bring them here: stagecraft state move --env ${environment.name}`,
  })
}
