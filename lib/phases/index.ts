import type { Environment } from '../config/parse.ts'
import { BUILD } from './build.ts'
import { FINALIZE } from './finalize.ts'
import type { SixPhases } from './loop.ts'
import { MIGRATE_POST, MIGRATE_PRE } from './migrate/phases.ts'
import { PUSH } from './push.ts'
import { ROLLOUT } from './rollout/run.ts'
import { STACK_ROLLOUT } from './swarm/rollout.ts'

/**
 * The six phases of a release, in the order in which they run. The state format fixes their names and order. Only the rollout
 * differs between engines.
 */
export function phasesOn({ engine }: Pick<Environment, 'engine'>): SixPhases {
  return [BUILD, PUSH, MIGRATE_PRE, engine === 'swarm' ? STACK_ROLLOUT : ROLLOUT, MIGRATE_POST, FINALIZE]
}
