import { sentServices } from '../../phases/swarm/images.ts'
import { findLacks, type Keeping, type Lack, supply } from '../../phases/swarm/kept-images.ts'
import { buildMark, openBuilder } from '../../project/built-here.ts'
import { findImageNodes } from '../../project/engine/nodes.ts'
import { openReleaseDocker, type Session } from '../../project/session.ts'
import type { LiveRelease } from '../../record/bundle.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { ReleaseRequest } from '../request.ts'

/** Before anything is built: each node that may run it must be one that is given the image. @throws as findImageNodes does */
export async function refuseNodesWithoutImages({ parts: [part] }: ReleaseRequest, session: Session): Promise<void> {
  const { project } = part
  const services = sentServices(part)
  if (project.environment.engine !== 'swarm' || services.length === 0) return
  const { host, model } = project
  const docker = openReleaseDocker(project, session)
  await findImageNodes({ host, model, services, docker, emit: () => {}, signal: session.signal })
}

/**
 * The images of a rollback's target that no registry has must be on all nodes that may run them.
 * @returns what is to be sent to nodes that lack them @throws not-found (4) for one that nobody has any more; as findImageNodes
 */
export async function lacksOfTarget(
  { project }: ReleaseRequest,
  { bundle, model }: LiveRelease,
  session: Session,
): Promise<{ readonly lacks: readonly Lack[]; readonly supply: () => Promise<void> }> {
  const docker = openReleaseDocker(project, session)
  const keeping: Keeping = {
    ...{ host: project.host, model, images: bundle.images, docker, emit: session.emit, signal: session.signal },
    ...{ builder: await openBuilder(project, [], session), mark: buildMark(project), exec: project.host.local },
  }
  const lacks = await findLacks(keeping)
  const gone = lacks.find(({ source }) => source === undefined)
  if (gone)
    throw new StagecraftError(
      'not-found',
      `Cannot roll back to ${bundle.id} (${bundle.version}): ${gone.node.name} does not have the image of ${gone.service} (${gone.image.name})`,
      {
        hint: `No other node that may run it has it, and neither has this machine's engine. Deploy that version again. Nothing has been changed.`,
      },
    )
  return { lacks, supply: () => supply(lacks, keeping) }
}
