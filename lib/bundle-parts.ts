import { existsSync, readFileSync } from 'node:fs'
import { type Bundle, modelFile, readBundle, type ServingRelease, withModel } from './bundle.ts'
import type { Host } from './host.ts'

/**
 * A release on several hosts has a part for each but the first: a bundle with a model of its own, below the release's folder.
 * @returns what to call it where the id of a release is asked for
 */
export function partId(id: string, host: string): string {
  return `${id}/hosts/${host}`
}

/** @returns the ids of a release's own bundle and of its parts, the first host's first. */
export function partIds({ id, host, hosts = [] }: Pick<Bundle, 'id' | 'host' | 'hosts'>): string[] {
  return [id, ...hosts.filter((other) => other !== host).map((other) => partId(id, other))]
}

/** One of the hosts of an environment. */
export interface Place {
  /** lib/host.ts */
  readonly key: string
  /** those of all of them, the first's first */
  readonly keys: readonly string[]
}

/** @param hosts of the environment, the first first */
export function placeOf({ key }: Pick<Host, 'key'>, hosts: readonly Pick<Host, 'key'>[]): Place {
  return { key, keys: hosts.map((host) => host.key) }
}

/** @returns the bundle of a release on one host: its own, or that of a part. undefined: it was not there. @throws state (9) */
export function bundleOn(stateFile: string, bundle: Bundle, { key, keys }: Place): Bundle | undefined {
  const { id, host, hosts } = bundle
  // A release on one host is the first's, where that is only called by another name now.
  const isOf = host === undefined || (hosts === undefined && !keys.includes(host)) ? keys[0] : host
  return isOf === key ? bundle : readBundle(stateFile, partId(id, key))
}

/** The same with its model. @throws state (9) */
export function partOn(stateFile: string, release: ServingRelease, place: Place): ServingRelease | undefined {
  const bundle = bundleOn(stateFile, release.bundle, place)
  return bundle === release.bundle ? release : bundle && withModel(stateFile, bundle)
}

/** @returns whether a release has something left to undo or to finish, on any of its hosts */
export function hasJournal(stateFile: string, bundle: Bundle): boolean {
  return partIds(bundle).some((id) => (id === bundle.id ? bundle : readBundle(stateFile, id))?.journal !== undefined)
}

/**
 * @returns the hashes of all content of a release: what it recorded, and what its models mount. A held service mounts what
 * it was made with.
 */
export function contentOf(stateFile: string, id: string): Set<string> {
  const bundle = readBundle(stateFile, id)
  return new Set((bundle ? partIds(bundle) : [id]).flatMap((part) => contentOfPart(stateFile, part)))
}

/** The same of one host of a release. @param id of the release, or of its part */
export function contentOfPart(stateFile: string, id: string): string[] {
  const recorded = readBundle(stateFile, id)?.content.map(({ hash }) => hash) ?? []
  const mounted = [id, `${id}/adopted`].flatMap((folder) => {
    const file = modelFile(stateFile, folder)
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    return [...text.matchAll(/\/content\/([0-9a-f]{32})/g)].map(([, hash = '']) => hash)
  })
  return [...recorded, ...mounted]
}
