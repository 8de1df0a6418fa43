import type { ComposeModel } from '../../compose/model.ts'
import type { Container } from '../../docker/inspect.ts'
import type { PlanInput, ServicePlan } from '../input.ts'

type Own = Pick<Container, 'name' | 'anonymous'>

/**
 * An anonymous volume is carried over to the container that replaces its own, as in Compose: the old image's files in it hide the
 * new image's. Whether it holds data is only known once the rollout has looked into it.
 * @returns the plan's notes on this
 */
export function inheritedVolumes(input: PlanInput, plans: readonly ServicePlan[]): string[] {
  return plans.flatMap(({ service, action }) => {
    if (action !== 'recreate' && action !== 'job') return []
    const own = input.containers.filter((container) => container.service === service).map(unnamed(input.target.model))
    if (own.every(({ anonymous }) => anonymous.length === 0) || !mayChangeImage(service, input)) return []
    return [
      `${service} gets the new image's files in ${pathsOf(own)} if nobody has written there; otherwise it keeps its present files, ` +
        `including the old image's: an anonymous volume is carried over to the recreated container. ${hintOfKept(own, 'first')}`,
    ]
  })
}

/** A service with the same image has the same files. */
function mayChangeImage(service: string, { images, containers }: PlanInput): boolean {
  const now = images[service]
  return containers.some((container) => container.service === service && container.image !== now?.id)
}

/** Leaves out volumes that the Compose file names, whatever their names look like. */
function unnamed({ volumes = {} }: ComposeModel): (container: Own) => Own {
  const named = new Set(Object.values(volumes).map((volume) => volume?.name))
  return ({ name, anonymous }) => ({ name, anonymous: anonymous.filter((volume) => !named.has(volume.name)) })
}

/** @returns the paths of the containers' anonymous volumes, for people */
export function pathsOf(containers: readonly Pick<Own, 'anonymous'>[]): string {
  const paths = containers.flatMap(({ anonymous }) => anonymous.map(({ path }) => path))
  return [...new Set(paths)].toSorted().join(', ')
}

/** @param when the end of the sentence @returns how to get rid of an old image's files */
export function hintOfKept(containers: readonly Pick<Own, 'name'>[], when: string): string {
  const names = containers.map(({ name }) => name).join(' ')
  return `To get the new image's files and delete the present ones: docker rm -fv ${names} ${when}. Data to keep belongs in a named volume`
}
