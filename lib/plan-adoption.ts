import type { ComposeModel } from './compose.ts'
import { StagecraftError } from './errors.ts'
import type { PlanInput, ServicePlan } from './plan.ts'
import { NAMESPACES, namespaceOwner } from './services.ts'

/** Why containers that no release made are kept aside: what they were made from is not known. */
export const KEPT_ASIDE = 'its old container is kept until the new release is live'

/**
 * What nobody knows the definition of can only come back as the container that it is, which is kept beside the new one,
 * stopped. Where the two cannot be there at once, nothing is touched.
 * @throws config (3) with the way out
 */
export function refuseUnkeepable(input: PlanInput, services: readonly ServicePlan[]): void {
  const found = services.flatMap(({ service, aside, action }) => {
    const because = aside && action === 'recreate' ? whyNotBeside(service, input, services) : undefined
    return because === undefined ? [] : [{ service, because }]
  })
  const [first, ...others] = found
  if (first === undefined) return
  const names = found.map(({ service }) => service)
  const what = input.serving ? 'without having been released' : 'but not as the Compose file says now'
  const message =
    others.length === 0
      ? `Cannot take over ${first.service}: it runs, ${what}, and it could not be put back if the deploy failed, since ${first.because}`
      : `Cannot take over ${names.join(', ')}: they run, ${what}, and could not be put back if the deploy failed`
  const detail = found.map(({ service, because }) => `${service}: ${because}`).join('\n')
  throw new StagecraftError('config', message, {
    hint: wayOut(names, input),
    ...(others.length === 0 ? {} : { detail }),
  })
}

/** @returns what keeps a second container of a service from being made beside the one there is. */
function whyNotBeside(
  service: string,
  { target, containers }: PlanInput,
  plans: readonly ServicePlan[],
): string | undefined {
  const name = target.model.services[service]?.container_name
  const own = containers.filter((container) => container.service === service)
  if (name !== undefined) return `it has a container_name (${name})`
  const [sharer] = sharersOf(service, target.model)
  if (sharer !== undefined) return `${sharer} uses something of it, and Compose would give it that of either`
  const left = containers.find(({ id }) => own.some(({ shares }) => shares.includes(id)))?.service
  const isChanged = plans.some((plan) => plan.service === left && !['unchanged', 'hold'].includes(plan.action))
  if (isChanged) return `it uses something of ${left}, which is made anew`
  const paths = own.flatMap(({ anonymous }) => anonymous)
  if (paths.length > 0)
    return `its data in ${paths.join(', ')} is in a volume without a name, which only Compose hands on`
  return undefined
}

/** @returns the services that are in the namespace of a service, use its volumes, or are linked to it. */
function sharersOf(service: string, { services }: ComposeModel): string[] {
  return Object.entries(services).flatMap(([name, other]) => {
    const joins = NAMESPACES.some((key) => namespaceOwner(other[key]) === service)
    const uses = [...(other.volumes_from ?? []), ...(other.links ?? [])].some(
      (entry) => entry.split(':')[0] === service,
    )
    return joins || uses ? [name] : []
  })
}

function wayOut(services: readonly string[], { serving, target, containers }: PlanInput): string {
  const names = containers.flatMap(({ service, name }) => (services.includes(service) ? [name] : []))
  if (serving) return `Remove it first, if what it holds may go: docker rm -f ${names.join(' ')}`
  const all = new Set([...services, ...services.flatMap((service) => sharersOf(service, target.model))])
  return `Let Compose bring it to what the file says now, then deploy: docker compose -p ${target.model.name} up -d --no-deps ${[...all].join(' ')}`
}
