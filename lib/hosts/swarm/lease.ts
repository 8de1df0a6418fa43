import { errorText, type StagecraftError } from '../../util/errors.ts'
import { leaseInDoubt, leaseTaken } from './errors.ts'
import { advance, NONE, type SwarmStore } from './store.ts'

/** Milliseconds. Tests have shorter ones. */
export interface Pace {
  /** between two renewals */
  readonly renew: number
  /** without a renewal until another run takes the lock */
  readonly steal: number
  /** between two looks at the lock of another run */
  readonly look: number
  /** without a renewal until nothing more is begun before one has succeeded */
  readonly doubt: number
  /** that one waits for such a renewal */
  readonly patience: number
}

export const PACE: Pace = { renew: 5_000, steal: 30_000, look: 1_000, doubt: 15_000, patience: 60_000 }

/** The lock of an environment, as long as this run renews it: each renewal is the next config of its kind. */
export interface Lease {
  /** what others read of it from the next renewal on, which is now */
  describe(value: string): void
  /** @throws state (9) if another run has taken it */
  check(): void
  /** Waits for a renewal if the last one is long ago. @throws state (9) if it was lost, or cannot be renewed */
  sure(): Promise<void>
  /** Gives it up, unless it was lost. */
  release(): Promise<void>
}

/** @param number of the config that was made to take it @param value what others read of it @param isOurs of such a value */
export function holdLease(
  store: SwarmStore,
  { number, value, isOurs }: { readonly number: number; readonly value: string; isOurs(value: string): boolean },
  pace: Pace,
): Lease {
  let [at, said, reason, isOver] = [number, value, '', false]
  let renewed = instant()
  let lost: StagecraftError | undefined
  let wake = () => {}
  const asleep = (time: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, time)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  const renew = async () => {
    const begun = instant()
    try {
      if (await advance(store, 'lock', at, said, isOurs)) {
        at++
        renewed = begun
      } else lost = leaseTaken(store.place)
    } catch (error) {
      reason = errorText(error)
    }
  }
  const keeping = (async () => {
    await asleep(pace.renew)
    while (!isOver && lost === undefined) {
      await renew()
      if (!isOver && lost === undefined) await asleep(pace.renew)
    }
  })()
  const check = () => {
    if (lost !== undefined) throw lost
  }
  return {
    describe(text) {
      said = text
      wake()
    },
    check,
    async sure() {
      const begun = instant()
      for (;;) {
        check()
        if (since(renewed) < pace.doubt) return
        if (since(begun) > pace.patience) throw leaseInDoubt(store.place, since(renewed), reason)
        wake()
        await Bun.sleep(pace.look / 2)
      }
    },
    async release() {
      isOver = true
      wake()
      await keeping
      if (lost === undefined) await advance(store, 'lock', at, NONE)
    },
  }
}

/** A moment, by two clocks: the monotonic one stands still while a laptop sleeps. */
interface Instant {
  readonly steady: number
  readonly wall: number
}

function instant(): Instant {
  return { steady: performance.now(), wall: Date.now() }
}

/** @returns milliseconds, by the clock that says more */
function since({ steady, wall }: Instant): number {
  return Math.max(performance.now() - steady, Date.now() - wall)
}
