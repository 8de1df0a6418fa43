import type { Clock } from '../../system/clock.ts'
import { errorText, StagecraftError } from '../../util/errors.ts'

/** Milliseconds in which the managers of a Swarm elect another leader, and another one of them is reached. */
const PATIENCE = 45_000
const PAUSE = 1_000

/** The words of a manager while there is no leader (swarmkit, manager/state/raft): the CLI has no exit code for it. */
const LEADERLESS =
  /rpc error(?!: code = (InvalidArgument|NotFound|AlreadyExists|PermissionDenied))|does not have a leader|raft: |update out of sequence/i

/**
 * Repeats work while the manager that it is asked of cannot be reached, or has no leader. The work may be done twice.
 * @throws what the work throws, if that lasts
 */
export async function whileElecting<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  const end = clock.now() + PATIENCE
  for (;;)
    try {
      return await work()
    } catch (error) {
      if (!isElection(error) || clock.now() > end) throw error
      await clock.sleep(PAUSE)
    }
}

function isElection(error: unknown): boolean {
  if (!(error instanceof StagecraftError)) return false
  return error.kind === 'unreachable' || (error.kind === 'failed' && LEADERLESS.test(errorText(error)))
}
