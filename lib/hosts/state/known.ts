import type { Entry } from './manifest.ts'

/** The copy when it was last the same as the host's state. */
export interface Known {
  /** the text of `head`; empty: there is none */
  readonly head: string
  /** the files of the state, by path */
  readonly files: ReadonlyMap<string, Entry & { readonly sign: string }>
  /** the names in `content/` */
  readonly content: ReadonlySet<string>
  /** the descriptions of locks: SHA-256 by name */
  readonly locks: ReadonlyMap<string, string>
  /** the host has no objects yet: an earlier version has written the files */
  readonly legacy: boolean
}
