/** What is read of package-lock.json. */
export interface Lock {
  readonly name: string
  readonly version: string
  readonly packages: Readonly<Record<string, LockedPackage>>
}

interface LockedPackage {
  readonly version?: string
  readonly integrity?: string
  readonly license?: string
  readonly dev?: boolean
  /** only for an optional or development dependency */
  readonly devOptional?: boolean
  readonly optional?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
}

const FOLDER = 'node_modules/'
/** The runtime, which each binary contains: a development dependency of the source. */
const RUNTIME = 'bun'

/** @returns what a binary is made of, as CycloneDX 1.5: the same text for the same lock */
export function sbomOf(lock: Lock): string {
  const root = lock.packages[''] ?? {}
  const own = `pkg:npm/${lock.name}@${lock.version}`
  const parts = Object.entries(lock.packages).filter(
    ([path, part]) => path === FOLDER + RUNTIME || (path && isShipped(part)),
  )
  const direct = [...Object.keys(root.dependencies ?? {}), RUNTIME]
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: { type: 'application', 'bom-ref': own, name: lock.name, version: lock.version, purl: own } },
    components: parts.map(([path, part]) => component(path, part)),
    dependencies: [
      { ref: own, dependsOn: direct.flatMap((name) => refOf(lock, '', name)) },
      ...parts.map(([path, part]) => ({
        ref: purl(path, part),
        dependsOn: Object.keys(part.dependencies ?? {}).flatMap((name) => refOf(lock, path, name)),
      })),
    ],
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

function component(path: string, part: LockedPackage) {
  const [algorithm, digest] = part.integrity?.split('-', 2) ?? []
  const hash =
    algorithm === 'sha512' && digest ? [{ alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') }] : []
  return {
    type: path === FOLDER + RUNTIME ? 'platform' : 'library',
    'bom-ref': purl(path, part),
    name: nameOf(path),
    version: part.version,
    ...(hash.length > 0 ? { hashes: hash } : {}),
    ...(part.license ? { licenses: [{ expression: part.license }] } : {}),
    purl: purl(path, part),
  }
}

/** A package finds another in the node_modules of its own folder, or else of a folder above. */
function refOf(lock: Lock, path: string, name: string): string[] {
  for (let folder = path; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf(`/${FOLDER}`)))) {
    const candidate = `${folder === '' ? '' : `${folder}/`}${FOLDER}${name}`
    const found = lock.packages[candidate]
    if (found && (isShipped(found) || name === RUNTIME)) return [purl(candidate, found)]
    if (folder === '') return []
  }
}

function isShipped({ dev, devOptional, optional }: LockedPackage): boolean {
  return !dev && !devOptional && !optional
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf(FOLDER) + FOLDER.length)
}

function purl(path: string, { version = '' }: LockedPackage): string {
  return `pkg:npm/${nameOf(path).replace('@', '%40')}@${version}`
}
