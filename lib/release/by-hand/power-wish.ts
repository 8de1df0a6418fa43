import type * as contract from '../../output/contract/results.ts'
import type { Of } from '../../util/schema.ts'

/** What a person asks for. */
export interface PowerWish {
  readonly verb: 'start' | 'stop' | 'restart'
  /** empty: all but jobs */
  readonly services: readonly string[]
  readonly host: string | undefined
}

/** What was done to a service on a host. */
export type Powered = Of<typeof contract.powered>
