import { StagecraftError } from './errors.ts'
import type { PlanInput, ServicePlan } from './plan.ts'

/** Why containers that no release made are kept aside: what they were made from is not known. */
export const KEPT_ASIDE = 'its old container is kept until the new release is live'

/**
 * What nobody knows the definition of can only come back as the container that it is, which is kept beside the new one,
 * stopped. Where the two cannot be there at once, nothing is touched.
 * @throws config (3) with the way out
 */
export function refuseUnkeepable(input: PlanInput, services: readonly ServicePlan[]): void {
  for (const { service, aside, action } of services) {
    if (!aside || action !== 'recreate') continue
    const because = whyNotBeside(service, input)
    if (because === undefined) continue
    const what = input.serving
      ? 'it runs without having been released'
      : 'it runs, but not as the Compose file says now'
    throw new StagecraftError(
      'config',
      `Cannot take over ${service}: ${what}, and it could not be put back if the deploy failed, since ${because}`,
      { hint: wayOut(service, input) },
    )
  }
}

/** @returns what keeps a second container of a service from being made beside the one there is. */
function whyNotBeside(service: string, { target, containers }: PlanInput): string | undefined {
  const name = target.model.services[service]?.container_name
  const own = containers.filter((container) => container.service === service)
  if (name !== undefined) return `it has a container_name (${name})`
  const paths = own.flatMap(({ anonymous }) => anonymous)
  if (paths.length > 0)
    return `its data in ${paths.join(', ')} is in a volume without a name, which only Compose hands on`
  return undefined
}

function wayOut(service: string, { serving, target, containers }: PlanInput): string {
  const names = containers.flatMap((container) => (container.service === service ? [container.name] : []))
  if (serving) return `Remove it first, if what it holds may go: docker rm -f ${names.join(' ')}`
  return `Let Compose bring it to what the file says now, then deploy: docker compose -p ${target.model.name} up -d --no-deps ${service}`
}
