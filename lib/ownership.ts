import { statSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { bundleIds, readBundle } from './bundle.ts'
import type { Docker } from './docker.ts'
import { errnoOf, StagecraftError } from './errors.ts'
import type { Host } from './host.ts'
import { onEach } from './on-each.ts'
import { type Owner, type Runs, readOwners, record, runningRelease } from './owner.ts'
import type { Settings } from './project.ts'
import { openState, stateFileIn } from './state.ts'
import { EXISTS, WHERE_RELEASED } from './state-scripts.ts'
import { type Locked, openReleaseDocker, type World } from './world.ts'

type Own = Pick<Settings, 'host' | 'stateFile' | 'environment'>

/** Whose an environment is that is deployed from here. */
export function ownerHere({ host, stateFile, environment: { name: environment } }: Own): Owner {
  return host.name === undefined
    ? { host: hostname(), root: dirname(stateFile), environment }
    : { host: host.key, root: host.folder ?? '', environment }
}

/** Whose a project is instead, and on which of the hosts, where it is written down or can be seen. */
export interface OtherOwner {
  readonly owner: Owner
  readonly on: readonly { readonly host: Host; readonly isMarked: boolean }[]
}

/** @returns an owner other than this one, and on which of the hosts it is written down */
export async function otherOwner(settings: Settings, project: string, world: Locked): Promise<OtherOwner | undefined> {
  const found = await eachOwner(settings, project, world)
  const others = found.filter(({ owner }) => owner !== undefined && !isSame(owner, settings, project))
  const [first] = others
  if (first?.owner === undefined) return undefined
  const { owner } = first
  // Another one's is not part of it: whoever moves that asks for it by itself.
  const same = others.filter((each) => each.owner?.host === owner.host && each.owner.root === owner.root)
  return { owner, on: same.map(({ host, mark }) => ({ host, isMarked: mark !== undefined })) }
}

/**
 * For who only looks: what `claim` would say.
 * @throws what that throws where another folder or environment has the Compose project
 */
export async function refuseOthers(settings: Settings, project: string, world: World): Promise<void> {
  await refuseAmong(await eachOwner(settings, project, world), settings, project)
}

async function refuseAmong(all: readonly Found[], settings: Settings, project: string): Promise<void> {
  for (const { owner } of all)
    if (owner !== undefined && !isSame(owner, settings, project) && (await isThere(owner, settings)) !== false)
      throw notOurs(settings, project, owner)
}

/** Of one host: whose a Compose project is. */
interface Found {
  readonly host: Host
  readonly docker: Docker
  readonly owner: Owner | undefined
  /** what is written down there, where that is all: what somebody has removed since is found out by what runs */
  readonly mark: Owner | undefined
}

function eachOwner(settings: Settings, project: string, world: World): Promise<Found[]> {
  return onEach(settings.hosts, async (host) => {
    const docker = openReleaseDocker({ secrets: [], host }, world)
    const mark = (await (host.owners?.() ?? readOwners(docker))).get(project)
    return {
      host,
      docker,
      mark,
      owner: mark ?? (await whoReleased(host, settings, await runningRelease(docker, project))),
    }
  })
}

/** What runs is of a release: who has that in its history has made it. */
async function whoReleased(host: Host, settings: Settings, runs: Runs | undefined): Promise<Owner | undefined> {
  if (runs === undefined) return undefined
  const own = openState(settings.stateFile, { clock: Date.now }).getRelease(runs.release)
  if (own !== undefined) return { ...ownerHere(settings), environment: own.environment }
  const { stdout } = await host.run(WHERE_RELEASED, [runs.release, ...runs.roots])
  const root = stdout.trim()
  if (root === '') return { host: '', root: '' }
  return { host: host.name === undefined ? hostname() : host.key, root }
}

/** Where the folder is the same, but not the name of the machine or host: whoever has releases there has kept them. */
function isSame(owner: Owner, settings: Settings, project: string): boolean {
  const own = ownerHere(settings)
  if (owner.root !== own.root || (environmentOf(owner, settings, project) ?? own.environment) !== own.environment)
    return false
  return owner.host === own.host || owner.host === '' || (hasReleases(settings) && !isAmong(owner, settings))
}

/** @returns the name of an owner's environment, as far as it is written down or can be found out here */
export function environmentOf({ environment, root }: Owner, settings: Settings, project: string): string | undefined {
  return environment ?? (root === ownerHere(settings).root ? lastLive(settings, project) : undefined)
}

/** @returns the environment in this folder whose release of a Compose project came to its commit point last */
function lastLive({ stateFile }: Pick<Settings, 'stateFile'>, project: string): string | undefined {
  const live = bundleIds(stateFile).findLast((id) => {
    const bundle = readBundle(stateFile, id)
    return bundle?.project === project && bundle.switched_at !== undefined
  })
  return live === undefined ? undefined : readBundle(stateFile, live)?.environment
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
 * down that it is theirs, and what is written down in part is written down whole; where what was written down is gone, it is
 * said what is lost.
 * @throws state (9) where another folder keeps it, config (3) where another environment has that Compose project
 */
export async function claim(settings: Settings, project: string, world: Locked): Promise<void> {
  const own = ownerHere(settings)
  const all = await eachOwner(settings, project, world)
  await refuseAmong(all, settings, project)
  for (const { host, docker, owner, mark } of all) {
    if (mark !== undefined && isWhole(mark) && isSame(mark, settings, project)) continue
    await record(docker, project, own, mark !== undefined)
    const now = (await readOwners(docker)).get(project) // whoever else was the first at the same time
    if (now !== undefined && !isSame(now, settings, project)) throw notOurs(settings, project, now)
    if (owner === undefined || isSame(owner, settings, project)) continue
    const where = host.name === undefined ? '' : ` (${host.name})`
    world.emit({
      type: 'warning',
      message: `what ${place(owner)} kept of ${project}${where} is gone: its releases cannot be put back any more`,
      hint: 'It is kept here from now on. What runs is taken over as it is.',
    })
  }
}

function isWhole({ host, environment }: Owner): boolean {
  return host !== '' && environment !== undefined
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

const CHECKOUTS =
  'Where each release has a checkout of its own, name a folder that all of them share: `root:` in stagecraft.yml.'

export function notOurs(settings: Settings, project: string, owner: Owner): StagecraftError {
  const { environment, host } = settings
  const other = environmentOf(owner, settings, project)
  if (other !== undefined && other !== environment.name)
    return sharedProject(environment.name, project, { ...owner, environment: other })
  if (owner.root === '')
    return new StagecraftError('state', `Cannot go on with ${project}: what runs there was released from elsewhere`, {
      hint:
        'Deploy from where that was. If its releases are gone for good, go on without them: ' +
        `stagecraft state move --env ${environment.name} --lost`,
    })
  return new StagecraftError('state', `Cannot go on with ${project}: its releases are kept in ${place(owner)}`, {
    hint:
      `Deploy from there. Or bring them here: stagecraft state move --env ${environment.name}` +
      (host.name === undefined ? `\n${CHECKOUTS}` : ''),
  })
}

/** Two environments would take each other's containers for their own. */
function sharedProject(environment: string, project: string, owner: Owner): StagecraftError {
  return new StagecraftError(
    'config',
    `Cannot use the Compose project ${project} for ${environment}: on that engine it is that of ${owner.environment} (${place(owner)})`,
    {
      hint:
        `Give ${environment} one of its own: compose_project in stagecraft.yml. If ${owner.environment} is given up: ` +
        `docker compose -p ${project} down, and docker volume rm stagecraft-${project}`,
    },
  )
}
