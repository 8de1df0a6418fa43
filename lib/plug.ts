import { type Container, type Docker, inspectContainers } from './docker.ts'
import { StagecraftError } from './errors.ts'
import { lastWords } from './gate.ts'
import { connect, NO_PROXY, probe } from './proxy.ts'
import { routeNetwork, type Slots, slotAlias } from './routes.ts'
import type { Routing } from './routing.ts'
import { trustedRanges } from './trusted-proxies.ts'

/** Gives containers the alias of their service's slot, under which the proxy finds them, unless they have it. */
export async function plugIntoSlots(
  docker: Docker,
  name: string,
  containers: readonly Container[],
  slots: Slots,
): Promise<void> {
  const network = routeNetwork(name)
  const plug = async ({ id, service, networks }: Container) => {
    const slot = slots[service]
    if (slot === undefined) return
    const alias = slotAlias(name, service, slot)
    const endpoint = networks[network]
    if (endpoint?.aliases.includes(alias)) return
    if (endpoint) await docker.run(`unplug ${service} from ${network}`, ['network', 'disconnect', network, id])
    await connect(docker, network, id, [alias])
  }
  await Promise.all(containers.map(plug))
}

/** Milliseconds that a container has to answer the proxy: one whose healthcheck has passed should at once. */
const PROBE_TIMEOUT = 10_000
const PROBE_TIMEOUT_UNCHECKED = 60_000

/** The proof that containers answer the proxy: what does not is not ready, whatever its healthcheck says. */
export interface Proof {
  /** They are ready, as far as their healthchecks go: from now on they have their time. @throws failed (5) */
  demand(cancelled?: () => boolean): Promise<void>
}

/**
 * Begins to ask containers as the proxy would, each until it answers. Meanwhile they may become healthy.
 * @param ids of one service; they run, and have the alias of their slot
 */
export function beginProof(routing: Routing, service: string, ids: readonly string[]): Proof {
  const { clock, services } = routing
  const { expose, rollout } = services[service] ?? {}
  let end = Number.POSITIVE_INFINITY
  let cancelled = () => false
  const done = Promise.all(
    ids.map((id) => proveOne(routing, id, { isLate: () => clock.now() > end, cancelled: () => cancelled() })),
  )
  done.catch(() => {}) // it is thrown where it is demanded
  return {
    async demand(isCancelled = () => false) {
      if (expose === undefined) return
      cancelled = isCancelled
      const patience = async () => {
        const checked = (await inspectContainers(routing.docker, ids)).every(({ health }) => health === 'healthy')
        end = clock.now() + (rollout?.health_timeout ?? (checked ? PROBE_TIMEOUT : PROBE_TIMEOUT_UNCHECKED))
      }
      patience().catch(() => {}) // who waits asks the same engine, and says so
      await done
    },
  }
}

/** Plugs in containers that are ready, and proves that they answer. @throws failed (5) */
export async function proveReachable(
  routing: Routing,
  service: string,
  ids: readonly string[],
  cancelled?: () => boolean,
): Promise<void> {
  if (routing.services[service]?.expose === undefined || routing.slots[service] === undefined) return
  await plugIntoSlots(routing.docker, routing.name, await inspectContainers(routing.docker, ids), routing.slots)
  await beginProof(routing, service, ids).demand(cancelled)
}

/** When nobody waits any longer: it had its time, or another service has failed. */
interface Patience {
  readonly isLate: () => boolean
  readonly cancelled: () => boolean
}

/** The proxy that is to ask may be gone, or cut off from the container: it is repaired before the container gets the blame. */
async function proveOne(routing: Routing, id: string, { isLate, cancelled }: Patience): Promise<void> {
  const { docker, clock, name, services } = routing
  let repairs = 0
  for (;;) {
    const [container] = await inspectContainers(docker, [id])
    if (container === undefined) return // the gate says so
    const { service, networks } = container
    const expose = services[service]?.expose
    const { address } = networks[routeNetwork(name)] ?? {}
    if (expose === undefined) return
    const { port, health, host = [service] } = expose
    // Behind a balancer requests have come by HTTPS: an application that redirects others would never be ready.
    const isPlain = expose.host === undefined || (expose.tls === 'off' && trustedRanges(expose).length === 0)
    const scheme = isPlain ? 'http' : 'https'
    const target = { address: address ?? '', port, health, host: host[0] ?? service, scheme }
    const away = container.state === 'running' ? 'it is not on the proxy’s network' : 'it does not run any more'
    const wrong = address ? await probe(docker, target, PROBE_SECONDS) : away
    if (wrong === undefined) return
    const [now] = await inspectContainers(docker, [id])
    const isOver = now?.state !== 'running' || cancelled()
    const toRepair = wrong === NO_PROXY ? repairs < 3 : isLate() && repairs === 0
    if (!isOver && toRepair) {
      repairs++
      await routing.repair()
      continue
    }
    if (isOver || isLate()) throw await unreachable(routing, container, wrong)
    await clock.sleep(200)
  }
}

/** Seconds that one command asks for. */
const PROBE_SECONDS = 2

async function unreachable(
  { docker, services }: Routing,
  container: Container,
  wrong: string,
): Promise<StagecraftError> {
  const { service } = container
  const port = services[service]?.expose?.port
  const [now = container] = await inspectContainers(docker, [container.id])
  return new StagecraftError('failed', `Cannot route requests to ${service}: ${wrong}`, {
    detail: await lastWords(docker, now),
    hint: wrong.startsWith('nothing')
      ? `It must listen on port ${port} of all its addresses (0.0.0.0, not 127.0.0.1). Is \`expose: {port: ${port}}\` right?`
      : 'The health path of `expose` must answer 2xx before requests are sent there.',
  })
}
