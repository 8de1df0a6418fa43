import type { Docker } from '../../docker/client.ts'
import { whileElecting } from '../../docker/swarm/election.ts'
import { listServices, type SwarmService } from '../../docker/swarm/services.ts'
import { deployStack } from '../../docker/swarm/stack.ts'
import { patienceFor, releaseOf, type StackRelease, stageStack } from '../../phases/swarm/stage.ts'
import { openWatch, type Watch } from '../../phases/swarm/watch.ts'
import { findLiveOn, type LivePart } from '../../project/live.ts'
import { refuseForeign } from '../../project/ownership.ts'
import { type LockedSession, openReleaseDocker, openUndoDocker } from '../../project/session.ts'
import type { Settings } from '../../project/settings.ts'
import { type Bundle, writeBundle } from '../../record/bundle.ts'
import { StagecraftError } from '../../util/errors.ts'

/** The live release on a Swarm, to change something of it by hand. */
export interface LiveStack {
  readonly part: LivePart
  readonly release: StackRelease
  /** as it was last saved */
  readonly bundle: Bundle
  readonly docker: Docker
  /** no signal ends its commands */
  readonly undoDocker: Docker
  readonly stack: string
  /** by name: what Swarm has of them now */
  readonly services: ReadonlyMap<string, SwarmService>
  save(changes: Partial<Pick<Bundle, 'stopped' | 'scaled'>>): void
  /** @param silent says nothing of what it sees */
  watch(docker: Docker, silent?: boolean): Promise<StackWatch>
}

/** Waits for services of the live release. */
interface StackWatch {
  /** @param redeploy with these numbers, if an update waits for a node that is dead @throws failed (5), unreachable (8) */
  until(services: readonly string[], redeploy?: (service: string) => number): Promise<void>
}

/** @throws not-found (4) if nothing is live, state (9) if it is that of another folder, unreachable (8) */
export async function openLiveStack(settings: Settings, session: LockedSession): Promise<LiveStack> {
  const [part] = findLiveOn(settings)
  if (part === undefined) throw new StagecraftError('bug', 'Cannot find the part of a Swarm')
  const { environment, stateFile } = settings
  let { bundle } = part.release
  const { project: stack } = bundle
  await refuseForeign(settings, stack, session)
  const docker = openReleaseDocker({ secrets: [], host: part.host }, session)
  const release = releaseOf(part.release, environment)
  const services = await whileElecting(session.clock, () => listServices(docker, stack))
  const { clock, emit } = session
  return {
    ...{ part, release, docker, stack },
    undoDocker: openUndoDocker(part.host, docker.mask, session),
    services: new Map(services.map((one) => [one.service, one])),
    get bundle() {
      return bundle
    },
    save(changes) {
      bundle = { ...bundle, ...changes }
      writeBundle(stateFile, bundle)
    },
    async watch(docker, silent = false) {
      const watch = await openWatch({ docker, clock, stack, emit: silent ? () => {} : emit })
      return asStackWatch(watch, release, docker, stack)
    },
  }
}

function asStackWatch(watch: Watch, release: StackRelease, docker: Docker, stack: string): StackWatch {
  const patience = (service: string) => patienceFor(release, service)
  return {
    until: (services, redeploy) =>
      watch.until(services, patience, async (service, attempt) => {
        if (redeploy) await deployAs(docker, stack, release, { service, replicas: redeploy(service) }, attempt)
      }),
  }
}

/** Deploys one service as the live release has it. */
export function deployAs(
  docker: Docker,
  stack: string,
  release: StackRelease,
  wanted: { readonly service: string; readonly replicas: number },
  nudges = 0,
): Promise<void> {
  return deployStack(docker, stack, stageStack(release, [wanted], nudges), `deploy ${wanted.service}`)
}
