/** The time, passed in so that tests need not wait. */
export interface Clock {
  /** milliseconds since the epoch */
  now(): number
  sleep(ms: number): Promise<void>
}
