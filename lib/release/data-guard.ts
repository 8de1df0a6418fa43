import {
  type Keeps,
  keepsUnnamed,
  keptBy,
  type MovedData,
  movedData,
  type Replaced,
  replacedBy,
} from '../compose/kept-data.ts'
import type { ComposeModel } from '../compose/model.ts'
import { HostAddress, hostKey } from '../config/host-address.ts'
import type { Docker } from '../docker/client.ts'
import { listContainers } from '../docker/containers.ts'
import type { ReleasedImage } from '../docker/images.ts'
import type { Container } from '../docker/inspect.ts'
import { hasVolume } from '../docker/volumes/commands.ts'
import type { Host } from '../hosts/host.ts'
import { SAME_DATA } from '../hosts/scripts/state.ts'
import type { HostRequest } from '../phases/host-run.ts'
import { beginsEmpty, changed, moved, type Notice, notThere } from '../project/data-errors.ts'
import { openReleaseDocker, type Session } from '../project/session.ts'
import type { Project } from '../project/settings.ts'
import { partOn } from '../record/bundle-parts.ts'
import { mapConcurrently } from '../util/map-concurrently.ts'
import type { ReleaseRequest } from './request.ts'

/**
 * Refuses a release that would begin with an empty volume or folder while its data is somewhere else: on its former
 * host, or in its former volume or folder. Asks engines and hosts only about what has moved. Changes nothing.
 * @throws config (3) with what to do
 */
export async function refuseLostData(request: ReleaseRequest, session: Session): Promise<void> {
  if (request.serving === undefined) return
  const { before, now } = placesOf(request)
  for (const move of movedData(before, now)) await refuseMoved(request, move, session)
  await mapConcurrently(request.parts, (part) => refuseReplaced(request, part, session))
}

/**
 * Warns before a first release which volumes and folders begin empty: nothing is known of data elsewhere then.
 */
export async function sayWhatBeginsEmpty(request: ReleaseRequest, session: Session): Promise<void> {
  if (request.serving !== undefined) return
  await mapConcurrently(request.parts, async ({ project, rendering }) => {
    const { host, environment } = project
    if (host.isLocal) return
    const docker = openReleaseDocker(project, session)
    const kept = keptBy(rendering.model, dataBelow(request))
    const there = await mapConcurrently(kept, (one) => isThere(one, host, docker))
    const empty = kept.filter((_, at) => !there[at]).map(({ service, what }) => `${service} (${what})`)
    if (empty.length > 0) session.emit(beginsEmpty(host.name, environment.name, empty))
  })
}

type Everywhere = ReadonlyMap<string, readonly Keeps[]>

/** @returns by host, what the live release keeps (also on hosts that were removed), and what the new one keeps. */
function placesOf(request: ReleaseRequest): { before: Everywhere; now: Everywhere } {
  const { serving, parts, project } = request
  const keys = project.hosts.map(({ key }) => key)
  const { host = '', hosts = [keys.includes(host) ? host : (keys[0] ?? '')] } = serving?.bundle ?? {}
  const live = hosts.flatMap((key) => {
    const part = serving && partOn(project.stateFile, serving, { key, keys })
    return part ? [{ key, model: part.model, images: part.bundle.images }] : []
  })
  const images = Object.assign({}, ...live.map((part) => part.images)) as Record<string, ReleasedImage>
  const keeps = (model: ComposeModel) => withUnnamed(request, model, images)
  return {
    before: new Map(live.map(({ key, model }) => [key, keeps(model)])),
    now: new Map(parts.map((part) => [part.project.host.key, keeps(part.rendering.model)])),
  }
}

function withUnnamed(
  request: ReleaseRequest,
  model: ComposeModel,
  images: Readonly<Record<string, ReleasedImage>>,
): Keeps[] {
  const { jobs } = request.project.topology
  const unnamed = Object.entries(model.services).filter(
    ([name, service]) => !jobs.includes(name) && keepsUnnamed(service, images[name]),
  )
  const what = 'a volume without a name'
  return [
    ...keptBy(model, dataBelow(request)),
    ...unnamed.map(([service]) => ({ service, key: `service ${service}`, what, target: '' })),
  ]
}

