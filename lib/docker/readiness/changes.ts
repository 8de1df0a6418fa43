import type { Clock } from '../../system/clock.ts'
import type { Docker } from '../client.ts'

/** What the engine reports of some containers, so that code that waits for them need not ask all the time. */
export interface Changes {
  /** Waits until one of them has changed, for at most `ms`. What changed since the last wait ends this one at once. */
  next(ms: number): Promise<void>
  /** whether changes are reported: if not, one must ask */
  isOpen(): boolean
  end(): void
}

/** Milliseconds until docker has connected to the engine. */
const CONNECTED = 300
/** Milliseconds for which docker may listen on after Stagecraft's death. */
const OUTLIVE = 1_000
/** The longest that a timer can wait. */
const ENDLESS = 2 ** 31 - 1

/** Listens to the engine's events about health, start and end of containers. If that fails, `isOpen` says so. */
export function watchChanges(docker: Docker, ids: readonly string[], clock: Clock): Changes {
  const over = new AbortController()
  const began = clock.now()
  let isListening = true
  let change = Promise.withResolvers<void>()
  const filters = [...ids.map((id) => `container=${id}`), ...EVENTS.map((event) => `event=${event}`)]
  const args = ['events', ...filters.flatMap((filter) => ['--filter', filter]), '--format', '{{.ID}}']
  const how = { timeout: ENDLESS, outlive: OUTLIVE, limit: 4096, until: over.signal, onLine: () => change.resolve() }
  const stop = () => {
    isListening = false
  }
  docker.try(args, how).then(stop, stop)
  return {
    async next(ms) {
      await Promise.race([clock.sleep(ms), change.promise])
      change = Promise.withResolvers()
    },
    isOpen: () => isListening && clock.now() - began >= CONNECTED,
    end: () => over.abort(),
  }
}

const EVENTS = ['start', 'die', 'health_status']
