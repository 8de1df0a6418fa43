import type { Engine } from '../support/engine.ts'

/** What a visitor of the application sees during the faults. */
export interface Load {
  readonly requests: number
  readonly failures: number
  /** the longest time without an answer, milliseconds */
  readonly longestGap: number
}

const PER_SECOND = 100
/** Where nothing answers at all, requests pile up: no more than these wait at once. */
const MOST_AT_ONCE = 200

export interface LoadGenerator {
  /** Does not count the results of requests while `work` runs. */
  without<T>(work: () => Promise<T>): Promise<T>
  stop(): Promise<Load>
}

/** 100 requests a second until stopped. */
export function startLoad(engine: Engine, port: number): LoadGenerator {
  let [requests, failures, longestGap, lastAnswer] = [0, 0, 0, performance.now()]
  const waiting = new Set<Promise<void>>()
  const ask = async () => {
    requests++
    const { status } = await engine.fetch(port)
    if (status !== 200) return void failures++
    longestGap = Math.max(longestGap, performance.now() - lastAnswer)
    lastAnswer = performance.now()
  }
  let paused = false
  const timer = setInterval(() => {
    if (paused || waiting.size >= MOST_AT_ONCE) return
    const request: Promise<void> = ask().finally(() => waiting.delete(request))
    waiting.add(request)
  }, 1000 / PER_SECOND)
  return {
    async without(work) {
      paused = true
      await Promise.all(waiting)
      const result = await work()
      lastAnswer = performance.now()
      paused = false
      return result
    },
    async stop() {
      clearInterval(timer)
      await Promise.all(waiting)
      return { requests, failures, longestGap }
    },
  }
}