/** @returns the data folders of the hosts, and the end of the path that those of former roots have in common. */
function dataBelow({ project: { config, environment, hosts } }: ReleaseRequest): string[] {
  const own = hosts.flatMap(({ folder }) => (folder === undefined ? [] : [`${folder}/data/`]))
  return own.length === 0 ? [] : [...own, `/${config.project.name ?? ''}/${environment.name}/data/`]
}

async function refuseMoved(request: ReleaseRequest, move: MovedData, session: Session): Promise<void> {
  const { config, environment, model } = request.project
  const said = config.environments[environment.name]?.services[move.kept.service]?.moved_from
  const isSaid = said !== undefined && move.from.includes(hostKey(said))
  for (const { project } of request.parts.filter((part) => move.to.includes(part.project.host.key))) {
    const docker = openReleaseDocker(project, session)
    const runs = await listContainers(docker, model.name)
    if (runs.some(({ service }) => service === move.kept.service)) continue // the same host, by another name
    const kept = ownOf(request, project.host, move.kept)
    if (!isSaid) throw moved(noticeOf(request, project.host), move, kept)
    if (!(await isThere(kept, project.host, docker))) throw notThere(noticeOf(request, project.host), kept)
  }
}

/** @returns what `was` is on that host, whose folders are below its own root. */
function ownOf(request: ReleaseRequest, host: Host, was: Keeps): Keeps {
  const part = request.parts.find(({ project }) => project.host === host)
  const own = part && withUnnamed(request, part.rendering.model, {}).find(({ key }) => key === was.key)
  return own ?? was
}

async function isThere({ volume, folder }: Keeps, host: Host, docker: Docker): Promise<boolean> {
  if (volume !== undefined) return hasVolume(docker, volume)
  return folder === undefined || (await host.run(SAME_DATA, ['', folder])).code === 0
}

/**
 * As `refuseLostData`, for what ran before the first release; only at the same paths of its containers: nobody said what else is data.
 * @param before the model of what runs on one host, and its anonymous volumes
 * @throws config (3) with what to do
 */
export async function refuseLeftData(
  request: ReleaseRequest,
  part: HostRequest,
  before: { readonly model: ComposeModel; readonly containers: readonly Container[] },
  session: Session,
): Promise<void> {
  const below = dataBelow(request)
  const unnamed = before.containers.flatMap(({ service, anonymous }) =>
    anonymous.map(({ name, path }) => {
      const what = `the volume ${name.slice(0, 12)}`
      return { service, key: `volume ${name}`, what, target: path, volume: name }
    }),
  )
  const all = [...unnamed, ...keptBy(before.model, below)]
  const pairs = replacedBy(all, keptBy(part.rendering.model, below))
  const atSamePath = pairs.filter((pair) => pair.before.target === pair.now.target)
  await refusePairs(request, part.project, atSamePath, session)
}

async function refuseReplaced(request: ReleaseRequest, part: HostRequest, session: Session): Promise<void> {
  const { project, serving, rendering } = part
  if (serving === undefined) return
  const below = dataBelow(request)
  const pairs = replacedBy(keptBy(serving.model, below), keptBy(rendering.model, below))
  await refusePairs(request, project, pairs, session)
}

async function refusePairs(
  request: ReleaseRequest,
  project: Project,
  pairs: readonly Replaced[],
  session: Session,
): Promise<void> {
  const docker = openReleaseDocker(project, session)
  for (const pair of pairs) {
    if (project.environment.services[pair.now.service]?.rollout.strategy === 'hold') continue // no release touches it
    if (await isSafe(pair, project.host, docker)) continue
    throw changed(noticeOf(request, project.host), pair)
  }
}

/** @returns whether there is data at the new place, or none at the old one. */
async function isSafe({ before, now }: Replaced, host: Host, docker: Docker): Promise<boolean> {
  if (now.volume !== undefined && (await hasVolume(docker, now.volume))) return true
  if (before.volume !== undefined && !(await hasVolume(docker, before.volume))) return true
  const { code } = await host.run(SAME_DATA, [before.folder ?? '', now.folder ?? '/dev/null/none'])
  return code === 0
}

function noticeOf({ project: { environment, model } }: ReleaseRequest, { key }: Host): Notice {
  const hosts = new Map(environment.hosts?.map((host) => [hostKey(host), host]))
  return {
    environment: environment.name,
    project: model.name,
    host: hosts.get(key) ?? new HostAddress(''),
    hosts,
  }
}
