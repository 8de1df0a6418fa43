import type { EnginePlace } from '../docker/engine/facts.ts'
import type { BuildTarget } from '../docker/images.ts'
import type { HostRequest } from '../phases/host-run.ts'
import type { Project } from '../project/settings.ts'
import type { SourceVersion } from '../project/version.ts'
import type { LiveRelease } from '../record/bundle.ts'
import type { State } from '../record/releases.ts'
import type { Existing } from './promotion/existing.ts'

/** What is to be released: read from the Compose file now, or taken from the bundle of an earlier release. */
export interface ReleaseRequest {
  readonly project: Project
  readonly version: SourceVersion
  readonly state: State
  readonly serving: LiveRelease | undefined
  readonly targets: readonly BuildTarget[]
  /** images that it takes in place of building them */
  readonly existing?: Existing
  /** a rollback: the release to restore */
  readonly target?: LiveRelease
  /** the release that keeps what ran before the first one, which this is */
  readonly adopted?: string
  /** set if no hosts are configured */
  readonly engine?: EnginePlace | undefined
  /** the hosts, the first first */
  readonly parts: readonly [HostRequest, ...HostRequest[]]
}
