import type { ServiceConfig } from './config.ts'
import type { Docker } from './docker.ts'
import type { Emit } from './events.ts'
import type { Clock } from './gate.ts'
import { requestsInFlight } from './proxy.ts'
import { otherSlot, type Slots, slotAlias } from './routes.ts'

/** What draining needs to know. */
export interface DrainContext {
  readonly docker: Docker
  readonly clock: Clock
  readonly emit: Emit
  /** the Compose project's name */
  readonly name: string
  readonly services: Readonly<Record<string, ServiceConfig>>
}

/** Milliseconds that requests on their way have, where `drain_timeout` does not say it. */
const DRAIN_TIMEOUT = 30_000
/** Milliseconds between a request's look at which slot is live and its being counted: much more than it takes. */
const SETTLE = 100
const POLL = 150

/**
 * Waits until nothing is on its way to the slots that are not live any more, as Caddy counts it; each service has its
 * `drain_timeout`, and what is left then is cut when its container stops, which is told.
 * Where the proxy does not run nothing is on its way.
 * @param live the slots that are live; those of the same services that are not are waited for
 */
export async function drainSlots(context: DrainContext, live: Slots): Promise<void> {
  const { docker, clock, emit, name, services } = context
  const began = clock.now()
  let open = Object.keys(live)
  const quiet = new Map<string, number>()
  const told = new Set<string>()
  await clock.sleep(SETTLE)
  while (open.length > 0) {
    const counts = await requestsInFlight(docker)
    if (counts === undefined) return
    for (const service of open) {
      const alias = slotAlias(name, service, otherSlot(live[service]))
      const count = sum([...counts].filter(([address]) => address.startsWith(`${alias}:`)).map(([, each]) => each))
      quiet.set(service, count === 0 ? (quiet.get(service) ?? 0) + 1 : 0)
      if (count === 0) continue
      if (!told.has(service)) emit({ type: 'service', service, step: 'drain', note: waiting(count) })
      told.add(service)
      if (clock.now() - began < (services[service]?.rollout.drain_timeout ?? DRAIN_TIMEOUT)) continue
      open = open.filter((each) => each !== service)
      emit(late(service, count, clock.now() - began))
    }
    // Twice in a row: one that had just been let through when the slots were switched is counted by then.
    open = open.filter((service) => (quiet.get(service) ?? 0) < 2)
    if (open.length > 0) await clock.sleep(POLL)
  }
}

function waiting(count: number): string {
  return `${requests(count)} still on the way`
}

function requests(count: number): string {
  return count === 1 ? '1 request' : `${count} requests`
}

function late(service: string, count: number, ms: number) {
  return {
    type: 'warning',
    message: `${requests(count)} to the former ${service} did not end within ${Math.round(ms / 1000)} s and will be cut`,
    hint: `Raise services.${service}.rollout.drain_timeout in stagecraft.yml if they need longer.`,
  } as const
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}

/**
 * Runs the `drain` hooks of services that stand behind a proxy of the user's own: the command in each old container, then
 * the wait. A hook that fails is told, and does not keep the old containers from going.
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
    const result = await docker.try(['exec', id, ...drain.command], { timeout: HOOK_TIMEOUT })
    if (result.code !== 0) emit(failedHook(service, name, result.code))
  }
  if (wait > 0) await clock.sleep(wait)
}

/** Milliseconds: what a proxy takes to notice, and to let requests end. */
const HOOK_WAIT = 10_000
const HOOK_TIMEOUT = 60_000

function failedHook(service: string, name: string, code: number) {
  return {
    type: 'warning',
    message: `the drain command of ${service} failed in ${name} (exit code ${code})`,
    hint: 'Requests to it may be cut when it stops.',
  } as const
}
