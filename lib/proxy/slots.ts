import { wholeName } from '../config/edge/expose.ts'
import { trustedRanges } from '../config/edge/trusted-proxies.ts'
import type { Docker } from '../docker/client.ts'
import { inspectContainers, listContainers } from '../docker/containers.ts'
import type { Container } from '../docker/inspect.ts'
import { connect, disconnect } from '../docker/networks.ts'
import { lastWords } from '../docker/readiness/last-words.ts'
import { namedIn, type RoutingTable, routeNetwork, type Slot, slotAlias } from '../plan/routes/table.ts'
import { StagecraftError } from '../util/errors.ts'
import { type ProbeFailure, probe } from './api.ts'
import type { RouteJob } from './route-job.ts'

/**
 * Gives containers the aliases of their service's slot, under which the proxy finds them: one that all of a slot have, and one
 * with a number that is their own.
 * @param all containers of the project, if there may be others in these slots
 */
export async function attachToSlots(
  docker: Docker,
  name: string,
  containers: readonly Container[],
  { routes, slots }: RoutingTable,
  all: readonly Container[] = containers,
): Promise<void> {
  const network = routeNetwork(name)
  const attach = async ({ id, service, networks }: Container, slot: Slot, number: number) => {
    const alias = [slotAlias(name, service, slot), slotAlias(name, service, slot, number)]
    const endpoint = networks[network]
    const isNamed = routes.some((route) => route.service === service && namedIn(route, slot) > 0)
    if (alias.slice(0, isNamed ? 2 : 1).every((each) => endpoint?.aliases.includes(each))) return
    if (endpoint) await disconnect(docker, [network, id], { what: `disconnect ${service} from ${network}` })
    await connect(docker, [network, id], { alias })
  }
  const joining = new Set(containers.map(({ id }) => id))
  const services = [...new Set(containers.map(({ service }) => service))]
  const attached = services.flatMap((service) => {
    const slot = slots[service]
    if (slot === undefined) return []
    const members = all.filter((one) => one.service === service && (joining.has(one.id) || isIn(one, name, slot)))
    const numbers = numbered(members, name, slot)
    return members.filter(({ id }) => joining.has(id)).map((one) => attach(one, slot, numbers.get(one.id) ?? 0))
  })
  await Promise.all(attached)
}

/** @returns whether a container has the alias of a slot, and may still answer */
export function isIn({ service, state, networks }: Container, name: string, slot: Slot): boolean {
  const hasEnded = state === 'exited' || state === 'dead'
  return !hasEnded && networks[routeNetwork(name)]?.aliases.includes(slotAlias(name, service, slot)) === true
}

/** @returns a number for each container of a slot, from 1 on: the one that it has, if that is its own */
function numbered(members: readonly Container[], name: string, slot: Slot): Map<string, number> {
  const free = new Set(members.map((_, at) => at + 1))
  const numbers = new Map<string, number>()
  const give = (id: string, number: number | undefined) => {
    if (number === undefined) return
    numbers.set(id, number)
    free.delete(number)
  }
  for (const { id, service, networks } of members) {
    const aliases = networks[routeNetwork(name)]?.aliases ?? []
    give(
      id,
      [...free].find((number) => aliases.includes(slotAlias(name, service, slot, number))),
    )
  }
  for (const { id } of members) if (!numbers.has(id)) give(id, Math.min(...free))
  return numbers
}

/** Milliseconds that a container has to answer the proxy; one whose healthcheck has passed should answer at once. */
const PROBE_TIMEOUT = 10_000
const PROBE_TIMEOUT_UNCHECKED = 60_000

/** Checks that containers answer the proxy: one that does not is not ready, whatever its healthcheck says. */
export interface Probe {
  /** Waits for the answers. Their healthchecks have passed: the time limit begins now. @throws failed (5) */
  finish(cancelled?: () => boolean): Promise<void>
}

/**
 * Begins to probe containers as the proxy would, each until it answers, while they become healthy.
 * @param ids of one service's running containers, with the alias of their slot
 */
