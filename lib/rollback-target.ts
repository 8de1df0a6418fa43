import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Bundle, contentFolder, readBundle, type ServingRelease, withModel } from './bundle.ts'
import { contentOf } from './bundle-parts.ts'
import { StagecraftError } from './errors.ts'
import { isComplete } from './find-release.ts'
import { statusOf, statusText } from './release-status.ts'
import type { Release, State } from './state.ts'

/** Which release to put back. */
export type RollbackRequest =
  | { readonly to: 'previous' }
  | { readonly to: 'release'; readonly reference: string }
  | { readonly to: 'version'; readonly version: string }

/** The releases of one environment, and which of them serves. */
export interface History {
  readonly state: State
  readonly environment: string
  readonly serving: Bundle | undefined
}

/** @throws not-found (4): there is no such release, or it cannot be put back, and why */
export function chooseTarget(history: History, request: RollbackRequest): ServingRelease {
  const { state, environment, serving } = history
  if (serving === undefined)
    throw notFound(`Cannot roll back ${environment}: nothing serves there`, 'Deploy first: stagecraft deploy')
  if (request.to === 'previous') return previousTarget(history, serving)
  const release =
    request.to === 'release'
      ? state.findRelease(request.reference, environment)
      : newestOf(state.listReleases({ environment }), request.version, environment)
  return openTarget(history, release)
}

/** @returns why a release cannot be put back, or undefined where it can. Its images are looked for later, on the engine. */
export function whyNoTarget({ state, environment, serving }: History, release: Release): string | undefined {
  if (release.environment !== environment) return `it is a release of ${release.environment}`
  if (release.id === serving?.id) return 'it serves now'
  if (!isComplete(release)) return `it did not complete (${statusText(statusOf(release))})`
  const bundle = readBundle(state.file, release.id)
  if (bundle === undefined) return 'its bundle is gone: it was pruned, or removed by hand'
  if (withModel(state.file, bundle) === undefined) return 'its bundle is not whole: compose.json is missing'
  if (bundle.hosts !== undefined) return undefined // each host has its own: that is looked at there
  const lost = [...contentOf(state.file, release.id)].find((hash) => !existsSync(join(contentFolder(state.file), hash)))
  const name = bundle.content.find(({ hash }) => hash === lost)?.name ?? `a held service (${lost})`
  return lost && `its bundle is not whole: the content of ${name} is missing`
}

/**
 * @returns the id of the release that served before `bundle`'s; if that was a rollback to t, of the one that served before
 * t. So two rollbacks in a row go further back.
 */
export function previousOf(stateFile: string, bundle: Bundle): string | undefined {
  if (bundle.rollback_to === undefined) return bundle.served_before
  const target = readBundle(stateFile, bundle.rollback_to)
  return target && previousOf(stateFile, target) // nobody knows any more: what served before was newer
}

/** Goes back until there is one that can be put back: a release that served but did not complete is passed over. */
function previousTarget(history: History, serving: Bundle): ServingRelease {
  const { file } = history.state
  for (let id = previousOf(file, serving); id !== undefined; ) {
    const release = history.state.getRelease(id)
    if (release && whyNoTarget(history, release) === undefined) return openTarget(history, release)
    const bundle = readBundle(file, id)
    id = bundle && previousOf(file, bundle)
  }
  const { id, version } = serving
  throw notFound(
    `Cannot roll back ${history.environment}: nothing that can be put back served before ${version} (${id})`,
  )
}

function newestOf(releases: readonly Release[], version: string, environment: string): Release {
  const found = releases.find((release) => release.version === version && isComplete(release))
  if (found) return found
  const tried = releases.some((release) => release.version === version)
  const what = `Cannot roll back to version ${JSON.stringify(version)}`
  throw notFound(`${what}: ${tried ? `it never completed in ${environment}` : `${environment} never had it`}`)
}

function openTarget(history: History, release: Release): ServingRelease {
  const why = whyNoTarget(history, release)
  const bundle = readBundle(history.state.file, release.id)
  const whole = bundle && withModel(history.state.file, bundle)
  if (why === undefined && whole) return whole
  throw notFound(`Cannot roll back to ${release.id} (${release.version}): ${why}`)
}

function notFound(message: string, hint = '"stagecraft releases list" shows the releases.'): StagecraftError {
  return new StagecraftError('not-found', message, { hint })
}
