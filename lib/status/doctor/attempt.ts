import { errorText, StagecraftError } from '../../util/errors.ts'
import { bad, type Check, ok } from './check.ts'

interface Attempted<T> {
  readonly check: Check
  readonly value?: T
}

/** @returns the check that something can be done, and what it gives. @throws bugs */
export async function attempt<T>(
  what: string,
  act: () => Promise<T>,
  found: (value: T) => string,
): Promise<Attempted<T>> {
  try {
    const value = await act()
    return { check: ok(what, found(value)), value }
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind === 'bug') throw error
    return { check: failed(what, error) }
  }
}

/** If a host can be connected to but its folder cannot be read, the failed check is that of the folder. */
export function failed(row: string, error: StagecraftError): Check {
  const what = error.kind === 'state' ? row.replace(/connection$/, 'state folder') : row
  return bad(what, errorText(error), error.hint ?? 'Fix that, then run this again.')
}
