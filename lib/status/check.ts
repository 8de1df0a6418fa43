import type * as contract from '../output/contract/status.ts'
import type { Of } from '../util/schema.ts'
/** The result of checking one thing that a deploy needs. */
export type Check = Of<typeof contract.check>
