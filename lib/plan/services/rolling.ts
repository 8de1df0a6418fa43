import type { Service } from '../../compose/model.ts'
import { hooksOf } from '../../compose/released/hooks.ts'
import { fixedAddress, NAMESPACES, namespaceOwner } from '../../compose/topology.ts'
import type { ReleasedImage } from '../../docker/images.ts'
import type { Gap, PlanInput, ServicePlan } from '../input.ts'
import { networksOf } from '../networks.ts'
import { hookObstacle } from './hooks.ts'

/** Why a service cannot, or must not, run twice at once; and what would make it possible. */
interface Obstacle {
  readonly because: string
  readonly avoid?: string
  /** `strategy: rolling` overrides it: it states that two containers may write there */
  readonly yields?: true
  /** what avoids it also makes a service roll that is not routed yet */
  readonly routes?: true
}

/**
 * Makes a service that must be recreated roll instead, if it may and can (spec/core/rolling.md): the new containers start
 * alongside the old ones, which stay live until all of the release is ready. Otherwise it has downtime, with the reason.
 * @param replaced networks that are replaced
 */
export function rollIfPossible(plan: ServicePlan, input: PlanInput, replaced: ReadonlySet<string>): ServicePlan {
  const routed = isRouted(plan.service, input)
  const containers = input.containers.filter(({ service }) => service === plan.service).length
  // A container in the live slot can be neither proved nor drained: another number of replicas needs the other slot.
  const isAsked = input.environment.services[plan.service]?.rollout.strategy === 'rolling'
  // On a Swarm a task gets requests once it is ready, regardless of other services.
  const counts = input.environment.engine !== 'swarm'
  const scales =
    counts && plan.action === 'scale' && plan.replicas > 0 && (routed || (isAsked && plan.replicas < containers))
  if (plan.action !== 'recreate' && !scales) return plan
  const obstacle = obstacleTo(plan.service, input, replaced)
  if (obstacle === undefined && plan.replicas > 0) return { ...plan, action: 'rolling' }
  return plan.action === 'recreate' && plan.replicas > 0 ? { ...plan, gap: gapOf(plan, input, obstacle) } : plan
}

/** What decides whether a service can run twice at once. */
type Doubled = Pick<PlanInput, 'environment' | 'target' | 'images' | 'serving' | 'containers'>

/** @returns whether something sends requests to a service only once it is ready: the proxy, or the routing mesh of a Swarm. */
function isRouted(service: string, { environment, target }: Pick<PlanInput, 'environment' | 'target'>): boolean {
  if (environment.engine !== 'swarm') return environment.services[service]?.expose !== undefined
  return (target.model.services[service]?.ports ?? []).some(({ mode }) => mode !== 'host')
}

/** @returns whether new containers of a service may, and can, run alongside the old ones. */
export function mayRoll(service: string, input: Doubled): boolean {
  return obstacleTo(service, input, new Set()) === undefined
}

function gapOf({ service }: ServicePlan, input: PlanInput, obstacle: Obstacle | undefined): Gap {
  const measured = input.serving?.bundle.gaps?.[service]
  const { because = 'only one of it may run', avoid } = obstacle ?? {}
  return {
    because,
    ...(avoid ? { avoid } : {}),
    ...(measured === undefined ? {} : { ms: measured }),
    inTurn: isInTurn(service, input),
  }
}

/**
 * Replicas that are replaced one at a time have no downtime, there are only fewer of them for a while. Compose carries
 * anonymous volumes over to the new container; replaced one at a time, they would be lost. It alone runs hooks.
 */
function isInTurn(service: string, { environment, containers, target, images }: PlanInput): boolean {
  if (environment.engine === 'swarm') return containers.filter((one) => one.service === service).length > 1
  const definition = target.model.services[service] ?? {}
  const { volumes = [] } = definition
  const isAnonymous = volumes.some(({ type, source }) => type === 'volume' && !source)
  const own = containers.filter((container) => container.service === service)
  const asked = environment.services[service]?.rollout.order === 'stop-first'
  const keeps = isAnonymous || images[service]?.volumes === true || own.some(({ anonymous }) => anonymous.length > 0)
  return asked && own.length > 1 && !keeps && hooksOf(definition).length === 0
}

