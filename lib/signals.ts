import { readFileSync } from 'node:fs'
import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * @returns an abort signal that the first INT, TERM or HUP fires; its reason is that signal's number. The second INT or
 * TERM ends the process at once, as it would without us. A HUP asks nobody to hurry: a terminal that goes away sends two,
 * the shell's and the kernel's, and what is being undone is undone to its end. What was ignored when we were started
 * (nohup; INT in a script's background job) stays ignored, as POSIX has it for shells (XCU 2.11).
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

function endBy(name: (typeof SIGNALS)[number], receive: () => void): void {
  process.off(name, receive)
  process.kill(process.pid, name)
}

/** The mask of the signals that are ignored, bit n-1 for signal n (proc(5)); 0 where there is no /proc. */
function ignoredSignals(): bigint {
  try {
    const [, mask = '0'] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    return BigInt(`0x${mask}`)
  } catch {
    return 0n
  }
}
