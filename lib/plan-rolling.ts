import type { Service } from './compose.ts'
import type { ReleasedImage } from './images.ts'
import type { Gap, PlanInput, ServicePlan } from './plan.ts'
import { networksOf } from './plan-networks.ts'
import { NAMESPACES, namespaceOwner } from './services.ts'

/** Why a service cannot, or is not to, run twice at once; and what would make it possible. */
interface Obstacle {
  readonly because: string
  readonly avoid?: string
  /** `strategy: rolling` overrules it: whoever says so knows that two may write there */
  readonly yields?: true
  /** what avoids it makes the service roll also if it is not routed yet */
  readonly routes?: true
}

/**
 * Lets a service that is to be made anew roll if it may and can (design 6): the new containers are started beside the old
 * ones, which serve until all of the release is ready. What cannot has a gap, and the plan says why.
 * @param replaced networks that are made anew
 */
export function rollIfPossible(plan: ServicePlan, input: PlanInput, replaced: ReadonlySet<string>): ServicePlan {
  const routed = isRouted(plan.service, input)
  const containers = input.containers.filter(({ service }) => service === plan.service).length
  // In the slot that is live a container can neither be proved nor drained: another number of them is another slot.
  const isAsked = input.environment.services[plan.service]?.rollout.strategy === 'rolling'
  const scales = plan.action === 'scale' && plan.replicas > 0 && (routed || (isAsked && plan.replicas < containers))
  if (plan.action !== 'recreate' && !scales) return plan
  const obstacle = obstacleTo(plan.service, input, replaced)
  if (obstacle === undefined && plan.replicas > 0) return { ...plan, action: 'rolling' }
  return plan.action === 'recreate' && plan.replicas > 0 ? { ...plan, gap: gapOf(plan, input, obstacle) } : plan
}

/** @returns whether the proxy sends requests to a service. */
export function isRouted(service: string, { environment }: Pick<PlanInput, 'environment'>): boolean {
  return environment.services[service]?.expose !== undefined
}

function gapOf({ service }: ServicePlan, input: PlanInput, obstacle: Obstacle | undefined): Gap {
  const measured = input.serving?.bundle.gaps?.[service]
  const { because = 'no two of it are wanted', avoid } = obstacle ?? {}
  return {
    because,
    ...(avoid ? { avoid } : {}),
    ...(measured === undefined ? {} : { ms: measured }),
    inTurn: isInTurn(service, input),
  }
}

/**
 * Replicas that are replaced one after the other leave no gap, only fewer of them for a while. Compose would hand anonymous
 * volumes on; one by one they would be lost.
 */
function isInTurn(service: string, { environment, containers, target, images }: PlanInput): boolean {
  const { volumes = [] } = target.model.services[service] ?? {}
  const isAnonymous = volumes.some(({ type, source }) => type === 'volume' && !source)
  const replicas = containers.filter((container) => container.service === service).length
  const asked = environment.services[service]?.rollout.order === 'stop-first'
  return asked && replicas > 1 && !isAnonymous && images[service]?.volumes !== true
}

function obstacleTo(service: string, input: PlanInput, replaced: ReadonlySet<string>): Obstacle | undefined {
  const { strategy, order } = input.environment.services[service]?.rollout ?? {}
  if (strategy === 'recreate') return { because: 'it is to be recreated (strategy: recreate)' }
  if (order === 'stop-first') return { because: 'its replicas are replaced in turn (order: stop-first)' }
  const target = input.target.model.services[service] ?? {}
  const found = [...technicalObstacles(service, target, input, replaced)].filter(
    ({ yields }) => !(yields && strategy === 'rolling'),
  )
  const isAlone = strategy !== 'rolling' && !isRouted(service, input)
  return summarize(isAlone && !found.some(({ routes }) => routes) ? [...found, UNROUTED] : found)
}

const UNROUTED: Obstacle = {
  because: 'it is not routed',
  avoid: 'expose it, or say `strategy: rolling` if two versions may run at once',
}

/** Who does all that `avoid` says has no obstacle left; where one of them stays, nothing of it would help. */
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
  input: PlanInput,
  replaced: ReadonlySet<string>,
): Generator<Obstacle> {
  const network = networksOf(target, input.target.model).find((name) => replaced.has(name))
  if (network !== undefined) yield { because: `its network ${network} is made anew` }
  const port = target.ports?.find(({ published }) => published !== undefined && published !== '')
  if (port)
    yield {
      because: `it publishes port ${port.published}`,
      avoid: 'let the proxy have the port if it is HTTP: `expose`, and no `ports` in the Compose file',
      routes: true,
    }
  if (target.container_name)
    yield {
      because: `it has a container_name (${target.container_name})`,
      avoid: 'take `container_name` out of the Compose file',
    }
  if (target.network_mode === 'host') yield { because: 'it is on the host network' }
  if (hasFixedAddress(target))
    yield { because: 'it has a fixed address', avoid: 'take the address out of the Compose file' }
  for (const hook of ['post_start', 'pre_stop'])
    if (hook in target) yield { because: `it has a ${hook} hook, which is Compose's to run` }
  yield* sharing(service, target, input)
  yield* mounts(target, input.images[service] ?? input.serving?.bundle.images[service])
}

function hasFixedAddress(target: Service): boolean {
  const fixed = ['ipv4_address', 'ipv6_address', 'link_local_ips', 'mac_address']
  const isFixed = (settings: unknown) =>
    typeof settings === 'object' && settings !== null && fixed.some((key) => key in settings)
  return 'mac_address' in target || Object.values(target.networks ?? {}).some(isFixed)
}

function* sharing(service: string, target: Service, { target: { model } }: PlanInput): Generator<Obstacle> {
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
    if (joins || uses) yield { because: `${name} shares something of it` }
  }
}

function* mounts(target: Service, image: ReleasedImage | undefined): Generator<Obstacle> {
  for (const { type, source, target: path, read_only } of target.volumes ?? []) {
    if (type === 'volume' && !source) yield { because: `it has an anonymous volume (${path})` }
    else if ((type === 'volume' || type === 'bind') && read_only !== true)
      yield {
        because: `it writes to ${type === 'volume' ? `volume ${source}` : source}`,
        avoid: 'say `strategy: rolling` if two may write there at once',
        yields: true,
        routes: true,
      }
  }
  if (image?.volumes) yield { because: 'its image declares a volume' }
}
