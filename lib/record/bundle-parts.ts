import { existsSync, readFileSync } from 'node:fs'
import { type BundleRef, modelFile, modelRef, partRef, partRefs } from './bundle/ref.ts'
import { type Bundle, type LiveRelease, readBundle, withModel } from './bundle.ts'

/** One of the hosts of an environment. */
export interface Place {
  /** what the host is called in bundles (lib/config/host-address.ts) */
  readonly key: string
  /** the keys of all hosts, the first host's first */
  readonly keys: readonly string[]
}

/** @param hosts all hosts of the environment, in order */
export function placeOf({ key }: Pick<Place, 'key'>, hosts: readonly Pick<Place, 'key'>[]): Place {
  return { key, keys: hosts.map((host) => host.key) }
}

/** @returns the bundle of a release on one host; undefined: the release is not on it. @throws state (9) */
export function bundleOn(stateFile: string, bundle: Bundle, { key, keys }: Place): Bundle | undefined {
  const { id, host, hosts } = bundle
  // A release on a single host belongs to the first host, even if that has another name now.
  const isOf = host === undefined || (hosts === undefined && !keys.includes(host)) ? keys[0] : host
  return isOf === key ? bundle : readBundle(stateFile, partRef(id, key))
}

/** Like bundleOn, with the model. @throws state (9) */
export function partOn(stateFile: string, release: LiveRelease, place: Place): LiveRelease | undefined {
  const bundle = bundleOn(stateFile, release.bundle, place)
  return bundle === release.bundle ? release : bundle && withModel(stateFile, bundle)
}

/** @returns whether a release has something left to undo or to finish, on any of its hosts */
export function hasJournal(stateFile: string, bundle: Bundle): boolean {
  return partRefs(bundle).some((id) => (id === bundle.id ? bundle : readBundle(stateFile, id))?.journal !== undefined)
}

/**
 * @returns the hashes of all content of a release: what it recorded, and what its models mount. A held service mounts the
 * content of the release that created its containers.
 */
export function contentOf(stateFile: string, id: string): Set<string> {
  const bundle = readBundle(stateFile, id)
  return new Set((bundle ? partRefs(bundle) : [id]).flatMap((part) => contentOfPart(stateFile, part)))
}

/** Like contentOf, for one host. */
export function contentOfPart(stateFile: string, ref: BundleRef): string[] {
  const recorded = readBundle(stateFile, ref)?.content.map(({ hash }) => hash) ?? []
  const mounted = [ref, modelRef(ref, 'adopted')].flatMap((model) => {
    const file = modelFile(stateFile, model)
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    return [...text.matchAll(/\/content\/([0-9a-f]{32})/g)].map(([, hash = '']) => hash)
  })
  return [...recorded, ...mounted]
}
