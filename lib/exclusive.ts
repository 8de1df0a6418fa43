import { StagecraftError, withHint } from './errors.ts'
import type { Settings } from './project.ts'
import { recover } from './recovery.ts'
import type { Locked, World } from './release.ts'

/** Whoever changes an environment says what with, and how long it would wait for its turn (milliseconds). */
export interface Turn {
  readonly command: string
  readonly wait: number
}

/**
 * Does work that changes an environment: alone, and after what a run that died left there has been mended.
 * @throws locked (7) where another run is at it, or somebody holds it
 */
export async function exclusively<T>(
  settings: Settings,
  { command, wait }: Turn,
  world: World,
  work: (world: Locked) => Promise<T>,
): Promise<T> {
  const { host, environment } = settings
  let begun = false
  const request = { environment: environment.name, command, wait }
  const done = host.withLock(request, world, async (held) => {
    begun = true
    const locked = { ...world, held }
    await recover(settings, locked)
    if (world.signal.aborted) throw endedAfterRecovery(Number(world.signal.reason))
    return work(locked)
  })
  return done.catch((error: unknown) => {
    if (begun || !(error instanceof StagecraftError) || error.kind !== 'state') throw error
    throw withHint(error, 'Nothing has been changed.')
  })
}

function endedAfterRecovery(signal: number): StagecraftError {
  return new StagecraftError('failed', `Cannot go on: ended by signal ${signal}`, {
    signal,
    hint: 'No release was made.',
  })
}
