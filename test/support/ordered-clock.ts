import type { Clock } from '../../lib/system/clock.ts'

/** A clock that moves on only when nothing else is to be done, to the next sleeper: several sleep at once as they would. */
export function orderedClock(): Clock {
  const sleepers: { readonly due: number; readonly wake: () => void }[] = []
  let now = 0
  const wakeNext = () => {
    const next = sleepers.toSorted((a, b) => a.due - b.due)[0]
    if (!next) return
    sleepers.splice(sleepers.indexOf(next), 1)
    now = Math.max(now, next.due)
    next.wake()
  }
  return {
    now: () => now,
    sleep(ms) {
      const { promise, resolve } = Promise.withResolvers<void>()
      sleepers.push({ due: now + ms, wake: resolve })
      setImmediate(wakeNext)
      return promise
    },
  }
}
