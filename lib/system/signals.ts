import { readFileSync } from 'node:fs'
import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * @returns an abort signal that the first INT, TERM or HUP fires; its reason is that signal's number. A second INT or TERM
 * ends the process at once, as without a handler. A HUP never counts as the second: a closing terminal sends two, the
 * shell's and the kernel's, and an undo runs to its end. A signal that was ignored when Stagecraft was started (nohup; INT in
 * a script's background job) stays ignored, as POSIX requires of shells (XCU 2.11).
 */
export function untilSignal(onFirst: () => void = () => {}): AbortSignal {
  const controller = new AbortController()
  controller.signal.addEventListener('abort', onFirst)
  const ignored = ignoredSignals()
  let asked = false
  for (const name of SIGNALS) {
    if (ignored & (1n << BigInt(constants.signals[name] - 1))) continue
    const receive = () => {
      if (asked && name !== 'SIGHUP') endBy(name, receive)
      asked ||= name !== 'SIGHUP'
      controller.abort(constants.signals[name])
    }
    process.on(name, receive)
  }
  return controller.signal
}

/**
 * For a program that draws on a terminal. Ctrl-Z gives the terminal back first, and then stops the process.
 * @param redraw called when the terminal has another size, and when the process goes on
 * @returns a function that ends it
 */
export function onTerminal(redraw: () => void, giveBack: () => void): () => void {
  const stop = () => {
    giveBack()
    process.kill(process.pid, 'SIGSTOP')
  }
  const handlers = { SIGWINCH: redraw, SIGCONT: redraw, SIGTSTP: stop } as const
  const names = Object.keys(handlers) as (keyof typeof handlers)[]
  for (const name of names) process.on(name, handlers[name])
  return () => {
    for (const name of names) process.off(name, handlers[name])
  }
}

function endBy(name: (typeof SIGNALS)[number], receive: () => void): void {
  process.off(name, receive)
  process.kill(process.pid, name)
}

/** The mask of ignored signals, bit n-1 for signal n (proc(5)); 0 without /proc. */
function ignoredSignals(): bigint {
  try {
    const [, mask = '0'] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    return BigInt(`0x${mask}`)
  } catch {
    return 0n
  }
}
