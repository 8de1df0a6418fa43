import type { Rendering } from '../compose/rendering.ts'
import type { Docker, Image } from '../docker/client.ts'
import type { BuildTarget, ModelImages } from '../docker/images.ts'
import type { Container } from '../docker/inspect.ts'
import type { EnvironmentLock } from '../lock/environment-lock.ts'
import type { Emit } from '../output/events.ts'
import type { Pending } from '../plan/input.ts'
import type { Placed } from '../project/placement.ts'
import type { Project } from '../project/settings.ts'
import type { BundleRef } from '../record/bundle/ref.ts'
import type { Bundle, LiveRelease } from '../record/bundle.ts'
import type { State } from '../record/releases.ts'
import type { Clock } from '../system/clock.ts'
import type { Exec } from '../system/exec.ts'

/** What is to be released on one host. */
export interface HostRequest extends Placed {
  /** the live release there; undefined: none */
  readonly serving: LiveRelease | undefined
  readonly rendering: Rendering
  /** keeps the content files as they are now */
  readonly keepContent: () => Rendering
  /** of the services on this host */
  readonly images: ModelImages
  /** nothing is built: whose images it takes */
  readonly existing?: string
  /** what is pending in its databases, if it was looked up */
  readonly pending?: Pending
  /** what runs there and no release made (spec/core/plan.md, Adoption) */
  readonly adopted?: Adopted | undefined
  /** a rollback: its target's part on this host */
  readonly target?: LiveRelease
  /** the engine's images that were looked up before the release was made, by name */
  readonly present?: ReadonlyMap<string, Image>
}

/** What ran before the first release of an environment. */
export interface Adopted {
  /** the release that keeps it; undefined: in a plan */
  readonly ref?: BundleRef
  /** services whose definition could be read whole from their containers */
  readonly restorable: readonly string[]
}

/** What a release is carried out with on one host. */
export interface HostTools {
  readonly exec: Exec
  /** cancelled by a signal, and if another host fails before the commit point */
  readonly docker: Docker
  /** never cancelled, and waits for no write: used to undo and to finish */
  readonly undoDocker: Docker
  readonly clock: Clock
  readonly emit: Emit
  /** @throws state (9) if the lock is lost, here or on the first host: nothing may be changed then; unreachable (8) */
  readonly checkLock: () => void
  /** the same for this host alone: undoing and finishing need no other */
  readonly checkOwnLock: () => void
  /** waits until what was saved is where the next run will find it (lib/lock/environment-lock.ts) */
  readonly persist: EnvironmentLock['persist']
}

/** The bundle of a release on one host. */
export interface OpenBundle {
  /** may be ahead of its file: the next `save` writes it whole */
  now: Bundle
  /** writes it with these changes */
  readonly save: (changes: Partial<Bundle>) => void
}

/** What the phases find out for each other on one host. */
export interface Found {
  /** what is released; its files are kept once the build phase has begun */
  rendering: Rendering
  /** the engine's images by name, once build and push have brought them there */
  images: ReadonlyMap<string, Image>
  /** built images that a remote host had before they were sent there */
  present: ReadonlyMap<string, Image>
  /** digests of built images in the registry, by service */
  digests: Readonly<Record<string, string>>
  /** what built images are called on all nodes of a Swarm, by service: an id, or a tag */
  onNodes?: Readonly<Record<string, string>>
  /** its containers, set if the rollout had nothing to do and has just listed them */
  containers?: readonly Container[]
}

/** A release on one host. */
export interface HostRun {
  readonly request: HostRequest
  readonly tools: HostTools
  readonly bundle: OpenBundle
  readonly found: Found
}

/** A release that is being carried out: what its phases work with. */
export interface ReleaseRun {
  readonly kind: 'deploy' | 'rollback'
  readonly project: Project
  readonly state: State
  readonly serving: LiveRelease | undefined
  /** nothing has been released yet, but containers of the project run */
  readonly adopting: boolean
  /** the images that are built */
  readonly targets: readonly BuildTarget[]
  /** the hosts, the first first */
  readonly hostRuns: readonly [HostRun, ...HostRun[]]
  /** the first host's bundle is that of the release */
  readonly bundle: OpenBundle
  /** this machine's engine, which builds; the environment's own one if that is on this machine */
  readonly builder: Docker
  /** `checkLock` is that of all hosts, `persist` that of the first */
  readonly tools: Pick<HostTools, 'clock' | 'emit' | 'checkLock' | 'persist'> & {
    /** aborted by a signal, with its number, or when another host fails */
    readonly signal: AbortSignal
  }
  /** cancels the work on all hosts, because one of them has failed */
  readonly stop: () => void
}
