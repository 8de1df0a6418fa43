import type { Environment } from '../config/parse.ts'
import { BUILD } from './build.ts'
import { FINALIZE } from './finalize.ts'
import type { SixPhases } from './loop.ts'
import { MIGRATE_POST, MIGRATE_PRE } from './migrate/phases.ts'
import { PUSH } from './push.ts'
import { ROLLOUT } from './rollout/run.ts'
import { STACK_MIGRATE_POST, STACK_MIGRATE_PRE } from './swarm/migrate.ts'
import { STACK_ROLLOUT } from './swarm/rollout.ts'

const ON_HOSTS: SixPhases = [BUILD, PUSH, MIGRATE_PRE, ROLLOUT, MIGRATE_POST, FINALIZE]
const ON_SWARM: SixPhases = [BUILD, PUSH, STACK_MIGRATE_PRE, STACK_ROLLOUT, STACK_MIGRATE_POST, FINALIZE]

/**
 * The six phases of a release, in the order in which they run. The state format fixes their names and order. What changes
 * containers differs between engines.
 */
export function phasesOn({ engine }: Pick<Environment, 'engine'>): SixPhases {
  return engine === 'swarm' ? ON_SWARM : ON_HOSTS
}
