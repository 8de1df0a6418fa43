/** The time, passed in so that tests need not wait. */
export interface Clock {
  /** milliseconds since the epoch */
  now(): number
  sleep(ms: number): Promise<void>
}

/** Waits for what is heard of from time to time, however long it takes as a whole. */
interface Listening {
  /** Something has come. */
  heard(): void
  /** @returns what the work gives; undefined once nothing has come for the time that was given */
  untilSilent<T>(work: Promise<T>): Promise<T | undefined>
}

/** @param silence milliseconds, from now or from what was heard last; it may take a quarter more to be noticed */
export function listen(clock: Clock, silence: number): Listening {
  let last = clock.now()
  return {
    heard() {
      last = clock.now()
    },
    async untilSilent(work) {
      last = clock.now()
      const done = work.then((value) => ({ value }))
      while (clock.now() - last < silence) {
        const ended = await Promise.race([done, clock.sleep(silence / 4)])
        if (ended) return ended.value
      }
      return undefined
    },
  }
}
