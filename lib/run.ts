import type { Bundle, ServingRelease } from './bundle.ts'
import type { Container, Docker, Image } from './docker.ts'
import type { Emit, TellOutput } from './events.ts'
import type { Exec } from './exec.ts'
import type { Clock } from './gate.ts'
import type { BuildTarget, ReleasedImage } from './images.ts'
import type { Held } from './lock.ts'
import type { Project } from './project.ts'
import type { Rendering } from './render.ts'
import type { State } from './state.ts'

/** What a release is on one host, and what its phases find out for each other there. */
export interface Site {
  /** with the services that are on this host */
  readonly project: Project
  /** services here that wait for jobs on other hosts, and for which */
  readonly awaits: Readonly<Record<string, readonly string[]>>
  /** what is released; once the build phase has begun its files are kept */
  rendering: Rendering
  readonly keepContent: () => Rendering
  /** what is built of what it runs */
  readonly targets: readonly BuildTarget[]
  /** a rollback: the images of its target, by service */
  readonly released: Readonly<Record<string, ReleasedImage>> | undefined
  readonly serving: ServingRelease | undefined
  /** nothing has been released yet, but containers of the project run */
  readonly adopting: boolean
  readonly exec: Exec
  /** ended by a signal, and where another host fails before the commit point */
  readonly docker: Docker
  /** ended by neither, and waits for nothing to be kept: for putting back what served, and for finishing */
  readonly restoring: Docker
  readonly clock: Clock
  readonly emit: Emit
  readonly tell: TellOutput | undefined
  /** the engine's images by name, once build and push have brought them there */
  images: ReadonlyMap<string, Image>
  /** a host: what it had of what is built, before that was brought there */
  present: ReadonlyMap<string, Image>
  /** where the registry has what was built, by service */
  digests: Readonly<Record<string, string>>
  /** its containers, where the rollout had nothing to do and looked at them a moment ago */
  seen?: readonly Container[]
  bundle: Bundle
  /** @throws state (9) where the environment's lock is lost, there or on the first host: nothing more may be changed then; unreachable (8) */
  readonly checkLock: () => void
  /** the same of this host alone: what undoes and finishes needs no other */
  readonly checkOwnLock: () => void
  /** what was saved is where the next run will find it (lib/lock.ts, Held) */
  readonly persist: Held['persist']
  /** writes the bundle with these changes */
  readonly save: (changes: Partial<Bundle>) => void
}

/** What the phases of one release work with. */
export interface Run
  extends Pick<Site, 'project' | 'targets' | 'serving' | 'clock' | 'emit' | 'tell' | 'persist' | 'save'> {
  readonly kind: 'deploy' | 'rollback'
  readonly state: State
  /** the hosts; the first's bundle is that of the release */
  readonly sites: readonly [Site, ...Site[]]
  readonly bundle: Bundle
  /** this machine's engine, which builds; that of the environment, where it is this machine's */
  readonly builder: Docker
  /** nothing has been released yet, but containers of the project run */
  readonly adopting: boolean
  /** of any of the hosts */
  readonly checkLock: () => void
  /** ends what is under way on all hosts, as one of them has failed */
  readonly stop: () => void
}
