import { type Docker, openDocker } from '../docker/client.ts'
import { listContainers } from '../docker/containers.ts'
import type { Container } from '../docker/inspect.ts'
import { listRunningTasks, type RunningTask } from '../docker/swarm/running.ts'
import type { Host } from '../hosts/host.ts'
import { findLive, type LiveRelease } from '../record/bundle.ts'
import { partOn, placeOf } from '../record/bundle-parts.ts'
import { releasesOf } from '../record/releases.ts'
import { StagecraftError } from '../util/errors.ts'
import { quote } from '../util/format.ts'
import { namesHint } from '../util/nearest.ts'
import type { Settings } from './settings.ts'

/** What a command on a service of the live release acts on: a host that has it. */
interface LiveService {
  readonly host: Host
  readonly docker: Docker
  readonly release: LiveRelease
  /** the service's running containers, by name; those of the live release first */
  readonly containers: readonly Container[]
}

/** Which service, where. */
export interface ServiceWish {
  readonly service: string
  /** as in stagecraft.yml; undefined: all hosts that have the service */
  readonly host: string | undefined
}

/** The live release on one host. */
export type LivePart = Pick<LiveService, 'host' | 'release'>

/** @returns the hosts that have a part of the live release, in order. @throws not-found (4) if none is live, state (9) */
export function findLiveOn({ stateFile, environment, hosts }: Settings): LivePart[] {
  const live = findLive(stateFile, releasesOf(stateFile, environment.name))
  if (live === undefined)
    throw new StagecraftError('not-found', `Cannot find a service: no release is live in ${environment.name}`, {
      hint: 'Deploy first: stagecraft deploy',
    })
  return hosts.flatMap((host) => {
    const release = partOn(stateFile, live, placeOf(host, hosts))
    return release === undefined ? [] : [{ host, release }]
  })
}

/** @returns the hosts whose part of the live release has a service. @throws not-found (4), unreachable (8), state (9) */
export async function findLiveService(settings: Settings, wish: ServiceWish): Promise<LiveService[]> {
  const live = findLiveOn(settings)
  const chosen = chooseHosts(settings, wish.host)
  const parts = live.filter(({ host, release }) => chosen.includes(host) && release.model.services[wish.service])
  if (parts.length === 0) throw noService(live, wish)
  return Promise.all(
    parts.map(async ({ host, release }) => {
      const docker = openDocker(host.exec, (text) => text)
      const all = await listContainers(docker, release.bundle.project)
      const own = all.filter(({ service, state }) => service === wish.service && state === 'running')
      const isLive = ({ image }: Container) => image === release.bundle.images[wish.service]?.id
      return { host, docker, release, containers: [...own.filter(isLive), ...own.filter((one) => !isLive(one))] }
    }),
  )
}

/**
 * Of an environment on a Swarm: the tasks of a service of the live release that run now, by their slots.
 * @throws not-found (4), unreachable (8), state (9), usage (2) for a host
 */
export async function findLiveTasks(
  settings: Settings,
  wish: ServiceWish,
): Promise<Omit<LiveService, 'containers'> & { readonly tasks: readonly RunningTask[] }> {
  const live = findLiveOn(settings)
  const [part] = live
  if (wish.host !== undefined)
    throw new StagecraftError('usage', `Cannot choose a host in ${settings.environment.name}: Swarm places its tasks`, {
      hint: 'See which task is where: stagecraft status. To choose one: --replica',
    })
  if (part?.release.model.services[wish.service] === undefined) throw noService(live, wish)
  const docker = openDocker(part.host.exec, (text) => text)
  return { ...part, docker, tasks: await listRunningTasks(docker, part.release.bundle.project, wish.service) }
}

/** @param wanted as in stagecraft.yml; undefined: all @throws not-found (4) */
export function chooseHosts({ hosts, environment }: Settings, wanted: string | undefined): readonly Host[] {
  const chosen = hosts.filter(({ name, key }) => wanted === undefined || wanted === name || wanted === key)
  if (chosen.length > 0) return chosen
  const names = hosts.map(({ name }) => name).filter(Boolean)
  throw new StagecraftError('not-found', `Cannot find host ${quote(wanted ?? '')} in ${environment.name}`, {
    hint: names.length === 0 ? 'It runs on this machine: leave out --host.' : namesHint('Hosts', wanted ?? '', names),
  })
}

/** @returns the names of the services of a live release, over all hosts */
export function liveServices(live: readonly LivePart[]): string[] {
  return [...new Set(live.flatMap(({ release: { model } }) => Object.keys(model.services)))].toSorted()
}

/** @returns the error (4) for a service that the live release does not have, there */
export function noService(live: readonly LivePart[], { service, host }: ServiceWish): StagecraftError {
  const names = liveServices(live)
  const where = host === undefined ? '' : ` on ${host}`
  const version = live[0]?.release.bundle.version ?? 'the live release'
  return new StagecraftError('not-found', `Cannot find service ${quote(service)}${where} in ${version}`, {
    hint: namesHint('Services of the live release', service, names),
  })
}
