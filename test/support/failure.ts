import { parseConfig } from '../../lib/config/parse.ts'
import { errorReport } from '../../lib/output/error-report.ts'
import { errorLines } from '../../lib/output/lines.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { StagecraftError } from '../../lib/util/errors.ts'

/** @returns the error that work ends with. @throws what else it throws, or that it did not fail */
export async function failureOf(work: Promise<unknown>): Promise<StagecraftError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof StagecraftError) return error
  throw error ?? new Error('it did not fail')
}

/** @returns the error that `act` throws. @throws what else it throws, or that it did not fail */
export function errorOf(act: () => unknown): StagecraftError {
  try {
    act()
  } catch (error) {
    if (error instanceof StagecraftError) return error
    throw error
  }
  throw new Error('it did not fail')
}

/** @returns the lines that are printed for anything that was thrown, without colours; no secrets are known */
export function formatError(error: unknown): string[] {
  return errorLines(errorReport(error, { verbose: false }), { mask: createMask([]) })
}

/** @returns what is wrong with a stagecraft.yml, without the file's name; `none` if nothing is */
export function problemsIn(text: string): string | undefined {
  try {
    parseConfig(text)
    return 'none'
  } catch (error) {
    return error instanceof StagecraftError ? error.detail?.replaceAll('stagecraft.yml:', '') : String(error)
  }
}
