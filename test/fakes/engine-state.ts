import type { Service } from '../../lib/compose/model.ts'
import type { FakeNetwork, Plugged } from './networks.ts'
import type { ProxyHost } from './proxy-state.ts'
import type { Filled } from './volumes.ts'

/** Milliseconds that the engine's clock is ahead of ours: nothing may hang on it. */
export const ENGINE_AHEAD = 2 * 3_600_000

/** What a container does once it is started. Times are milliseconds. */
export interface Behaviour {
  /** ends by itself with this code, `after` so long */
  readonly exit?: number
  /** until it ends, or until its healthcheck has an opinion */
  readonly after?: number
  /** is started again each time it ends */
  readonly restarts?: boolean
  /** milliseconds from an end to the next start of what recovers; default: a second */
  readonly pause?: number
  /** so often, a `pause` after each end; then it stays, and its healthcheck has the opinion `after` that */
  readonly recovers?: number
  /** what its healthcheck says, if the service has one; `never` makes up its mind */
  readonly health?: 'healthy' | 'unhealthy' | 'never'
  readonly logs?: string
  readonly oom?: boolean
  /** what the engine says instead of starting it */
  readonly refuses?: string
}

export interface FakeContainer extends Plugged {
  readonly service: string
  readonly project: string
  readonly image: string
  readonly definition: Service
  readonly hash: string
  /** the file of the model that it was made from */
  readonly file: string
  /** the project folder that was passed to Compose */
  readonly folder: string
  readonly behaviour: Behaviour
  /** the container whose network it shares */
  readonly joined: string | undefined
  /** what it writes outside of named volumes; Compose hands it on when it replaces a container */
  readonly anonymous: string
  /** Compose runs a hook of its service in it */
  readonly hook?: string
  /** of a one-off container: those that were passed to `run` */
  labels?: Readonly<Record<string, string>>
  state: 'created' | 'started' | 'stopped'
  startedAt: number
}

export interface FakeImage {
  readonly id: string
  readonly content: string
  readonly labels: Readonly<Record<string, string>>
  readonly volumes: boolean
  /** default: linux/amd64 */
  readonly platform?: string
}

/** Everything that lasts on an engine. Plain values, so that a test can keep a copy and come back to it. */
export interface EngineState {
  containers: FakeContainer[]
  /** by id */
  images: Record<string, FakeImage>
  /** id by reference */
  tags: Record<string, string>
  networks: Record<string, FakeNetwork>
  /** labels of volumes that say whose a project is, by name */
  owners: Record<string, Record<string, string>>
  /** names of volumes that hold data */
  volumes: string[]
  /** what is in anonymous volumes */
  filled: Filled
  /** images of containers that volumes are compared with, by name */
  compared: Record<string, string>
  proxy: ProxyHost
  count: number
  now: number
}
