import { partOn } from './bundle-parts.ts'
import type { ComposeModel } from './compose.ts'
import { beginsEmpty, changed, moved, type Notice, notThere } from './data-errors.ts'
import {
  type Keeps,
  keepsUnnamed,
  keptBy,
  type MovedData,
  movedData,
  type Replaced,
  replacedBy,
} from './data-places.ts'
import { childError, type Docker, listContainers } from './docker.ts'
import type { Host } from './host.ts'
import { hostKey, parseHostName } from './host-name.ts'
import type { ReleasedImage } from './images.ts'
import { onEach } from './on-each.ts'
import type { Order, Part } from './release.ts'
import { SAME_DATA } from './state-scripts.ts'
import { openReleaseDocker, type World } from './world.ts'

/**
 * A release never begins with nothing where its data is somewhere else: on the host that it was on, in the volume or the
 * folder that it had. Engines and hosts are asked only where something of that is another one now. Before anything is changed.
 * @throws config (3) with what to do
 */
export async function refuseLostData(order: Order, world: World): Promise<void> {
  if (order.serving === undefined) return
  const { before, now } = placesOf(order)
  for (const move of movedData(before, now)) await refuseMoved(order, move, world)
  await onEach(order.parts, (part) => refuseReplaced(order, part, world))
}

/**
 * A host on which there has been no release knows of no data elsewhere: that it is not there is said, in case it is.
 */
export async function sayWhatBeginsEmpty(order: Order, world: World): Promise<void> {
  if (order.serving !== undefined) return
  await onEach(order.parts, async ({ project, rendering }) => {
    const { host, environment } = project
    if (host.name === undefined) return
    const docker = openReleaseDocker(project, world)
    const kept = keptBy(rendering.model, dataBelow(order))
    const there = await onEach(kept, (one) => isThere(one, host, docker))
    const empty = kept.filter((_, at) => !there[at]).map(({ service, what }) => `${service} (${what})`)
    if (empty.length > 0) world.emit(beginsEmpty(host.name, environment.name, empty))
  })
}

type Everywhere = ReadonlyMap<string, readonly Keeps[]>

/** What is kept, by the key of each host: by the live release, also on hosts that are named no more, and by what is to be. */
function placesOf(order: Order): { before: Everywhere; now: Everywhere } {
  const { serving, parts, project } = order
  const keys = project.hosts.map(({ key }) => key)
  const { host = '', hosts = [keys.includes(host) ? host : (keys[0] ?? '')] } = serving?.bundle ?? {}
  const live = hosts.flatMap((key) => {
    const part = serving && partOn(project.stateFile, serving, { key, keys })
    return part ? [{ key, model: part.model, images: part.bundle.images }] : []
  })
  const images = Object.assign({}, ...live.map((part) => part.images)) as Record<string, ReleasedImage>
  const keeps = (model: ComposeModel) => withUnnamed(order, model, images)
  return {
    before: new Map(live.map(({ key, model }) => [key, keeps(model)])),
    now: new Map(parts.map((part) => [part.project.host.key, keeps(part.rendering.model)])),
  }
}

function withUnnamed(order: Order, model: ComposeModel, images: Readonly<Record<string, ReleasedImage>>): Keeps[] {
  const { jobs } = order.project.topology
  const unnamed = Object.entries(model.services).filter(
    ([name, service]) => !jobs.includes(name) && keepsUnnamed(service, images[name]),
  )
  const what = 'a volume without a name'
  return [
    ...keptBy(model, dataBelow(order)),
    ...unnamed.map(([service]) => ({ service, key: `service ${service}`, what, target: '' })),
  ]
}

/** The folders for data of the hosts, and what those of former roots have in common. */
function dataBelow({ project: { config, environment, hosts } }: Order): string[] {
  const own = hosts.flatMap(({ folder }) => (folder === undefined ? [] : [`${folder}/data/`]))
  return own.length === 0 ? [] : [...own, `/${config.project.name ?? ''}/${environment.name}/data/`]
}

async function refuseMoved(order: Order, move: MovedData, world: World): Promise<void> {
  const { config, environment, model } = order.project
  const said = config.environments[environment.name]?.services[move.kept.service]?.moved_from
  const parsed = said === undefined ? undefined : parseHostName(said)
  const isSaid = parsed !== undefined && move.from.includes(hostKey(parsed))
  for (const { project } of order.parts.filter((part) => move.to.includes(part.project.host.key))) {
    const docker = openReleaseDocker(project, world)
    const runs = await listContainers(docker, model.name)
    if (runs.some(({ service }) => service === move.kept.service)) continue // the same host, by another name
    const kept = ownOf(order, project.host, move.kept)
    if (!isSaid) throw moved(noticeOf(order, project.host), move, kept)
    if (!(await isThere(kept, project.host, docker))) throw notThere(noticeOf(order, project.host), kept)
  }
}

/** What is kept there is in a folder of that host's own root. */
function ownOf(order: Order, host: Host, was: Keeps): Keeps {
  const part = order.parts.find(({ project }) => project.host === host)
  const own = part && withUnnamed(order, part.rendering.model, {}).find(({ key }) => key === was.key)
  return own ?? was
}

async function isThere({ volume, folder }: Keeps, host: Host, docker: Docker): Promise<boolean> {
  if (volume !== undefined) return hasVolume(docker, volume)
  return folder === undefined || (await host.run(SAME_DATA, ['', folder])).code === 0
}

async function hasVolume(docker: Docker, volume: string): Promise<boolean> {
  const result = await docker.try(['volume', 'inspect', volume], { asks: true })
  if (result.code === 0) return true
  if (/no such volume/i.test(result.stderr)) return false
  throw childError(`look at volume ${volume}`, result)
}

async function refuseReplaced(order: Order, { project, serving, rendering }: Part, world: World): Promise<void> {
  if (serving === undefined) return
  const below = dataBelow(order)
  const docker = openReleaseDocker(project, world)
  for (const pair of replacedBy(keptBy(serving.model, below), keptBy(rendering.model, below))) {
    if (project.environment.services[pair.now.service]?.rollout.strategy === 'hold') continue // it keeps what it has
    if (await isSafe(pair, project.host, docker)) continue
    throw changed(noticeOf(order, project.host), pair)
  }
}

/** @returns whether there is something where it will look, or nothing where it has looked so far */
async function isSafe({ before, now }: Replaced, host: Host, docker: Docker): Promise<boolean> {
  if (now.volume !== undefined && (await hasVolume(docker, now.volume))) return true
  if (before.volume !== undefined && !(await hasVolume(docker, before.volume))) return true
  const { code } = await host.run(SAME_DATA, [before.folder ?? '', now.folder ?? '/dev/null/none'])
  return code === 0
}

function noticeOf({ project, parts }: Order, host: Host): Notice {
  const written = new Map(parts.map((part) => [part.project.host.key, part.project.host.name ?? '']))
  return { environment: project.environment.name, project: project.model.name, host: host.name, written }
}
