import { cpSync, existsSync, renameSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { StagecraftError } from './errors.ts'
import type { Result } from './exec.ts'
import { withLock } from './lock.ts'
import { isThere, type Owner, otherOwner, ownerHere, record } from './ownership.ts'
import type { Settings } from './project.ts'
import { openState, stateFileIn } from './state.ts'
import { KEPT, LEAVE, LEFT, MOVE, MOVE_BUSY, MOVE_TWO } from './state-scripts.ts'
import { type Locked, openReleaseDocker } from './world.ts'

/** What a move did. */
export interface Moved {
  readonly from: Owner
  readonly to: Owner
  /** 0: what was there is gone */
  readonly releases: number
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
  if (found === undefined) return undefined
  const { owner, on } = found
  const there = await isThere(owner, settings)
  if (there === undefined && !lost) throw outOfReach(owner, settings)
  const releases = there ? await bring(owner, settings, world) : 0
  const own = ownerHere(settings)
  for (const host of on) await record(openReleaseDocker({ secrets: [], host }, world), project, own, true)
  return { from: owner, to: own, releases }
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
    const result = await host.run(MOVE, [owner.root, environment.name, host.folder ?? ''])
    if (result.code === MOVE_BUSY) throw busy(owner)
    if (result.code === MOVE_TWO) throw two(owner)
    return leftOf(result)
  }
  if (source.folder !== owner.root) throw otherRoot(owner, source.folder ?? '')
  refuseTwo(owner, settings.stateFile, source.stateFile)
  for (const name of KEPT.filter((name) => name !== 'content'))
    copy(dirname(source.stateFile), dirname(settings.stateFile), name)
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
  if (!idsOf(here).every((id) => known.has(id))) throw two(owner)
}

function two({ root }: Owner): StagecraftError {
  return new StagecraftError('state', `Cannot move the releases of ${root}: there are others here as well`, {
    hint: 'One history is kept. Put the releases.json here aside if it is not needed any more, then try again.',
  })
}

function busy({ host, root }: Owner): StagecraftError {
  return new StagecraftError('locked', `Cannot move the releases of ${root}: a run is under way there`, {
    hint: `Wait until it has ended, on ${host}, then try again.`,
  })
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
    for (const name of KEPT) copy(owner.root, dirname(stateFile), name)
    renameSync(from, join(owner.root, LEFT))
    return openState(stateFile, { clock: () => world.clock.now() }).listReleases().length
  })
}

function copy(from: string, to: string, name: string): void {
  if (existsSync(join(from, name)))
    cpSync(join(from, name), join(to, name), { recursive: true, preserveTimestamps: true })
}

function outOfReach({ host, root }: Owner, { host: here }: Settings): StagecraftError {
  const where =
    here.name === undefined
      ? `Run this on ${host} (this machine is ${hostname()})`
      : `Add ${host} to \`hosts\` in stagecraft.yml for the move`
  return new StagecraftError(
    'state',
    `Cannot move the releases: they are in ${root} on ${host}, which cannot be looked at from here`,
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
