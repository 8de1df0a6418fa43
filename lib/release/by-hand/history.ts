import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Docker, openDocker } from '../../docker/client.ts'
import { buildsElsewhere, type Host } from '../../hosts/host.ts'
import { buildMark, pruneBuilt } from '../../project/built-here.ts'
import { pruneNodes } from '../../project/engine/nodes.ts'
import { refuseForeign } from '../../project/ownership.ts'
import { type PrunePlan, planRemoval, pruneContent, pruneTags } from '../../project/prune.ts'
import { type LockedSession, openUndoDocker } from '../../project/session.ts'
import type { Settings } from '../../project/settings.ts'
import { findForgetting, ownBundles } from '../../record/bundle/own.ts'
import { bundleFolder } from '../../record/bundle/ref.ts'
import { type Bundle, contentFolder, lastLive, writeBundle } from '../../record/bundle.ts'
import { placeOf } from '../../record/bundle-parts.ts'
import { openState } from '../../record/releases.ts'
import { createSecrets } from '../../secrets/mask.ts'
import { removeTree } from '../../system/remove-tree.ts'
import { errorText, StagecraftError } from '../../util/errors.ts'

/** @returns for each host, what removing the history removes. Changes nothing. */
export function planHistory({ stateFile, environment, hosts }: Settings, clock: () => number): [Host, PrunePlan][] {
  const state = openState(stateFile, { clock })
  return hosts.map((host) => [host, planRemoval(state, environment.name, placeOf(host, hosts))])
}

/**
 * Removes all that is known of an environment's releases: images that only they need, bundles, content, records. Its containers are
 * gone. It begins with a mark in one bundle, which is removed last: if this run dies, the next command goes on.
 * @throws state (9), unreachable (8)
 */
export async function removeHistory(settings: Settings, session: LockedSession): Promise<void> {
  const { stateFile, environment } = settings
  const state = openState(stateFile, { clock: () => session.clock.now() })
  const releases = state.listReleases({ environment: environment.name })
  const marked = lastLive(stateFile, releases) ?? ownBundles(stateFile, environment.name).at(-1)
  if (marked === undefined) {
    state.removeReleases(environment.name)
    return session.held.persist?.()
  }
  const at = new Date(session.clock.now()).toISOString()
  writeBundle(stateFile, { ...marked, forgetting: { by: session.user, at } })
  await session.held.persist?.()
  await goOn(marked, settings, session)
}

/** Finishes what a run that died had begun. @returns whether there was such a run. @throws state (9), unreachable (8) */
export async function finishHistory(settings: Settings, session: LockedSession): Promise<boolean> {
  const { stateFile, environment } = settings
  const marked = findForgetting(stateFile, environment.name)
  if (marked === undefined) return false
  await refuseForeign(settings, marked.project, session) // another checkout may have deployed it meanwhile
  await goOn(marked, settings, session)
  const message = `the history of ${environment.name} was being removed by ${marked.forgetting?.by}, whose run died: the rest of it is removed now. Nothing is deployed.`
  session.emit({ type: 'recovery', release: marked.id, version: marked.version, outcome: 'finished', message })
  return true
}

/** Each step may be repeated. Images first: the bundles name them. */
async function goOn(marked: Bundle, settings: Settings, session: LockedSession): Promise<void> {
  const { stateFile, environment } = settings
  const state = openState(stateFile, { clock: () => session.clock.now() })
  const plans = planHistory(settings, () => session.clock.now())
  const { mask } = session.secrets ?? createSecrets()
  for (const [host, plan] of plans) {
    await pruneTags(openUndoDocker(host, mask, session), plan, host)
    await pruneNodes(host, plan, buildMark(settings), openUndoDocker(host, mask, session))
    if (buildsElsewhere(host)) await pruneHere(openDocker(host.local, mask), plan, settings, session)
  }
  const ids = [...state.listReleases({ environment: environment.name }), ...ownBundles(stateFile, environment.name)]
  for (const id of new Set(ids.map((one) => one.id).toSorted()))
    if (id !== marked.id) removeTree(bundleFolder(stateFile, id))
  hollowOut(marked, stateFile)
  for (const [host] of plans) pruneContent(state, contentFolder(host.stateFile))
  await session.held.persist?.()
  state.removeReleases(environment.name)
  removeTree(bundleFolder(stateFile, marked.id))
  await session.held.persist?.()
}

/** Leaves of a bundle what says that the history is being removed: no values of env, no content. */
function hollowOut(marked: Bundle, stateFile: string): void {
  const folder = bundleFolder(stateFile, marked.id)
  for (const name of readdirSync(folder)) if (name !== 'release.json') removeTree(join(folder, name))
  const now = ownBundles(stateFile, marked.environment).find(({ id }) => id === marked.id) ?? marked
  writeBundle(stateFile, { ...now, content: [] })
}

/** The engine that built the images may be gone: that keeps nobody from removing the history. */
async function pruneHere(builder: Docker, plan: PrunePlan, settings: Settings, { emit }: LockedSession): Promise<void> {
  await pruneBuilt(builder, plan, buildMark(settings)).catch((error: unknown) => {
    if (!(error instanceof StagecraftError)) throw error
    emit({ type: 'warning', message: `images that were built here stay: ${errorText(error)}` })
  })
}
