import type * as contract from '../../output/contract/status.ts'
import type { Of } from '../../util/schema.ts'

/** The result of checking one thing that a deploy needs. */
export type Check = Of<typeof contract.check>

/** @returns a check that is no problem @param remedy what to know about it */
export function ok(what: string, found: string, remedy = ''): Check {
  return { what, ok: true, found, remedy }
}

/** @returns a check that found a problem */
export function bad(what: string, found: string, remedy: string): Check {
  return { what, ok: false, found, remedy }
}
