import { dirname, join } from 'node:path'

/**
 * Names a bundle or a model, in files as text and below `releases/` as a path: a release, `rel-1`; its part on a host other than
 * the first, `rel-1/hosts/web-2`; a further model of either, `rel-1/adopted`.
 */
export type BundleRef = string

/** `adopted`: what ran before the first release. `served`: the live release's, with the names that its images have now. */
type FurtherModel = 'adopted' | 'served'

const RELEASE = '[A-Za-z0-9][A-Za-z0-9-]*'
const HOST = '[A-Za-z0-9_][A-Za-z0-9_.-]*'

/** A host in a ref (lib/config/host-address.ts, hostKey). */
export const HOST_KEY = new RegExp(`^${HOST}$`)
export const OF_BUNDLE = new RegExp(`^${RELEASE}(?:/hosts/${HOST})?$`)
export const OF_MODEL = new RegExp(`^${RELEASE}(?:/hosts/${HOST})?(?:/(?:adopted|served))?$`)

/** @returns the ref of a release's part on a host other than the first */
export function partRef(release: string, host: string): BundleRef {
  return `${release}/hosts/${host}`
}

/** @returns the refs of a release's own bundle and of its parts, the first host's first */
export function partRefs(bundle: {
  readonly id: string
  readonly host?: string
  readonly hosts?: readonly string[]
}): BundleRef[] {
  const { id, host, hosts = [] } = bundle
  return [id, ...hosts.filter((other) => other !== host).map((other) => partRef(id, other))]
}

/** @param bundle of a release, or of its part on a host */
export function modelRef(bundle: BundleRef, model: FurtherModel): BundleRef {
  return `${bundle}/${model}`
}

export function isAdopted(ref: BundleRef): boolean {
  return ref.endsWith('/adopted')
}

export function bundleFolder(stateFile: string, ref: BundleRef): string {
  return join(dirname(stateFile), 'releases', ref)
}

/** @returns the file of a Compose model */
export function modelFile(stateFile: string, ref: BundleRef): string {
  return join(bundleFolder(stateFile, ref), 'compose.json')
}

/** Compares the paths below `releases/`: each command copies a host's releases to another folder. */
export function isSameModel(file: string, other: string | undefined): boolean {
  const below = (path: string) => path.slice(Math.max(0, path.lastIndexOf('/releases/')))
  return other !== undefined && below(file) === below(other)
}
