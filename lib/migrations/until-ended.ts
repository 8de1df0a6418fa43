import type { Docker } from '../docker/client.ts'
import { inspectContainers } from '../docker/containers.ts'
import { type Container, isUp } from '../docker/inspect.ts'
import type { Clock } from '../system/clock.ts'
import { StagecraftError } from '../util/errors.ts'

/** Milliseconds for which an engine may fail to say what became of a container: it may be busy, or restarting. */
const PATIENCE = 30_000
/** Milliseconds in which an engine that is shutting down stops to answer, after it has ended its containers. */
const SHUTDOWN = 3_000
const [BETWEEN_TRIES, BETWEEN_LOOKS] = [200, 500]

/** The engine of a container that is waited for. */
interface Watching {
  /** cancelled by a signal */
  readonly docker: Docker
  /** never cancelled */
  readonly undoDocker: Docker
  readonly clock: Clock
}

export async function look(docker: Docker, id: string): Promise<Container | undefined> {
  return (await inspectContainers(docker, [id]))[0]
}

/** @param latest when to stop waiting, by the clock @returns the container as it was last seen; undefined: it is gone */
export async function untilEnded(watching: Watching, id: string, latest: number): Promise<Container | undefined> {
  const { clock } = watching
  const began = clock.now()
  let now = await lookPatiently(watching, id)
  while (now !== undefined && isUp(now) && clock.now() <= latest) {
    await clock.sleep(clock.now() - began < 5_000 ? 100 : BETWEEN_LOOKS)
    now = await lookPatiently(watching, id)
  }
  return now
}

/** @returns whether the engine stopped right after it had ended a container: then it was the engine that ended it */
export async function hasStopped({ docker, clock }: Pick<Watching, 'docker' | 'clock'>, id: string): Promise<boolean> {
  const end = clock.now() + SHUTDOWN
  while (clock.now() < end) {
    const failed = await look(docker, id).then(
      () => false,
      () => true,
    )
    if (failed) return true
    await clock.sleep(BETWEEN_LOOKS)
  }
  return false
}

/** A look that fails is tried again, unless it fails only because a signal has cancelled it. */
async function lookPatiently({ docker, undoDocker, clock }: Watching, id: string): Promise<Container | undefined> {
  const end = clock.now() + PATIENCE
  for (let tries = 1; ; tries++)
    try {
      return await look(docker, id)
    } catch (error) {
      if (!(error instanceof StagecraftError) || !['failed', 'unreachable'].includes(error.kind)) throw error
      const answers = await look(undoDocker, id).then(
        () => true,
        () => false,
      )
      if ((tries > 2 && answers) || clock.now() >= end) throw error
      await clock.sleep(BETWEEN_TRIES)
    }
}
