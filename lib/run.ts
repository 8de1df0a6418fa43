import type { Bundle, ServingRelease } from './bundle.ts'
import type { Docker, Image } from './docker.ts'
import type { Emit, TellOutput } from './events.ts'
import type { Exec } from './exec.ts'
import type { Clock } from './gate.ts'
import type { BuildTarget, ReleasedImage } from './images.ts'
import type { Held } from './lock.ts'
import type { Project } from './project.ts'
import type { Rendering } from './render.ts'
import type { State } from './state.ts'

/** What the phases of one release work with, and what they find out for each other. */
export interface Run {
  readonly kind: 'deploy' | 'rollback'
  readonly project: Project
  /** what is released; once the build phase has begun its files are kept */
  rendering: Rendering
  readonly keepContent: () => Rendering
  readonly targets: readonly BuildTarget[]
  /** a rollback: the images of its target, by service */
  readonly released: Readonly<Record<string, ReleasedImage>> | undefined
  readonly state: State
  readonly serving: ServingRelease | undefined
  /** nothing has been released yet, but containers of the project run */
  readonly adopting: boolean
  readonly exec: Exec
  /** ended by a signal */
  readonly docker: Docker
  /** this machine's engine, which builds; the same as `docker` where the environment is this machine's */
  readonly builder: Docker
  /** not ended by a signal: for putting back what served */
  readonly restoring: Docker
  readonly clock: Clock
  readonly emit: Emit
  readonly tell: TellOutput | undefined
  /** the engine's images by name, once build and push have brought them there */
  images: ReadonlyMap<string, Image>
  bundle: Bundle
  /** where the registry has what was built, by service */
  digests: Readonly<Record<string, string>>
  /** @throws state (9) where somebody took the environment's lock away: nothing more may be changed then */
  readonly checkLock: () => void
  /** what was saved is where the next run will find it (lib/lock.ts, Held) */
  readonly persist: Held['persist']
  /** writes the bundle with these changes */
  readonly save: (changes: Partial<Bundle>) => void
}
