import { BUILD } from './build.ts'
import { FINALIZE } from './finalize.ts'
import type { SixPhases } from './loop.ts'
import { MIGRATE_POST, MIGRATE_PRE } from './migrate/phases.ts'
import { PUSH } from './push.ts'
import { ROLLOUT } from './rollout/run.ts'

/** The six phases of a release, in the order in which they run. The state format fixes their names and order. */
export const SIX_PHASES: SixPhases = [BUILD, PUSH, MIGRATE_PRE, ROLLOUT, MIGRATE_POST, FINALIZE]
