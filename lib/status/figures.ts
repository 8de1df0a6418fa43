import { type Docker, openDocker } from '../docker/client.ts'
import { type Usage, usageOf } from '../docker/stats.ts'
import { execOn } from '../project/session.ts'
import type { Settings } from '../project/settings.ts'
import { findProxy } from '../proxy/container.ts'
import { proxyStatus, type RouteStatus } from '../proxy/status.ts'
import { readBundle } from '../record/bundle.ts'
import { StagecraftError } from '../util/errors.ts'
import { mapConcurrently } from '../util/map-concurrently.ts'
import type { StatusWorld } from './drift.ts'
import type { EnvironmentStatus } from './environment.ts'
import { isOnSeveral } from './format.ts'

/** What changes from second to second in an environment. */
export interface Figures {
  /** by container id */
  readonly usage: ReadonlyMap<string, Usage>
  /** of the live release; `host` is set if there are several hosts */
  readonly routes: readonly (RouteStatus & { readonly host?: string })[]
}

export const NO_FIGURES: Figures = { usage: new Map(), routes: [] }

/** Measures the running containers and counts the open requests of an environment. A host that does not answer is left out. */
export async function figuresOf(
  { hosts, stateFile, environment }: Pick<Settings, 'hosts' | 'stateFile' | 'environment'>,
  status: EnvironmentStatus,
  world: StatusWorld,
): Promise<Figures> {
  if (environment.engine === 'swarm') return NO_FIGURES // each node would have to be asked
  const { services = [], serving } = status
  const several = isOnSeveral(status)
  const bundle = serving && readBundle(stateFile, serving.id)
  const all = await mapConcurrently(hosts, async (host) => {
    const docker = openDocker(execOn(host, world), (text) => text)
    const here = services.filter((service) => service.host === undefined || service.host === host.name)
    const running = here.flatMap(({ containers }) => containers.filter(({ state }) => state === 'running'))
    const ids = running.map(({ id }) => id)
    const [usage, routes] = await Promise.all([
      unlessItFails(usageOf(docker, ids), new Map<string, Usage>()),
      bundle?.routes?.length ? unlessItFails(routesOf(docker, bundle.project), []) : [],
    ])
    return { usage, routes: several ? routes.map((route) => ({ ...route, host: host.name })) : routes }
  })
  return { usage: new Map(all.flatMap(({ usage }) => [...usage])), routes: all.flatMap(({ routes }) => routes) }
}

async function routesOf(docker: Docker, project: string): Promise<readonly RouteStatus[]> {
  const proxy = await findProxy(docker)
  if (proxy === undefined) return []
  const { routes } = await proxyStatus({ docker, proxy })
  return routes.filter((route) => route.project === project)
}

/** The status of the same moment reports what fails. */
async function unlessItFails<T>(asked: Promise<T>, otherwise: T): Promise<T> {
  return asked.catch((error: unknown) => {
    if (error instanceof StagecraftError) return otherwise
    throw error
  })
}
