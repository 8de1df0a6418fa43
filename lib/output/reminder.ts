/** Milliseconds without a line after which one says what is waited for. */
const SILENCE = 15_000

/** Says what is waited for when nothing else was printed for a while. */
interface Reminder {
  /** something was printed */
  printed(): void
  /** looks whether there is anything to wait for, and stops if there is not */
  update(): void
}

export function createReminder(
  { isIdle, now }: { readonly isIdle: () => boolean; readonly now: () => number },
  remind: () => void,
  silence = SILENCE,
): Reminder {
  let last = now()
  let timer: Timer | undefined
  const look = () => {
    if (now() - last < silence) return
    last = now()
    remind()
  }
  return {
    printed() {
      last = now()
    },
    update() {
      if (!isIdle()) timer ??= setInterval(look, Math.min(silence, 1_000)).unref()
      else {
        clearInterval(timer)
        timer = undefined
      }
    },
  }
}
