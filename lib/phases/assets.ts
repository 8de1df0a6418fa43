import type { Assets } from '../config/edge/assets.ts'
import type { Docker } from '../docker/client.ts'
import type { LiveFacts } from '../plan/input.ts'
import { releaseId } from '../plan/release-id.ts'
import { NO_PROXY } from '../proxy/api.ts'
import { type AssetSet, linkAssets, removeStoring, storeAssets } from '../proxy/assets/sets.ts'
import { ownBundles } from '../record/bundle/own.ts'
import type { Bundle } from '../record/bundle.ts'
import { bundleOn, type Place, placeOf } from '../record/bundle-parts.ts'
import { errorText, StagecraftError } from '../util/errors.ts'
import type { HostRun } from './host-run.ts'

/**
 * Before the switch: brings the assets of the new release, and what the proxy lacks of those before it, to where the proxy finds
 * them. Those of the live release stay. What cannot be done is a warning: it is about old pages, and the release goes on.
 */
export async function keepAssets({ request, tools, bundle }: HostRun): Promise<void> {
  const { project, serving } = request
  const { docker, undoDocker, emit } = tools
  const { now } = bundle
  const wanted = assetsIn(now)
  if (wanted.size === 0) return
  const storing = { docker, undoDocker, project: now.project }
  const warn = (message: string) => emit({ type: 'warning', message, hint: LATER })
  try {
    await removeStoring(storing)
    const before = liveBefore(project.stateFile, now, placeOf(project.host, project.hosts))
    const sets = setsOf(now, before, new Map([...(serving ? assetsIn(serving.bundle) : []), ...wanted]))
    const missing = await linkAssets(docker, now.project, sets)
    if (missing === undefined) warn(`the assets of this release are not kept: ${NO_PROXY}`)
    for (const set of missing ?? []) {
      const why = await storeAssets(storing, set)
      if (why !== undefined && set.image === now.images[set.service])
        warn(`the assets of ${set.service} are not kept: ${why}`)
    }
  } catch (error) {
    // A lost lock is noticed by what comes next.
    if (!(error instanceof StagecraftError) || !['failed', 'state'].includes(error.kind)) throw error
    warn(`the assets of this release are not kept: ${errorText(error)}`)
  }
}

const LATER = 'Pages of this release that are still open after the next one will get 404 for them.'

/** After the switch, and after older releases were pruned: the proxy keeps the assets of those that are left, and no others. */
export async function pruneAssets(
  docker: Docker,
  stateFile: string,
  place: Place,
  { now, before }: { readonly now: Bundle; readonly before?: LiveFacts | undefined },
): Promise<void> {
  const wanted = assetsIn(now)
  if (wanted.size === 0 && (before === undefined || assetsIn(before).size === 0)) return
  await linkAssets(docker, now.project, setsOf(now, liveBefore(stateFile, now, place), wanted))
}

/** Removes all that the proxy has of an environment, if one of its releases had assets. */
export async function removeAssets(
  docker: Docker,
  stateFile: string,
  { environment, project }: { readonly environment: string; readonly project: string },
): Promise<void> {
  if (!ownBundles(stateFile, environment).some((one) => assetsIn(one).size > 0)) return
  await removeStoring({ undoDocker: docker, project })
  await linkAssets(docker, project, [])
}

/** @returns the settings of its services that have assets */
function assetsIn({ services = {} }: Pick<LiveFacts, 'services'>): ReadonlyMap<string, Assets> {
  return new Map(
    Object.entries(services).flatMap(([service, { expose }]) => (expose?.assets ? [[service, expose.assets]] : [])),
  )
}

/**
 * @param before what was live, the newest first
 * @param wanted of the release just before the setting, which says nothing of its assets
 * @returns the sets of each service, the newest first, back to where the setting began
 */
function setsOf(now: Bundle, before: readonly Bundle[], wanted: ReadonlyMap<string, Assets>): AssetSet[] {
  return [...wanted].flatMap(([service, today]) => {
    const began = before.findIndex((bundle) => !assetsIn(bundle).has(service))
    const own = before.slice(0, began < 0 ? undefined : began + 1)
    return [...(assetsIn(now).has(service) ? [now] : []), ...own].flatMap((bundle) => {
      const image = bundle.images[service]
      return image ? [{ service, image, ...(assetsIn(bundle).get(service) ?? today) }] : []
    })
  })
}

/** @returns what was live on a host since the environment was last taken down, without this release, the newest first */
function liveBefore(stateFile: string, { id, environment }: Bundle, place: Place): Bundle[] {
  const others = ownBundles(stateFile, environment).filter((one) => one.id !== releaseId(id))
  const since = others.slice(others.findLastIndex(({ removed_at }) => removed_at !== undefined) + 1)
  const live = since.filter(({ switched_at }) => switched_at !== undefined).toReversed()
  return live.flatMap((one) => bundleOn(stateFile, one, place) ?? [])
}
