import { afterEach } from 'bun:test'

/**
 * Called at the top of a test file. (In a module that several test files import, an `afterEach` of its own would hold for
 * the first of these files alone.)
 * @returns a function that notes a thing, which is removed when the test has ended, and returns it
 */
export function temporaries() {
  const made: { remove: () => void }[] = []
  afterEach(() => {
    for (const one of made.splice(0)) one.remove()
  })
  return <T extends { remove: () => void }>(one: T): T => {
    made.push(one)
    return one
  }
}

/** A pid that no process ever has: the kernel's are at most 4,194,304. One of a process that has ended is soon another's. */
export const DEAD_PID = 4_194_305