export function startProbe(routing: RouteJob, service: string, ids: readonly string[]): Probe {
  const { clock, services } = routing
  const { expose, rollout } = services[service] ?? {}
  let end = Number.POSITIVE_INFINITY
  let cancelled = () => false
  const done = Promise.all(
    ids.map((id) => proveOne(routing, id, { isLate: () => clock.now() > end, cancelled: () => cancelled() })),
  )
  let answered = false
  done.then(
    () => {
      answered = true
    },
    () => {}, // `finish` throws it
  )
  return {
    async finish(isCancelled = () => false) {
      if (expose === undefined) return
      cancelled = isCancelled
      const patience = async () => {
        const checked = (await inspectContainers(routing.docker, ids)).every(({ health }) => health === 'healthy')
        end = clock.now() + (rollout?.health_timeout ?? (checked ? PROBE_TIMEOUT : PROBE_TIMEOUT_UNCHECKED))
      }
      if (answered) return
      patience().catch(() => {}) // the probes ask the same engine, and report its error
      await done
    },
  }
}

/** Connects containers that are ready to their slot, and waits until they answer the proxy. @throws failed (5) */
export async function proveReachable(
  routing: RouteJob,
  service: string,
  ids: readonly string[],
  cancelled?: () => boolean,
): Promise<void> {
  if (routing.services[service]?.expose === undefined || routing.slots[service] === undefined) return
  const all = await listContainers(routing.docker, routing.name)
  const own = all.filter(({ id }) => ids.includes(id))
  await attachToSlots(routing.docker, routing.name, own, routing, all)
  await startProbe(routing, service, ids).finish(cancelled)
}

/** When to stop waiting: the time is up, or another service has failed. */
interface Patience {
  readonly isLate: () => boolean
  readonly cancelled: () => boolean
}

/** Probes one container. If the proxy is gone or cut off from it, it is repaired before the container is blamed. */
async function proveOne(routing: RouteJob, id: string, { isLate, cancelled }: Patience): Promise<void> {
  const { docker, clock, name, services } = routing
  let repairs = 0
  for (;;) {
    const [container] = await inspectContainers(docker, [id])
    if (container === undefined) return // the gate reports it
    const { service, networks } = container
    const expose = services[service]?.expose
    const { address } = networks[routeNetwork(name)] ?? {}
    if (expose === undefined) return
    const { port, health } = expose
    const h2c = expose.protocol === 'h2c'
    // Behind a load balancer requests came by HTTPS: an application that redirects plain HTTP would never be ready.
    const isPlain = expose.host === undefined || (expose.tls === 'off' && trustedRanges(expose).length === 0)
    const scheme = isPlain ? 'http' : 'https'
    const target = { address: address ?? '', port, h2c, health, host: wholeName(expose) ?? service, scheme }
    const away = container.state === 'running' ? "it is not on the proxy's network" : 'it is not running any more'
    const wrong = address ? await probe(docker, target, PROBE_SECONDS) : ({ kind: 'unwell', why: away } as const)
    if (wrong === undefined) return
    const [now] = await inspectContainers(docker, [id])
    const isOver = now?.state !== 'running' || cancelled()
    const toRepair = wrong.kind === 'no-proxy' ? repairs < 3 : isLate() && repairs === 0
    if (!isOver && toRepair) {
      repairs++
      await routing.repair()
      continue
    }
    if (isOver || isLate()) throw await unreachable(routing, container, wrong)
    await clock.sleep(200)
  }
}

/** Seconds that one probe command may take. */
const PROBE_SECONDS = 2

const MUST_ANSWER = {
  http: 'It must answer HTTP/1.1 there; a gRPC server does not, and needs `protocol: h2c`. What it printed may say more.',
  h2c: 'With `protocol: h2c` it must speak HTTP/2 there, without TLS. What it printed may say why it does not.',
}

async function unreachable(
  { docker, services }: RouteJob,
  container: Container,
  { kind, why }: ProbeFailure,
): Promise<StagecraftError> {
  const { service } = container
  const { port, health, protocol } = services[service]?.expose ?? {}
  const [now = container] = await inspectContainers(docker, [container.id])
  return new StagecraftError('failed', `Cannot route requests to ${service}: ${why}`, {
    detail: await lastWords(docker, now),
    hint:
      kind === 'silent'
        ? `It must listen on port ${port} of all its addresses (0.0.0.0, not 127.0.0.1). Check \`expose: {port: ${port}}\`.`
        : health === undefined
          ? MUST_ANSWER[protocol ?? 'http']
          : 'The health path of `expose` must answer 2xx before requests are sent there.',
  })
}
