import { StagecraftError } from './errors.ts'

/** How many hosts are worked on at the same time: each needs its own programs on this machine. */
const AT_ONCE = 10

/**
 * Calls `work` for each, ten at a time. After a failure no further call is started. It returns or throws only when all
 * started calls have ended.
 * @param onFirst called at the first failure, while others still work
 * @returns the results in the order of `all`
 * @throws the first error, in time
 */
export async function mapConcurrently<T, R>(
  all: readonly T[],
  work: (one: T) => Promise<R>,
  onFirst: () => void = () => {},
): Promise<R[]> {
  const results: R[] = []
  let [next, failure]: [number, { error: unknown } | undefined] = [0, undefined]
  const worker = async () => {
    while (next < all.length && failure === undefined) {
      const at = next++
      const one = all[at] as T
      try {
        results[at] = await work(one)
      } catch (error) {
        if (failure === undefined) {
          failure = { error }
          onFirst()
        }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, all.length) }, worker))
  if (failure) throw (failure as { error: unknown }).error
  return results
}

/** @returns the same list, typed as not empty. @throws bug (1) if it is empty */
export function nonEmpty<T>(all: readonly T[]): readonly [T, ...T[]] {
  const [first, ...others] = all
  if (first === undefined) throw new StagecraftError('bug', 'Cannot continue: there is no host')
  return [first, ...others]
}
