import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * @returns an abort signal that the first INT, TERM or HUP fires; its reason is that signal's number. The second ends
 * the process at once, as it would without us.
 */
export function untilSignal(onFirst: () => void = () => {}): AbortSignal {
  const controller = new AbortController()
  controller.signal.addEventListener('abort', onFirst)
  for (const name of SIGNALS) process.once(name, () => controller.abort(constants.signals[name]))
  return controller.signal
}
