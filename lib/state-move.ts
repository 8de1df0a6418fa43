import { cpSync, existsSync, renameSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { StagecraftError } from './errors.ts'
import type { Result } from './exec.ts'
import { withLock } from './lock.ts'
import { type Owner, record } from './owner.ts'
import { environmentOf, isThere, notOurs, otherOwner, ownerHere } from './ownership.ts'
import type { Settings } from './project.ts'
import { openState, stateFileIn } from './state.ts'
import { bringMounted, type MountedMove, moveFailed, twoHistories } from './state-mounted.ts'
import { KEPT, LEAVE, LEFT, MOVE } from './state-scripts.ts'
import { systemError } from './system-error.ts'
import { type Locked, openReleaseDocker } from './world.ts'

/** What a move did. */
export interface Moved {
  readonly from: Owner
  readonly to: Owner
  /** 0: what was there is gone */
  readonly releases: number
  /** what containers have mounted, on hosts whose folder has become another one; absent: nothing of that */
  readonly mounted?: readonly MountedMove[]
}

/**
 * Brings the history of a Compose project here, from where the engines say that it is kept, and writes that down.
 * @param lost it is gone for good: go on without it
 * @returns undefined where it is kept here already
 * @throws state (9) where there are releases here too, or the others cannot be had
 */
export async function moveState(
  settings: Settings,
  project: string,
  world: Locked,
  { lost }: { readonly lost: boolean },
): Promise<Moved | undefined> {
  const found = await otherOwner(settings, project, world)
  if (found === undefined) {
    const mounted = await bringMounted(settings)
    const own = ownerHere(settings)
    return mounted.length === 0 ? undefined : { from: own, to: own, releases: 0, mounted }
  }
  const { owner, on } = found
  const { name } = settings.environment
  if ((environmentOf(owner, settings, project) ?? name) !== name) throw notOurs(settings, project, owner)
  const there = await isThere(owner, settings)
  if (there === undefined && !lost) throw outOfReach(owner, settings)
  const releases = there ? await bring(owner, settings, world) : 0
  const mounted = await bringMounted(settings)
  const own = ownerHere(settings)
  for (const { host, isMarked } of on)
    await record(openReleaseDocker({ secrets: [], host }, world), project, own, isMarked)
  return { from: owner, to: own, releases, ...(mounted.length === 0 ? {} : { mounted }) }
}

/**
 * Copies, `releases.json` last, and then leaves the former one under another name: whoever is interrupted finds one whole, and
 * may do it again. @returns how many releases there are
 */
async function bring(owner: Owner, settings: Settings, world: Locked): Promise<number> {
  const { host, hosts, environment } = settings
  if (host.name === undefined) return bringHere(owner, settings, world)
  const source = hosts.find(({ key }) => key === owner.host)
  if (source === undefined) throw outOfReach(owner, settings)
  if (source === host) {
    const to = host.folder ?? ''
    const result = await host.run(MOVE, [owner.root, environment.name, to])
    if (result.code !== 0) throw moveFailed({ host: host.name ?? '', from: owner.root, to }, result)
    await host.refresh?.()
    return leftOf(result)
  }
  if (source.folder !== owner.root) throw otherRoot(owner, source.folder ?? '')
  refuseTwo(owner, settings.stateFile, source.stateFile)
  for (const name of KEPT) copy(dirname(source.stateFile), dirname(settings.stateFile), name)
  await host.persist()
  return leftOf(await source.run(LEAVE, [owner.root])) // it is locked: it is one of the hosts
}

/** The history here may be the one that is there, brought by a move that was interrupted. */
function refuseTwo(owner: Owner, here: string, there: string): void {
  const idsOf = (file: string) =>
    openState(file, { clock: Date.now })
      .listReleases()
      .map(({ id }) => id)
  const known = new Set(idsOf(there))
  if (!idsOf(here).every((id) => known.has(id))) throw twoHistories(owner.root)
}

/** @returns how many releases it said */
function leftOf({ code, stdout, stderr }: Pick<Result, 'code' | 'stdout' | 'stderr'>): number {
  if (code === 0) return Number(stdout)
  throw new StagecraftError('state', 'Cannot move the releases: a command there failed', { detail: stderr })
}

async function bringHere(owner: Owner, { environment, stateFile }: Settings, world: Locked): Promise<number> {
  const from = stateFileIn(owner.root)
  const request = { stateFile: from, environment: environment.name, command: 'state move', wait: 0 }
  return withLock(request, world, async () => {
    refuseTwo(owner, stateFile, from)
    for (const name of ['content', ...KEPT]) copy(owner.root, dirname(stateFile), name)
    renameSync(from, join(owner.root, LEFT))
    return openState(stateFile, { clock: () => world.clock.now() }).listReleases().length
  })
}

function copy(from: string, to: string, name: string): void {
  try {
    if (existsSync(join(from, name)))
      cpSync(join(from, name), join(to, name), { recursive: true, preserveTimestamps: true })
  } catch (error) {
    throw systemError(`Cannot copy ${join(from, name)} to ${to}`, error)
  }
}

function outOfReach({ host, root }: Owner, { host: here, hosts }: Settings): StagecraftError {
  const where =
    here.name === undefined
      ? `Run this on ${host} (this machine is ${hostname()})`
      : hosts.some(({ key }) => key === host)
        ? 'Run this as a user who may look into it there, or as root'
        : `Add ${host} to \`hosts\` in stagecraft.yml for the move`
  return new StagecraftError(
    'state',
    root === ''
      ? 'Cannot move the releases: where those are that run there is not known'
      : `Cannot move the releases: they are in ${root} on ${host}, which cannot be looked at from here`,
    {
      hint: `${where}. If they are gone for good, go on without them: --lost`,
    },
  )
}

function otherRoot({ host, root }: Owner, folder: string): StagecraftError {
  return new StagecraftError(
    'state',
    `Cannot move the releases: they are in ${root} on ${host}, and ${folder} is what stagecraft.yml says`,
    {
      hint: 'Let `root:` in stagecraft.yml be the one that they are in, for the move.',
    },
  )
}
