import { statSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import type { Docker } from '../docker/client.ts'
import type { Host } from '../hosts/host.ts'
import { type HistoryOwner, type Runs, readOwners, record, runningRelease } from '../hosts/owners.ts'
import { EXISTS, WHERE_RELEASED } from '../hosts/scripts/state.ts'
import { bundleIds, readBundle } from '../record/bundle.ts'
import { openState, stateFileIn } from '../record/releases.ts'
import { errnoOf, StagecraftError } from '../util/errors.ts'
import { mapConcurrently } from '../util/map-concurrently.ts'
import { type LockedSession, openReleaseDocker, type Session } from './session.ts'
import type { Settings } from './settings.ts'

type Own = Pick<Settings, 'host' | 'stateFile' | 'environment'>

/** The host of an owner whose releases the Swarm itself keeps. */
const IN_SWARM = 'swarm'

/** @returns the owner to record for an environment that is deployed from here */
export function ownerHere({ host, stateFile, environment: { name: environment } }: Own): HistoryOwner {
  if (host.kept !== undefined) return { host: IN_SWARM, root: host.kept, environment }
  return host.isLocal
    ? { host: hostname(), root: dirname(stateFile), environment }
    : { host: host.key, root: host.folder ?? '', environment }
}

/** Another owner of a project, and the hosts where it is recorded or follows from the running containers. */
interface OtherOwner {
  readonly owner: HistoryOwner
  readonly on: readonly { readonly host: Host; readonly isMarked: boolean }[]
}

/** @returns an owner of the project other than this one; undefined: there is none. @throws unreachable (8) */
export async function otherOwner(
  settings: Settings,
  project: string,
  session: LockedSession,
): Promise<OtherOwner | undefined> {
  const found = await eachOwner(settings, project, session)
  const others = found.filter(({ owner }) => owner !== undefined && !isSame(owner, settings, project))
  const [first] = others
  if (first?.owner === undefined) return undefined
  const { owner } = first
  // A third owner on other hosts is left out: it has to be moved by itself.
  const same = others.filter((each) => each.owner?.host === owner.host && each.owner.root === owner.root)
  return { owner, on: same.map(({ host, mark }) => ({ host, isMarked: mark !== undefined })) }
}

/**
 * For commands that only read: checks what `claimHistory` would.
 * @throws state (9) if another folder keeps the releases, config (3) if another environment has the Compose project
 */
export async function refuseOthers(settings: Settings, project: string, session: Session): Promise<void> {
  await refuseAmong(await eachOwner(settings, project, session), settings, project)
}

async function refuseAmong(all: readonly Found[], settings: Settings, project: string): Promise<void> {
  for (const { owner } of all)
    if (owner !== undefined && !isSame(owner, settings, project) && (await isThere(owner, settings)) !== false)
      throw notOurs(settings, project, owner)
}

/** The owner of a Compose project on one host. */
interface Found {
  readonly host: Host
  readonly docker: Docker
  readonly owner: HistoryOwner | undefined
  /** the recorded owner; undefined: nothing is recorded, so that `owner` follows from the running containers */
  readonly mark: HistoryOwner | undefined
}

function eachOwner(settings: Settings, project: string, session: Session): Promise<Found[]> {
  return mapConcurrently(settings.hosts, async (host) => {
    const docker = openReleaseDocker({ secrets: [], host }, session)
    const mark = (await (host.owners?.() ?? readOwners(docker, host.marks))).get(project)
    return {
      host,
      docker,
      mark,
      owner: mark ?? (await whoReleased(host, settings, await runningRelease(docker, project))),
    }
  })
}

/** @returns the owner whose history contains the running release; with empty fields if none can be found */
async function whoReleased(host: Host, settings: Settings, runs: Runs | undefined): Promise<HistoryOwner | undefined> {
  if (runs === undefined) return undefined
  const own = openState(settings.stateFile, { clock: Date.now }).getRelease(runs.release)
  if (own !== undefined) return { ...ownerHere(settings), environment: own.environment }
  const { stdout } = await host.run(WHERE_RELEASED, [runs.release, ...runs.roots])
  const root = stdout.trim()
  if (root === '') return { host: '', root: '' }
  return { host: host.isLocal ? hostname() : host.key, root }
}

/** The same folder under another name of the machine or host counts as the same if it has releases. */
function isSame(owner: HistoryOwner, settings: Settings, project: string): boolean {
  const own = ownerHere(settings)
  if (owner.root !== own.root || (environmentOf(owner, settings, project) ?? own.environment) !== own.environment)
    return false
  return owner.host === own.host || owner.host === '' || (hasReleases(settings) && !isAmong(owner, settings))
}

/** @returns the name of an owner's environment, if it is recorded or can be found here */
export function environmentOf(
  { environment, root }: HistoryOwner,
  settings: Settings,
  project: string,
): string | undefined {
  return environment ?? (root === ownerHere(settings).root ? lastLive(settings, project) : undefined)
}

/** @returns the environment in this folder whose release of a Compose project was the last to reach its commit point */
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

function isAmong({ host }: HistoryOwner, { hosts }: Settings): boolean {
  return hosts.some(({ key }) => key === host)
}

/**
 * For commands that change the state without making a release.
 * @throws state (9) if another folder keeps the releases of a Compose project
 */
export async function refuseForeign(settings: Settings, project: string, session: LockedSession): Promise<void> {
  const found = await otherOwner(settings, project, session)
  if (found) throw notOurs(settings, project, found.owner)
}

/**
 * Ensures, on all hosts and before anything is changed, that a Compose project has one history: the first run records itself as the
 * owner, and later ones complete the record. If the recorded history is gone, a warning says what is lost.
 * @throws state (9) if another folder keeps it, config (3) if another environment has that Compose project
 */
export async function claimHistory(settings: Settings, project: string, session: LockedSession): Promise<void> {
  const own = ownerHere(settings)
  const all = await eachOwner(settings, project, session)
  await refuseAmong(all, settings, project)
  for (const { host, docker, owner, mark } of all) {
    if (mark !== undefined && isWhole(mark) && isSame(mark, settings, project)) continue
    await record(docker, project, own, { instead: mark !== undefined, marks: host.marks })
    const now = (await readOwners(docker, host.marks)).get(project) // another run may have recorded itself at the same time
    if (now !== undefined && !isSame(now, settings, project)) throw notOurs(settings, project, now)
    if (owner === undefined || isSame(owner, settings, project)) continue
    const where = host.isLocal ? '' : ` (${host.name})`
    session.emit({
      type: 'warning',
      message: `the releases of ${project}${where} in ${place(owner)} are gone: they cannot be restored any more`,
      hint: 'From now on its releases are kept here. What runs is taken over as it is.',
    })
  }
}

function isWhole({ host, environment }: HistoryOwner): boolean {
  return host !== '' && environment !== undefined
}

/** @returns whether an owner still has releases; undefined: this machine or user cannot find out */
export async function isThere(owner: HistoryOwner, settings: Settings): Promise<boolean | undefined> {
  const file = stateFileIn(owner.root)
  if (settings.host.isLocal) return owner.host === hostname() ? existsHere(file) : undefined
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

function place({ host, root }: HistoryOwner): string {
  return host === IN_SWARM ? `the Swarm as ${root}` : `${root} on ${host}`
}

const CHECKOUTS =
  'Where each release has a checkout of its own, name a folder that all of them share: `root:` in stagecraft.yml.'

export function notOurs(settings: Settings, project: string, owner: HistoryOwner): StagecraftError {
  const { environment, host } = settings
  const other = environmentOf(owner, settings, project)
  if (other !== undefined && other !== environment.name)
    return sharedProject(environment.name, project, { ...owner, environment: other })
  if (owner.root === '')
    return new StagecraftError(
      'state',
      `Cannot continue with ${project}: what runs there was released from elsewhere`,
      {
        hint:
          'Deploy from the place that released it. If its releases are gone for good, go on without them: ' +
          `stagecraft state move --env ${environment.name} --lost`,
      },
    )
  return new StagecraftError('state', `Cannot continue with ${project}: its releases are kept in ${place(owner)}`, {
    hint:
      host.kept !== undefined
        ? anotherOnSwarm(project)
        : `Deploy from there. Or bring them here: stagecraft state move --env ${environment.name}` +
          (host.isLocal ? `\n${CHECKOUTS}` : ''),
  })
}

/** An earlier version kept them on a machine. */
function anotherOnSwarm(project: string): string {
  return (
    'Deploy from there, with the version that made them. To begin again, without them and with downtime: ' +
    `docker stack rm ${project}, and docker config rm stagecraft-${project}`
  )
}

/** @returns the error for a Compose project of two environments, which would take each other's containers for their own */
function sharedProject(environment: string, project: string, owner: HistoryOwner): StagecraftError {
  return new StagecraftError(
    'config',
    `Cannot use the Compose project ${project} for ${environment}: on that engine it belongs to ${owner.environment} (${place(owner)})`,
    {
      hint:
        `Give ${environment} its own: compose_project in stagecraft.yml. If ${owner.environment} is not used any more: ` +
        `docker compose -p ${project} down, and docker volume rm stagecraft-${project}`,
    },
  )
}
