import { cpSync, existsSync, renameSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { StagecraftError } from './errors.ts'
import { withLock } from './lock.ts'
import { isThere, type Owner, otherOwner, ownerHere, takeOver } from './ownership.ts'
import type { Settings } from './project.ts'
import { openState } from './state.ts'
import { type Locked, openReleaseDocker } from './world.ts'

/** What a move did. */
export interface Moved {
  readonly from: Owner
  readonly to: Owner
  /** 0: what was there is gone */
  readonly releases: number
}

/** What is kept of releases, beside their locks. */
const KEPT = ['releases.json', 'releases', 'content']

/** What takes the place of `releases.json` where it was: nobody goes on with it by mistake. */
const LEFT = 'releases.json.moved'

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
  if (there) refuseTwo(settings, owner)
  const releases = there ? await bring(owner, settings, world) : 0
  const own = ownerHere(settings)
  for (const host of on) await takeOver(openReleaseDocker({ secrets: [], host }, world), project, own)
  return { from: owner, to: own, releases }
}

function refuseTwo({ stateFile }: Settings, owner: Owner): void {
  const count = openState(stateFile, { clock: Date.now }).listReleases().length
  if (count === 0) return
  throw new StagecraftError('state', `Cannot move the releases of ${owner.root}: there are ${count} here as well`, {
    hint: `One history is kept. Put the one here aside if it is not needed any more (${stateFile}), then try again.`,
  })
}

/** Copies first, and leaves the former one under another name last: whoever is interrupted finds one whole. @returns how many releases there are */
async function bring(owner: Owner, settings: Settings, world: Locked): Promise<number> {
  const { host, hosts, stateFile } = settings
  if (host.name === undefined) {
    await bringHere(owner, settings, world)
    return openState(stateFile, { clock: () => world.clock.now() }).listReleases().length
  }
  const source = hosts.find(({ key }) => key === owner.host)
  if (source === undefined) throw outOfReach(owner, settings)
  if (source === host) await host.run(COPY, [owner.root, host.folder ?? '']).then(failIfNot)
  else {
    if (source.folder !== owner.root) throw otherRoot(owner, source.folder ?? '')
    for (const name of KEPT.filter((each) => each !== 'content'))
      copy(dirname(source.stateFile), dirname(stateFile), name)
    await host.persist()
  }
  const { code, stdout, stderr } = await source.run(LEAVE, [owner.root])
  failIfNot({ code, stderr })
  return Number(stdout)
}

const LEAVE = `cd "$1" && mv -f releases.json ${LEFT} && grep -c '"id": "rel-' ${LEFT}`

/** On the same host: content is what its containers have mounted, and stays where it is too. */
const COPY = `cd "$1" && for one in ${KEPT.join(' ')} generation; do [ ! -e "$one" ] || cp -Rp "$one" "$2/" || exit 1; done; sync`

function failIfNot({ code, stderr }: { readonly code: number; readonly stderr: string }): void {
  if (code !== 0)
    throw new StagecraftError('state', 'Cannot move the releases: a command there failed', { detail: stderr })
}

async function bringHere({ root }: Owner, { environment, stateFile }: Settings, world: Locked): Promise<void> {
  const from = join(root, 'releases.json')
  const request = { stateFile: from, environment: environment.name, command: 'state move', wait: 0 }
  await withLock(request, world, async () => {
    for (const name of KEPT) copy(root, dirname(stateFile), name)
    renameSync(from, join(root, LEFT))
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