function obstacleTo(service: string, input: Doubled, replaced: ReadonlySet<string>): Obstacle | undefined {
  const { strategy, order } = input.environment.services[service]?.rollout ?? {}
  if (strategy === 'recreate') return { because: '`strategy: recreate` is set' }
  const target = input.target.model.services[service] ?? {}
  const [hook] = hooksOf(target)
  if (order === 'stop-first') return hook ? hookObstacle(hook) : { because: '`order: stop-first` is set' }
  const found = [...technicalObstacles(service, target, input, replaced)].filter(
    ({ yields }) => !(yields && strategy === 'rolling'),
  )
  const isAlone = strategy !== 'rolling' && !isRouted(service, input)
  const alone = input.environment.engine === 'swarm' ? UNPUBLISHED : UNROUTED
  return summarize(isAlone && !found.some(({ routes }) => routes) ? [...found, alone] : found)
}

const UNROUTED: Obstacle = {
  because: 'it is not routed',
  avoid: 'expose it, or set `strategy: rolling` if two versions may run at once',
}

const UNPUBLISHED: Obstacle = {
  because: 'it publishes no port through the routing mesh',
  avoid: 'set `strategy: rolling` if two versions may run at once',
}

/** `avoid` lists everything that must be done. If one obstacle cannot be avoided, it is the reason, without advice. */
function summarize(found: readonly Obstacle[]): Obstacle | undefined {
  const [first] = found
  const lasting = found.find(({ avoid }) => avoid === undefined)
  if (first === undefined || lasting !== undefined) return lasting
  const avoid = [...new Set(found.map((one) => one.avoid))].join('; and ')
  return { because: first.because, avoid }
}

function* technicalObstacles(
  service: string,
  target: Service,
  input: Doubled,
  replaced: ReadonlySet<string>,
): Generator<Obstacle> {
  const onSwarm = input.environment.engine === 'swarm'
  const network = networksOf(target, input.target.model).find((name) => replaced.has(name))
  if (network !== undefined) yield { because: `its network ${network} is recreated` }
  const port = target.ports?.find(
    ({ published, mode }) => published !== undefined && published !== '' && (!onSwarm || mode === 'host'),
  )
  if (port)
    yield {
      because: `it publishes port ${port.published}${onSwarm ? ' of its node' : ''}`,
      avoid: onSwarm
        ? 'publish it through the routing mesh: no `mode: host`'
        : 'if it is HTTP, let the proxy have the port: `expose`, and no `ports` in the Compose file',
      routes: true,
    }
  if (target.container_name && !onSwarm)
    yield {
      because: `it has a container_name (${target.container_name})`,
      avoid: 'take `container_name` out of the Compose file',
    }
  if (target.network_mode === 'host') yield { because: 'it is on the host network' }
  if (hasFixedAddress(target))
    yield { because: 'it has a fixed address', avoid: 'take the address out of the Compose file' }
  for (const hook of hooksOf(target)) yield hookObstacle(hook)
  yield* sharing(service, target, input)
  yield* mounts(target, input.images[service] ?? input.serving?.bundle.images[service])
  // Also where the new version has none: containers that roll are removed with their anonymous volumes.
  const unnamed = input.containers.find((one) => one.service === service && one.anonymous.length > 0)?.anonymous[0]
  if (unnamed && !input.images[service]?.volumes)
    yield { because: `what runs has an anonymous volume (${unnamed.path}), which would be removed with it` }
}

function hasFixedAddress(target: Service): boolean {
  return 'mac_address' in target || Object.values(target.networks ?? {}).some(fixedAddress)
}

function* sharing(service: string, target: Service, { target: { model } }: Doubled): Generator<Obstacle> {
  for (const key of NAMESPACES) {
    const owner = namespaceOwner(target[key])
    if (owner !== undefined) yield { because: `it uses the ${key === 'network_mode' ? 'network' : key} of ${owner}` }
  }
  if ((target.volumes_from ?? []).length > 0) yield { because: 'it uses the volumes of another service' }
  if ((target.links ?? []).length > 0) yield { because: 'it has links' }
  for (const [name, other] of Object.entries(model.services)) {
    const joins = NAMESPACES.some((key) => namespaceOwner(other[key]) === service)
    const uses = [...(other.volumes_from ?? []), ...(other.links ?? [])].some(
      (entry) => entry.split(':')[0] === service,
    )
    if (joins || uses) yield { because: `${name} shares something with it` }
  }
}

function* mounts(target: Service, image: ReleasedImage | undefined): Generator<Obstacle> {
  for (const { type, source, target: path, read_only } of target.volumes ?? []) {
    if (type === 'volume' && !source) yield { because: `it has an anonymous volume (${path})` }
    else if ((type === 'volume' || type === 'bind') && read_only !== true)
      yield {
        because: `it writes to ${type === 'volume' ? `volume ${source}` : source}`,
        avoid: 'set `strategy: rolling` if two may write there at once',
        yields: true,
        routes: true,
      }
  }
  if (image?.volumes) yield { because: 'its image declares a volume' }
}
