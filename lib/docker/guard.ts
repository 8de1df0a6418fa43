import type { Result } from '../system/exec.ts'

/** Milliseconds between two checks of the lock while a command runs. */
const LOOK = 1_000

/** The lock under which commands change something. */
export interface Guard {
  /** passed to the command's watcher, so that the lock is held until the command has ended */
  readonly fd: number | undefined
  /** @throws state (9) if the lock was lost: nothing more may be changed then */
  check(): void
  /** Puts what was written so far where the next run will find it. @throws state (9), unreachable (8) */
  persist?(): Promise<void>
}

/**
 * Runs a command that changes something while the lock is held; the command is ended if the lock is lost.
 * @throws what `check` of the lock throws, before the command or while it runs; then the command has ended
 */
export async function whileLocked(
  lock: Pick<Guard, 'check'> | undefined,
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
    if (result.code !== 0) lock.check() // a lost lock may be the cause
    return result
  } finally {
    clearInterval(timer)
    gone.signal.throwIfAborted()
  }
}
