import type { Result } from './exec.ts'
import type { Held } from './lock.ts'

/** Milliseconds between two looks at the lock while a command runs. */
const LOOK = 1_000

/** What is known of a lock: whether it is still ours. */
export type Guard = Pick<Held, 'check'>

/**
 * Runs a command that changes something for as long as the lock is ours: it is ended once that is lost.
 * @throws what `check` of the lock throws, before the command or while it runs; then the command has ended
 */
export async function whileLocked(
  lock: Guard | undefined,
  signal: AbortSignal | undefined,
  run: (signal: AbortSignal | undefined) => Promise<Result>,
): Promise<Result> {
  if (lock === undefined) return run(signal)
  lock.check()
  const gone = new AbortController()
  const timer = setInterval(() => {
    try {
      lock.check()
    } catch (error) {
      clearInterval(timer)
      gone.abort(error)
    }
  }, LOOK)
  try {
    const result = await run(AbortSignal.any([gone.signal, ...(signal ? [signal] : [])]))
    if (result.code !== 0) lock.check() // it may have failed for that
    return result
  } finally {
    clearInterval(timer)
    gone.signal.throwIfAborted()
  }
}
