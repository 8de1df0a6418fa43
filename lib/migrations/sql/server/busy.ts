import { StagecraftError } from '../../../util/errors.ts'
import { formatDuration } from '../../../util/format.ts'

const POLL_MS = 50

/**
 * Tries again while another process has locked the file of SQLite: nothing has been done then. SQLite itself would wait within
 * one call, and nothing else could run in this process meanwhile, signals among it.
 * @throws locked (7) after `lockTimeoutMs`, or what `work` throws
 */
export async function untilFree<T>(
  work: () => Promise<T>,
  {
    name,
    file,
    lockTimeoutMs,
    signal,
  }: { name: string; file: string; lockTimeoutMs: number; signal: AbortSignal | undefined },
): Promise<T> {
  const until = performance.now() + lockTimeoutMs
  for (;;) {
    try {
      return await work()
    } catch (error) {
      // Another BUSY, of a transaction that began as a reader, does not end by waiting.
      if (Object(error).code !== 'SQLITE_BUSY') throw error
    }
    signal?.throwIfAborted()
    if (performance.now() >= until) {
      throw new StagecraftError('locked', `Cannot migrate ${name}: another process has locked its file`, {
        hint: `Waited ${formatDuration(lockTimeoutMs)}. This shows who: fuser -v ${file}`,
      })
    }
    await Bun.sleep(POLL_MS)
  }
}
