import type { ComposeModel } from '../../compose/model.ts'
import { startHookOf } from '../../compose/released/hooks.ts'
import { NAMESPACES, namespaceOwner } from '../../compose/topology.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { PlanInput, ServicePlan } from '../input.ts'

/** Why the containers are kept aside: no release made them, so their definition is not known. */
export const KEPT_ASIDE = 'its old container is kept until the new release is live'

/**
 * A container that no release made is kept, stopped, alongside the new one until that is live. If the two cannot exist at the
 * same time, it is recreated, and would be restored by the definition that was read from it. If not all of that could be
 * read, the deploy is refused and nothing is touched.
 * @throws config (3) with a way out
 */
export function settleKept(input: PlanInput, services: readonly ServicePlan[]): ServicePlan[] {
  const found = services.flatMap(({ service, aside, action }) => {
    const because = aside && action === 'recreate' ? whyNotBeside(service, input, services) : undefined
    return because === undefined ? [] : [{ service, because }]
  })
  const isRestorable = ({ service }: { readonly service: string }) => input.restorable?.includes(service) === true
  refuseUnkeepable(
    input,
    found.filter((one) => !isRestorable(one)),
  )
  return services.map(({ aside, ...plan }) => {
    const isRecreated = found.some(({ service }) => service === plan.service)
    if (isRecreated) return { ...plan, why: plan.why.replace(`; ${KEPT_ASIDE}`, '') }
    return aside ? { ...plan, aside } : plan
  })
}

function refuseUnkeepable(input: PlanInput, found: readonly { service: string; because: string }[]): void {
  const [first, ...others] = found
  if (first === undefined) return
  const names = found.map(({ service }) => service)
  const what = input.serving ? 'but no release has it' : 'but not with the definition in the Compose file'
  const message =
    others.length === 0
      ? `Cannot take over ${first.service}: it runs, ${what}, and it could not be restored if the deploy failed, because ${first.because}`
      : `Cannot take over ${names.join(', ')}: they run, ${what}, and could not be restored if the deploy failed`
  const detail = found.map(({ service, because }) => `${service}: ${because}`).join('\n')
  throw new StagecraftError('config', message, {
    hint: wayOut(names, input),
    ...(others.length === 0 ? {} : { detail }),
  })
}

/** @returns why a second container of a service cannot be created alongside the existing one. */
function whyNotBeside(
  service: string,
  { target, containers }: PlanInput,
  plans: readonly ServicePlan[],
): string | undefined {
  const name = target.model.services[service]?.container_name
  const own = containers.filter((container) => container.service === service)
  if (name !== undefined) return `it has a container_name (${name})`
  const hook = startHookOf(target.model.services[service])
  if (hook !== undefined) return `it has a ${hook} hook, which only Compose can run`
  const [sharer] = sharersOf(service, target.model)
  if (sharer !== undefined)
    return `${sharer} shares something with it, and Compose could connect it to either container`
  const left = containers.find(({ id }) => own.some(({ shares }) => shares.includes(id)))?.service
  const isChanged = plans.some((plan) => plan.service === left && !['unchanged', 'hold'].includes(plan.action))
  if (isChanged) return `it shares something with ${left}, which is recreated`
  const paths = own.flatMap(({ anonymous }) => anonymous.map(({ path }) => path))
  if (paths.length > 0)
    return `its data in ${paths.join(', ')} is in an anonymous volume, which only Compose can carry over`
  return undefined
}

/** @returns the services that are in a namespace of this one, use its volumes, or are linked to it. */
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
  if (serving) return `Remove it first, if its data is not needed: docker rm -f ${names.join(' ')}`
  const all = new Set([...services, ...services.flatMap((service) => sharersOf(service, target.model))])
  return `Update it with Compose first, then deploy: docker compose -p ${target.model.name} up -d --no-deps ${[...all].join(' ')}`
}
