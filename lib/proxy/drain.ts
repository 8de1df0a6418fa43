import type { ServiceConfig } from '../config/parse.ts'
import type { Docker } from '../docker/client.ts'
import { execIn } from '../docker/lifecycle.ts'
import type { Emit } from '../output/events.ts'
import { otherSlot, type Route, type RoutingTable, slotAddress } from '../plan/routes/table.ts'
import type { Clock } from '../system/clock.ts'
import { inFlightTo, untilDrained } from './api.ts'

/** What draining needs to know. */
export interface DrainContext {
  readonly docker: Docker
  readonly clock: Clock
  readonly emit: Emit
  /** the Compose project's name */
  readonly name: string
  readonly services: Readonly<Record<string, ServiceConfig>>
}

/** Milliseconds that requests in flight have to finish, unless `drain_timeout` is set. */
const DRAIN_TIMEOUT = 30_000
/** Seconds within which most drains have ended: only longer ones are reported. */
const SHORT = 1

/**
 * Waits until Caddy counts no request in flight to the old slots, for at most the `drain_timeout` of each service.
 * Requests that are left then will be cut when their container stops; a warning says so. If no proxy runs, there is
 * nothing to wait for.
 * @param routed the routes of these services, and their live slots: the other slots are drained
 */
export async function drainSlots(context: DrainContext, { routes, slots }: RoutingTable): Promise<void> {
  const { docker, clock, emit, name, services } = context
  const began = clock.now()
  const left = ({ service }: Route) =>
    (services[service]?.rollout.drain_timeout ?? DRAIN_TIMEOUT) - (clock.now() - began)
  const address = (route: Route) => slotAddress(name, route, otherSlot(slots[route.service]))
  let open = routes.filter(({ service }) => slots[service] !== undefined)
  let seconds = SHORT
  while (open.length > 0) {
    const counts = await untilDrained(docker, seconds, open.map(address))
    if (counts === undefined) return
    open = open.filter((route) => {
      const count = inFlightTo(counts, address(route))
      const isOver = count === 0 || left(route) <= 0
      if (count > 0 && isOver) emit(late(route.service, count, clock.now() - began))
      else if (count > 0 && seconds === SHORT)
        emit({ type: 'service', service: route.service, step: 'drain', note: waiting(count) })
      return !isOver
    })
    seconds = Math.max(SHORT, Math.ceil(Math.min(...open.map(left)) / 1000))
  }
}

function waiting(count: number): string {
  return `${requests(count)} still in flight`
}

function requests(count: number): string {
  return count === 1 ? '1 request' : `${count} requests`
}

function late(service: string, count: number, ms: number) {
  return {
    type: 'warning',
    message: `${requests(count)} to the old ${service} did not end within ${Math.round(ms / 1000)} s and will be cut`,
    hint: `Raise services.${service}.rollout.drain_timeout in stagecraft.yml if they need longer.`,
  } as const
}

/**
 * Runs the `drain` hooks of services behind a proxy of the user's own: the command in each old container, then a wait.
 * A hook that fails is a warning; the old containers are removed all the same.
 */
export async function runDrainHooks(
  { docker, clock, emit, services }: DrainContext,
  old: readonly { readonly id: string; readonly name: string; readonly service: string }[],
): Promise<void> {
  let wait = 0
  for (const { id, name, service } of old) {
    const drain = services[service]?.rollout.drain
    if (!drain) continue
    wait = Math.max(wait, drain.wait ?? HOOK_WAIT)
    if (drain.command === undefined) continue
    emit({ type: 'service', service, step: 'drain', note: `its drain command in ${name}` })
    const result = await execIn(docker, [id, ...drain.command], { timeout: HOOK_TIMEOUT })
    if (result.code !== 0) emit(failedHook(service, name, result.code))
  }
  if (wait > 0) await clock.sleep(wait)
}

/** Milliseconds that a proxy needs to notice, and its requests to end. */
const HOOK_WAIT = 10_000
const HOOK_TIMEOUT = 60_000

function failedHook(service: string, name: string, code: number) {
  return {
    type: 'warning',
    message: `the drain command of ${service} failed in ${name} (exit code ${code})`,
    hint: 'Requests to it may be cut when it stops.',
  } as const
}
