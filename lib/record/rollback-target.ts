import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { StagecraftError } from '../util/errors.ts'
import { type Bundle, contentFolder, type LiveRelease, readBundle, withModel } from './bundle.ts'
import { contentOf } from './bundle-parts.ts'
import { isComplete, LIST_HINT, releasesHint } from './find-release.ts'
import { statusOf, statusText } from './release-status.ts'
import type { State } from './releases.ts'
import type { Release } from './releases-file/format.ts'

/** Which release to restore. */
export type RollbackRequest =
  | { readonly to: 'previous' }
  | { readonly to: 'release'; readonly reference: string }
  | { readonly to: 'version'; readonly version: string }

/** The releases of one environment, and the live one. */
interface History {
  readonly state: State
  readonly environment: string
  readonly serving: Bundle | undefined
  /** no release is live, because this one was taken down */
  readonly down?: Bundle | undefined
}

/** @throws not-found (4) if there is no such release, or it cannot be restored, with the reason */
export function chooseTarget(history: History, request: RollbackRequest): LiveRelease {
  const { state, environment, serving, down } = history
  if (serving === undefined && down === undefined)
    throw notFound(`Cannot roll back ${environment}: no release is live there`, 'Deploy first: stagecraft deploy')
  if (request.to === 'previous') return serving ? previousTarget(history, serving) : newestTarget(history)
  const release =
    request.to === 'release'
      ? state.findRelease(request.reference, environment)
      : newestOf(state.listReleases({ environment }), request.version, environment)
  return openTarget(history, release)
}

/** @returns why a release cannot be restored; undefined: it can. Its images are checked later, on the engine. */
export function whyNoTarget({ state, environment, serving }: History, release: Release): string | undefined {
  if (release.environment !== environment) return `it is a release of ${release.environment}`
  if (release.id === serving?.id) return 'it is live now'
  if (!isComplete(release)) return `it did not complete (${statusText(statusOf(release))})`
  const bundle = readBundle(state.file, release.id)
  if (bundle === undefined) return 'its bundle is gone: it was pruned, or removed by hand'
  if (withModel(state.file, bundle) === undefined) return 'its bundle is incomplete: compose.json is missing'
  if (bundle.hosts !== undefined) return undefined // each host has its own content, and checks it
  const lost = [...contentOf(state.file, release.id)].find((hash) => !existsSync(join(contentFolder(state.file), hash)))
  const name = bundle.content.find(({ hash }) => hash === lost)?.name ?? `a held service (${lost})`
  return lost && `its bundle is incomplete: the content of ${name} is missing`
}

/**
 * @returns the id of the release that was live before `bundle`'s; for a rollback to t, of the one that was live before t.
 * So two rollbacks in a row go further back.
 */
export function previousOf(stateFile: string, bundle: Bundle): string | undefined {
  if (bundle.rollback_to === undefined) return bundle.served_before
  const target = readBundle(stateFile, bundle.rollback_to)
  return target && previousOf(stateFile, target) // undefined without t's bundle: the release before the rollback is newer than t
}

/** Goes back to the newest release that can be restored: one that was live but did not complete is skipped. */
function previousTarget(history: History, serving: Bundle): LiveRelease {
  const { file } = history.state
  for (let id = previousOf(file, serving); id !== undefined; ) {
    const release = history.state.getRelease(id)
    if (release && whyNoTarget(history, release) === undefined) return openTarget(history, release)
    const bundle = readBundle(file, id)
    id = bundle && previousOf(file, bundle)
  }
  const { id, version } = serving
  throw notFound(`Cannot roll back ${history.environment}: no release before ${version} (${id}) can be restored`)
}

/** After `down`: what was taken down, or the newest release before it that can be restored. */
function newestTarget(history: History): LiveRelease {
  const { state, environment } = history
  const found = state.listReleases({ environment }).find((release) => whyNoTarget(history, release) === undefined)
  if (found) return openTarget(history, found)
  throw notFound(`Cannot roll back ${environment}: no release can be restored`)
}

function newestOf(releases: readonly Release[], version: string, environment: string): Release {
  const found = releases.find((release) => release.version === version && isComplete(release))
  if (found) return found
  const tried = releases.some((release) => release.version === version)
  const what = `Cannot roll back to version ${JSON.stringify(version)}`
  if (tried) throw notFound(`${what}: it never completed in ${environment}`)
  const completed = releases.filter(isComplete).toReversed()
  throw notFound(`${what}: ${environment} never had it`, releasesHint(version, completed))
}

function openTarget(history: History, release: Release): LiveRelease {
  const why = whyNoTarget(history, release)
  const bundle = readBundle(history.state.file, release.id)
  const whole = bundle && withModel(history.state.file, bundle)
  if (why === undefined && whole) return whole
  throw notFound(`Cannot roll back to ${release.id} (${release.version}): ${why}`)
}

function notFound(message: string, hint = LIST_HINT): StagecraftError {
  return new StagecraftError('not-found', message, { hint })
}
