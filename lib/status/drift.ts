import type * as contract from '../output/contract/status.ts'
import type { Exec } from '../system/exec.ts'
import type { Of } from '../util/schema.ts'

/** A difference between what runs and the live release. */
export type Drift = Of<typeof contract.drift>

export interface StatusWorld {
  readonly exec: Exec
  /** milliseconds since the epoch */
  readonly clock: () => number
}
