import type { ContentStore, Owner } from './content-store.ts'
import type { ComposeModel } from './model.ts'

/** A file or folder that a release keeps by hash, and its name for people. */
export interface ContentFile {
  /** `./nginx.conf`, `config app`, `secret token` */
  readonly name: string
  readonly hash: string
  /** the source file of a config or secret; for a bind mount it is the name */
  readonly from?: string
}

/** A config or secret made from text, with the owner that a service asks for. */
export interface OwnedFile extends Owner {
  readonly hash: string
  readonly text: string
}

/** The release's own model (spec/core/compose.md): without builds and order, content by hash. Images are added later. */
export interface Rendering {
  readonly model: ComposeModel
  readonly content: readonly ContentFile[]
  /** paths that are mounted in place, each with the reason */
  readonly data: readonly Data[]
  /** about paths that do not exist */
  readonly warnings?: readonly string[]
  /** files that the engine must create, since only it can set their owners */
  readonly owned?: readonly OwnedFile[]
}

export interface Data {
  readonly path: string
  readonly why: string
  /** its folder on the host */
  readonly at?: string
  /** it does not exist: the engine creates a folder, owned by root, with mode 0755 */
  readonly creates?: boolean
  /** the absolute path, if it is created */
  readonly source?: string
}

export interface RenderOptions {
  /** the project folder, absolute */
  readonly directory: string
  readonly store: ContentStore
  /** the host's folder for data of the project folder; undefined: data is in place on this machine */
  readonly dataAt?: string | undefined
  /** the engine is on another machine, which has all paths outside the project folder */
  readonly elsewhere?: boolean | undefined
  /** the engine sets owner and mode of a config or secret when it mounts it: the file here needs none */
  readonly ownedWhenMounted?: boolean
  /** paths that are never content, as stagecraft.yml lists them, absolute */
  readonly data: readonly string[]
  /** values of the `environment:` configs and secrets, by variable */
  readonly variables: Readonly<Record<string, string>>
}
