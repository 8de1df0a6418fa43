import { listPaths } from '../../compose/copied-paths.ts'
import { type Docker, openDocker } from '../../docker/client.ts'
import { inspectImages } from '../../docker/image-store.ts'
import type { Obstacle } from '../../phases/rollout/obstacles.ts'
import type { Project } from '../../project/settings.ts'

/**
 * Images with `pull_policy: never` must be on the engine, or on this machine, from which they are sent.
 * @param absent names of images that the engine does not have
 * @returns an obstacle for each image that is on neither, with the services that use it
 */
export async function absentImages(
  { model, host }: Project,
  absent: readonly string[],
  docker: Docker,
): Promise<Obstacle[]> {
  const users = new Map<string, string[]>()
  for (const [service, { image = '', pull_policy: policy }] of Object.entries(model.services))
    if (policy === 'never' && absent.includes(image)) users.set(image, [...(users.get(image) ?? []), service])
  if (users.size === 0) return []
  const names = [...users.keys()]
  const here = host.isLocal ? new Map() : await inspectImages(openDocker(host.local, docker.mask), names)
  return names.flatMap((image) => {
    const services = listPaths((users.get(image) ?? []).toSorted())
    return here.has(image)
      ? []
      : [
          {
            message: `Cannot find the image of ${services}: the engine has no ${image}`,
            hint: 'Its pull_policy is `never`: build or load the image first.',
          },
        ]
  })
}
