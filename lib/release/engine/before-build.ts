import { listListeners } from '../../hosts/listeners.ts'
import { namingHost } from '../../phases/each-host.ts'
import { refuseEarly } from '../../phases/rollout/early.ts'
import { exposedServices } from '../../plan/routes/table.ts'
import { execOn, openReleaseDocker, type Session } from '../../project/session.ts'
import { wantedPorts } from '../../proxy/ports.ts'
import { mapConcurrently } from '../../util/map-concurrently.ts'
import type { ReleaseRequest } from '../request.ts'
import { refuseNodesWithoutImages } from './node-images.ts'

/** A build takes its time: what would stop the release after it is looked for before it, too. @throws config (3), failed (5) */
export async function refuseBeforeBuild(request: ReleaseRequest, session: Session): Promise<void> {
  const { project, parts, targets } = request
  if (targets.length === 0) return
  if (project.environment.engine === 'swarm') return refuseNodesWithoutImages(request, session)
  await mapConcurrently(parts, async ({ project: { host, environment, ...placed }, rendering }) => {
    const docker = openReleaseDocker({ ...placed, host }, session)
    const listen = () => listListeners(host, execOn(host, session))
    const { services } = environment
    const held = Object.keys(services).filter((service) => services[service]?.rollout.strategy === 'hold')
    const isRouted = exposedServices(services).length > 0
    await refuseEarly(
      { model: rendering.model, held, isRouted, ports: wantedPorts(environment.proxy) },
      { docker, clock: session.clock, listen },
    ).catch(namingHost(host, project.hosts))
  })
}
