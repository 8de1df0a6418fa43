import { cpSync, existsSync, renameSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { type HistoryOwner, record } from '../hosts/owners.ts'
import { KEPT, LEAVE, LEFT, MOVE } from '../hosts/scripts/state.ts'
import { withLock } from '../lock/environment-lock.ts'
import type * as contract from '../output/contract/results.ts'
import { environmentOf, isThere, notOurs, otherOwner, ownerHere } from '../project/ownership.ts'
import { type LockedSession, openReleaseDocker } from '../project/session.ts'
import type { Settings } from '../project/settings.ts'
import { openState, stateFileIn } from '../record/releases.ts'
import { systemError } from '../system/errors.ts'
import type { Result } from '../system/exec.ts'
import { StagecraftError } from '../util/errors.ts'
import type { Of } from '../util/schema.ts'
import { bringMounted, moveFailed, twoHistories } from './move-mounted.ts'

/** What a move did. */
export type Moved = Of<typeof contract.moved>

/**
 * Moves the history of a Compose project here from where the engines say it is kept, and records the new place there.
 * @param lost the former history is gone for good: continue without it
 * @returns undefined if it is kept here already
 * @throws state (9) if there are releases here too, or the others are out of reach
 */
export async function moveState(
  settings: Settings,
  project: string,
  session: LockedSession,
  { lost }: { readonly lost: boolean },
): Promise<Moved | undefined> {
  const found = await otherOwner(settings, project, session)
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
  const releases = there ? await bring(owner, settings, session) : 0
  const mounted = await bringMounted(settings)
  const own = ownerHere(settings)
  for (const { host, isMarked } of on)
    await record(openReleaseDocker({ secrets: [], host }, session), project, own, { instead: isMarked })
  return { from: owner, to: own, releases, ...(mounted.length === 0 ? {} : { mounted }) }
}

/**
 * Copies the history, `releases.json` last, then renames the former one: after an interruption one of them is complete,
 * and the move can be repeated. @returns how many releases there are
 */
async function bring(owner: HistoryOwner, settings: Settings, session: LockedSession): Promise<number> {
  const { host, hosts, environment } = settings
  if (host.isLocal) return bringHere(owner, settings, session)
  const source = hosts.find(({ key }) => key === owner.host)
  if (source === undefined) throw outOfReach(owner, settings)
  if (source === host) {
    const to = host.folder ?? ''
    const result = await host.run(MOVE, [owner.root, environment.name, to])
    if (result.code !== 0) throw moveFailed({ host: host.name, from: owner.root, to }, result)
    await host.refresh?.()
    return leftOf(result)
  }
  if (source.folder !== owner.root) throw otherRoot(owner, source.folder ?? '')
  refuseTwo(owner, settings.stateFile, source.stateFile)
  for (const name of KEPT) copy(dirname(source.stateFile), dirname(settings.stateFile), name)
  await host.persist()
  return leftOf(await source.run(LEAVE, [owner.root])) // it is locked: it is one of the hosts
}

/** Refuses two different histories; the one here may be a copy that an interrupted move has left. @throws state (9) */
function refuseTwo(owner: HistoryOwner, here: string, there: string): void {
  const idsOf = (file: string) =>
    openState(file, { clock: Date.now })
      .listReleases()
      .map(({ id }) => id)
  const known = new Set(idsOf(there))
  if (!idsOf(here).every((id) => known.has(id))) throw twoHistories(owner.root)
}

/** @returns the number of releases that the command printed. @throws state (9) if it failed */
function leftOf({ code, stdout, stderr }: Pick<Result, 'code' | 'stdout' | 'stderr'>): number {
  if (code === 0) return Number(stdout)
  throw new StagecraftError('state', 'Cannot move the releases: a command there failed', { detail: stderr })
}

async function bringHere(
  owner: HistoryOwner,
  { environment, stateFile }: Settings,
  session: LockedSession,
): Promise<number> {
  const from = stateFileIn(owner.root)
  const request = { stateFile: from, environment: environment.name, command: 'state move', wait: 0 }
  return withLock(request, session, async () => {
    refuseTwo(owner, stateFile, from)
    for (const name of ['content', ...KEPT]) copy(owner.root, dirname(stateFile), name)
    renameSync(from, join(owner.root, LEFT))
    return openState(stateFile, { clock: () => session.clock.now() }).listReleases().length
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

function outOfReach({ host, root }: HistoryOwner, { host: here, hosts }: Settings): StagecraftError {
  const where = here.isLocal
    ? `Run this on ${host} (this machine is ${hostname()})`
    : hosts.some(({ key }) => key === host)
      ? 'Run this as a user who may read it there, or as root'
      : `Add ${host} to \`hosts\` in stagecraft.yml for the move`
  return new StagecraftError(
    'state',
    root === ''
      ? 'Cannot move the releases: it is not known where they are'
      : `Cannot move the releases: they are in ${root} on ${host}, which cannot be read from here`,
    {
      hint: `${where}. If they are gone for good, continue without them: --lost`,
    },
  )
}

function otherRoot({ host, root }: HistoryOwner, folder: string): StagecraftError {
  return new StagecraftError(
    'state',
    `Cannot move the releases: they are in ${root} on ${host}, but stagecraft.yml says ${folder}`,
    {
      hint: 'Set `root:` in stagecraft.yml to where they are, for the move.',
    },
  )
}
