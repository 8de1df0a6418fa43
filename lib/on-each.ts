import { StagecraftError } from './errors.ts'

/** Hosts that are worked with at the same time: each has programs of its own here. */
const AT_ONCE = 10

/**
 * Does work for each of several, ten at a time. All that was begun has ended when it returns or throws.
 * @param onFirst told of the first failure, while others are still at work; nothing more is begun then
 * @returns what came of each, in their order
 * @throws the first error, in time
 */
export async function onEach<T, R>(
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

/** @returns the same list, as one of which it is known that it has a first. */
export function atLeastOne<T>(all: readonly T[]): readonly [T, ...T[]] {
  const [first, ...others] = all
  if (first === undefined) throw new StagecraftError('bug', 'Cannot go on: there is no host')
  return [first, ...others]
}
