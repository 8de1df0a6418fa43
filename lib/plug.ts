import { type Container, type Docker, inspectContainers } from './docker.ts'
import { StagecraftError } from './errors.ts'
import { lastWords } from './gate.ts'
import { connect, probe } from './proxy.ts'
import { routeNetwork, type Slots, slotAlias } from './routes.ts'
import type { Routing } from './routing.ts'

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

/**
 * Plugs in containers that are ready, and asks each as the proxy would: what does not answer there is not ready, whatever
 * its healthcheck says.
 * @param cancelled something else has failed: it does not matter any more
 * @throws failed (5)
 */
export async function proveReachable(
  routing: Routing,
  service: string,
  ids: readonly string[],
  cancelled: () => boolean = () => false,
): Promise<void> {
  const { docker, name, slots, services } = routing
  if (services[service]?.expose === undefined || slots[service] === undefined) return
  const network = routeNetwork(name)
  let containers = await inspectContainers(docker, ids)
  if (containers.some(({ networks }) => !networks[network]?.address)) {
    await plugIntoSlots(docker, name, containers, slots)
    containers = await inspectContainers(docker, ids)
  }
  await Promise.all(containers.map((container) => proveOne(routing, container, cancelled)))
}

/** Milliseconds that a container has to answer the proxy: one whose healthcheck has passed should at once. */
const PROBE_TIMEOUT = 10_000
const PROBE_TIMEOUT_UNCHECKED = 60_000

async function proveOne(routing: Routing, container: Container, cancelled: () => boolean): Promise<void> {
  const { docker, clock, name, services } = routing
  const { service, id, health, networks } = container
  const { expose, rollout } = services[service] ?? {}
  if (expose === undefined) return
  const patience = rollout?.health_timeout ?? (health === 'healthy' ? PROBE_TIMEOUT : PROBE_TIMEOUT_UNCHECKED)
  const end = clock.now() + patience
  const { address = '' } = networks[routeNetwork(name)] ?? {}
  const target = { address, port: expose.port, health: expose.health, host: expose.host?.[0] ?? service }
  for (;;) {
    const wrong = await probe(docker, target)
    if (wrong === undefined || cancelled()) return
    const [now] = await inspectContainers(docker, [id])
    if (now?.state !== 'running' || clock.now() > end) throw await unreachable(routing, container, wrong)
    await clock.sleep(200)
  }
}

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
