import { listContainersIn, ofProject } from '../../docker/containers.ts'
import { removeContainers } from '../../docker/lifecycle.ts'
import { listNetworks, removeNetwork } from '../../docker/networks.ts'
import { listVolumes, removeVolumes } from '../../docker/volumes/commands.ts'
import { forget } from '../../hosts/owners.ts'
import { removeAssets } from '../../phases/assets.ts'
import { installSchedules } from '../../phases/schedules.ts'
import { describeRoute, routeNetwork } from '../../plan/routes/table.ts'
import { refuseForeign } from '../../project/ownership.ts'
import { presentOnly } from '../../project/prune.ts'
import { type LockedSession, openReleaseDocker, openUndoDocker, type Session } from '../../project/session.ts'
import type { Settings } from '../../project/settings.ts'
import { readProxyIfUp } from '../../proxy/api.ts'
import { removeUnneeded } from '../../proxy/connect.ts'
import { forgetMaintenance } from '../../proxy/maintenance.ts'
import { disconnectUnrouted, restoreRoutes } from '../../proxy/routing.ts'
import { newestProject } from '../../record/bundle/own.ts'
import { type Bundle, liveBundle, writeBundle } from '../../record/bundle.ts'
import { bundleOn, placeOf } from '../../record/bundle-parts.ts'
import { releasesOf } from '../../record/releases.ts'
import { createSecrets } from '../../secrets/mask.ts'
import { StagecraftError } from '../../util/errors.ts'
import { mapConcurrently } from '../../util/map-concurrently.ts'
import type { DownPlan, DownWish } from './down-plan.ts'
import { planHistory, removeHistory } from './history.ts'
import { planStackDown, removeWholeStack } from './stack-down.ts'

/** @returns what would be removed, on each host. Changes nothing. @throws not-found (4) if nothing was ever deployed */
export async function planDown(settings: Settings, wish: DownWish, session: Session): Promise<DownPlan[]> {
  const { stateFile, environment } = settings
  const project = newestProject(stateFile, environment.name)
  const now = () => session.clock.now()
  if (project === undefined && wish.history && recorded(settings) > 0) return [] // all of its bundles are gone
  if (project === undefined) throw nothingDeployed(environment.name)
  const tags = new Map(wish.history ? planHistory(settings, now) : [])
  return mapConcurrently(settings.hosts, async (host) => {
    const docker = openReleaseDocker({ secrets: [], host }, session)
    const plan = tags.get(host)
    const images = plan === undefined ? [] : (await presentOnly(docker, plan)).tags.map(({ tag }) => tag)
    if (environment.engine === 'swarm') return planStackDown(docker, { host, project, images }, wish)
    const [containers, networks, proxy, data] = await Promise.all([
      listContainersIn(docker, project),
      listNetworks(docker, ofProject(project)),
      readProxyIfUp(docker),
      wish.volumes ? listVolumes(docker, ofProject(project), []) : [],
    ])
    const routes = proxy?.projects[project] ?? []
    const others = Object.entries(proxy?.projects ?? {}).filter(([name, own]) => name !== project && own.length > 0)
    return {
      ...{ host, project, containers, networks, images },
      routes: routes.map((route) => describeRoute(route)),
      maintenance: proxy?.maintenance.includes(project) ?? false,
      proxy: proxy !== undefined && routes.length > 0 && others.length === 0,
      volumes: data.flatMap(([name = '']) => (name === '' ? [] : [name])),
    }
  })
}

/** @returns how many releases are recorded of an environment */
export function recorded({ stateFile, environment }: Settings): number {
  return releasesOf(stateFile, environment.name).length
}

/**
 * Takes an environment away: routes, containers, networks, volumes if planned, and the record of its owner. Its history and
 * bundles stay unless `history`. May be repeated after it failed or was killed: the release counts as live until all is gone.
 * @throws failed (5), state (9) if another folder keeps the releases, unreachable (8)
 */
export async function takeDown(
  settings: Settings,
  plans: readonly DownPlan[],
  { history }: Pick<DownWish, 'history'>,
  session: LockedSession,
): Promise<void> {
  const { stateFile, environment } = settings
  const [first] = plans
  if (first) await refuseForeign(settings, first.project, session)
  const live = liveBundle(stateFile, releasesOf(stateFile, environment.name))
  await mapConcurrently(plans, (plan) => remove(plan, { live, history }, settings, session))
  if (live) writeBundle(stateFile, { ...live, removed_at: new Date(session.clock.now()).toISOString() })
  await session.held.persist?.()
  if (history) await removeHistory(settings, session)
}

async function remove(
  plan: DownPlan,
  { live, history }: Pick<DownWish, 'history'> & { readonly live: Bundle | undefined },
  settings: Settings,
  session: LockedSession,
): Promise<void> {
  const { environment, stateFile, hosts } = settings
  const { host, project, containers, networks, volumes } = plan
  const { clock, emit } = session
  const docker = openUndoDocker(host, (session.secrets ?? createSecrets()).mask, session)
  if (environment.engine === 'swarm') return removeWholeStack(docker, plan, session.clock, { history })
  const none = { routes: [], slots: {} }
  const where = { docker, clock, emit, name: project, proxy: environment.proxy }
  const own = live && bundleOn(stateFile, live, placeOf(host, hosts))
  if (own?.scheduler) await installSchedules({ host, docker }, { project, scheduler: own.scheduler })
  await restoreRoutes(where, none) // requests stop before what answers them does
  await forgetMaintenance(docker, project) // only then: nobody may ask what was under maintenance
  await removeAssets(docker, stateFile, { environment: environment.name, project })
  await removeContainers(docker, containers)
  await disconnectUnrouted({ docker, name: project }, [], none)
  for (const network of networks.filter((name) => name !== routeNetwork(project)))
    await removeNetwork(docker, [network], { what: `remove network ${network}` })
  if (volumes.length > 0) await removeVolumes(docker, volumes, { what: `remove volumes ${volumes.join(', ')}` })
  await forget(docker, project)
  if (plan.proxy) await removeUnneeded(docker)
}

function nothingDeployed(environment: string): StagecraftError {
  return new StagecraftError('not-found', `Cannot take ${environment} down: nothing was deployed to it`, {
    hint: 'To remove what was started by hand: docker compose down',
  })
}
