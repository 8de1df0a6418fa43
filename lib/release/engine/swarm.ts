import type { EnginePlace } from '../../docker/engine/facts.ts'
import { listServices } from '../../docker/swarm/services.ts'
import { askSwarm } from '../../docker/swarm/stack.ts'
import { sayEngine } from '../../hosts/engine-place.ts'
import { notAManager } from '../../hosts/swarm/errors.ts'
import { openReleaseDocker, type Session } from '../../project/session.ts'
import type { Settings } from '../../project/settings.ts'
import { type Bundle, lastLive, liveBundle, readBundle } from '../../record/bundle.ts'
import { releasesOf } from '../../record/releases.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { ReleaseRequest } from '../request.ts'

/**
 * Reports if it is not the Swarm of the live release. Which of its managers answers does not matter.
 * @returns the Swarm @throws unreachable (8) for an engine that manages none
 */
export async function lookAtSwarm({ project, serving }: ReleaseRequest, session: Session): Promise<EnginePlace> {
  const swarm = await askSwarm(openReleaseDocker(project, session))
  const refused = notAManager(project.environment.name, swarm)
  if (refused) throw refused
  const { cluster } = swarm
  const now = { id: cluster, name: `Swarm ${cluster.slice(0, 12)}`, endpoint: '' }
  const { name: environment } = project.environment
  sayEngine({ environment, now, before: serving?.bundle.engine, hasFiles: false }, session.emit)
  return now
}

const NAMES = { compose: 'a Compose project', swarm: 'a stack of a Swarm' } as const

/** What runs under the other engine would stay, and be forgotten. @throws config (3) */
export function refuseOtherEngine({ stateFile, environment }: Pick<Settings, 'stateFile' | 'environment'>): void {
  const releases = releasesOf(stateFile, environment.name)
  const [newest] = releases
  const begun = newest && readBundle(stateFile, newest.id)
  const other = [liveBundle(stateFile, releases), begun?.journal ? begun : undefined].find(
    (bundle) => bundle !== undefined && !isOnEngine(bundle, environment),
  )
  if (other === undefined) return
  const { name, engine = 'compose' } = environment
  throw new StagecraftError(
    'config',
    `Cannot continue with ${name} as ${NAMES[engine]}: ${other.version} (${other.id}) runs as ${NAMES[other.on ?? 'compose']}`,
    {
      hint:
        `Use another environment for it. Or take down what runs, with downtime: set \`engine: ${other.on ?? 'compose'}\` again, ` +
        `then stagecraft down --env ${name}. Its volumes stay where they are, and are not moved. Nothing has been changed.`,
    },
  )
}

/** Its containers, images and volumes are where the other engine has them. @throws not-found (4) */
export function refuseOtherTarget({ project, parts }: ReleaseRequest): void {
  const target = parts.map((part) => part.target?.bundle).find((one) => one && !isOnEngine(one, project.environment))
  if (target === undefined) return
  const was = NAMES[target.on ?? 'compose']
  throw new StagecraftError('not-found', `Cannot roll back to ${target.version} (${target.id}): it ran as ${was}`, {
    hint: 'Deploy that version again. Nothing has been changed.',
  })
}

/** @returns whether a release was made for the engine that stagecraft.yml names */
function isOnEngine({ on }: Bundle, { engine }: Pick<Settings['environment'], 'engine'>): boolean {
  return (on === 'swarm') === (engine === 'swarm')
}

/** Before the first release: a stack that no release made could not be restored if the deploy failed. @throws config (3) */
export async function refuseOwnStack({ project, state }: ReleaseRequest, session: Session): Promise<void> {
  const releases = state.listReleases({ environment: project.environment.name })
  if (lastLive(project.stateFile, releases) !== undefined) return
  const { name } = project.model
  const services = await listServices(openReleaseDocker(project, session), name)
  if (services.length === 0) return
  throw new StagecraftError('config', `Cannot deploy as stack ${name}: it runs already, and no release made it`, {
    detail: `its services: ${services.map(({ service }) => service).join(', ')}`,
    hint:
      'Set another `compose_project` for the environment in stagecraft.yml. Or, to replace it with downtime, remove it first: ' +
      `docker stack rm ${name} (volumes stay). Nothing has been changed.`,
  })
}
