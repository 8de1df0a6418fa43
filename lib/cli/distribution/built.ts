// Defined by the bundler (build.ts); undefined when run from source.
declare const BUILD_VERSION: string | undefined
declare const BUILD_TARGET: string | undefined
declare const BUILD_KEY: string | undefined
declare const BUILD_RELEASES: string | undefined

interface Built {
  readonly version: string
  /** `linux-x64-musl`, as in the names of a release's files */
  readonly target: string
  /** public key of minisign; empty: none */
  readonly key: string
  /** where releases are published; empty: nowhere known */
  readonly releases: string
}

/** @returns what is written into this binary; undefined when run from source */
export function readBuilt(): Built | undefined {
  if (typeof BUILD_VERSION !== 'string' || typeof BUILD_TARGET !== 'string') return undefined
  return {
    version: BUILD_VERSION,
    target: BUILD_TARGET.replace(/^bun-/, ''),
    key: typeof BUILD_KEY === 'string' ? BUILD_KEY : '',
    releases: typeof BUILD_RELEASES === 'string' ? BUILD_RELEASES : '',
  }
}
