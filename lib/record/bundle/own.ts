import { StagecraftError } from '../../util/errors.ts'
import { type Bundle, bundleIds, readBundle } from '../bundle.ts'

/** @returns the bundles of an environment, oldest first, also those whose release is not recorded any more. @throws state (9) */
export function ownBundles(stateFile: string, environment: string): Bundle[] {
  const bundles = bundleIds(stateFile).flatMap((id) => readBundle(stateFile, id) ?? [])
  return bundles.filter((bundle) => bundle.environment === environment)
}

/** @returns the Compose project of an environment's newest bundle; undefined: it has no bundle */
export function newestProject(stateFile: string, environment: string): string | undefined {
  return ownBundles(stateFile, environment).at(-1)?.project
}

/** @returns the bundle that says that the history of its environment is being removed; undefined: it is not */
export function findForgetting(stateFile: string, environment: string): Bundle | undefined {
  const isMark = (bundle: Bundle | undefined) => bundle?.environment === environment && bundle.forgetting !== undefined
  return bundleIds(stateFile)
    .map((id) => readable(stateFile, id))
    .find(isMark)
}

/** A damaged bundle of any environment is reported by the command that needs it. */
function readable(stateFile: string, id: string): Bundle | undefined {
  try {
    return readBundle(stateFile, id)
  } catch (error) {
    if (error instanceof StagecraftError) return undefined
    throw error
  }
}
