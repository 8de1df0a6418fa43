import type { Service } from './compose.ts'
import type { PlanInput, ServicePlan } from './plan.ts'

/**
 * An anonymous volume goes from a container to the one that replaces it, as in Compose: what the old image had there hides what
 * the new one has. It may hold data, so that it is kept, and said.
 * @returns what a plan says of it
 */
export function inheritedVolumes(input: PlanInput, plans: readonly ServicePlan[]): string[] {
  return plans.flatMap(({ service, action }) => {
    if (action !== 'recreate' || !mayChangeImage(service, input)) return []
    const paths = anonymousPaths(service, input)
    const names = input.containers.flatMap((container) => (container.service === service ? [container.name] : []))
    if (paths.length === 0 || names.length === 0) return []
    const them = paths.length === 1 ? 'it' : 'them'
    return [
      `${service} keeps what it has in ${paths.join(', ')}, also the files of its old image: an anonymous volume goes on to the container that is recreated. ` +
        `For the new image's files: take VOLUME out of the image, or, if nothing in ${them} is to be kept, docker rm -fv ${names.join(' ')} first`,
    ]
  })
}

/** What rolls begins with volumes of its own; the same image has the same files. */
function mayChangeImage(service: string, { images, serving }: PlanInput): boolean {
  const [now, was] = [images[service], serving?.bundle.images[service]]
  return was !== undefined && (now === undefined || now.fingerprint !== was.fingerprint)
}

function anonymousPaths(service: string, { serving }: PlanInput): string[] {
  const definition: Service = serving?.model.services[service] ?? {}
  const volumes = definition.volumes ?? []
  const named = new Set(volumes.filter(({ type, source }) => type !== 'volume' || source).map(({ target }) => target))
  const own = volumes.filter(({ type, source }) => type === 'volume' && !source).map(({ target }) => target)
  const declared = serving?.bundle.images[service]?.volume_paths ?? []
  return [...new Set([...own, ...declared])].filter((path) => !named.has(path)).toSorted()
}
