import type * as contract from '../output/contract/status.ts'
import type { Of } from '../util/schema.ts'
/** The description of the run that holds an environment's lock. */
export type LockHolder = Of<typeof contract.lockHolder>

/** The description of a hold: who froze the environment, and why. */
export type Freeze = Of<typeof contract.freeze>

export type LockState = Of<typeof contract.lock>

export interface LockRequest {
  readonly stateFile: string
  readonly environment: string
  /** the command, such as `deploy` */
  readonly command: string
  /** milliseconds; 0: refuse at once */
  readonly wait: number
  /** one of several hosts: an error of the work may say more than that this host was lost */
  readonly several?: boolean
}
