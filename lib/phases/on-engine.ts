import type { Environment } from '../config/parse.ts'
import { BUILD } from './build.ts'
import { FINALIZE } from './finalize.ts'
import type { Around, SixPhases } from './loop.ts'
import { MIGRATE_POST, MIGRATE_PRE } from './migrate/phases.ts'
import { PUSH } from './push.ts'
import { planRollout } from './rollout/planning.ts'
import { ROLLOUT } from './rollout/run.ts'
import { undoBegun } from './rollout/undo/all.ts'
import { STACK_MIGRATE_POST, STACK_MIGRATE_PRE } from './swarm/migrate.ts'
import { planStack } from './swarm/planning.ts'
import { STACK_ROLLOUT } from './swarm/rollout.ts'
import { undoBegunStack } from './swarm/undo-run.ts'

/** How a release is planned, carried out and undone. */
interface ReleaseWork {
  /** the six phases, in the order in which they run: the state format fixes their names and order */
  readonly phases: SixPhases
  /** Plans a release on one host, or on a Swarm. @throws config (3), failed (5), unreachable (8) */
  readonly plan: typeof planRollout
  readonly undoBegun: Around['undoBegun']
}

const ON_HOSTS: ReleaseWork = {
  phases: [BUILD, PUSH, MIGRATE_PRE, ROLLOUT, MIGRATE_POST, FINALIZE],
  plan: planRollout,
  undoBegun,
}

const ON_SWARM: ReleaseWork = {
  phases: [BUILD, PUSH, STACK_MIGRATE_PRE, STACK_ROLLOUT, STACK_MIGRATE_POST, FINALIZE],
  plan: planStack,
  undoBegun: undoBegunStack,
}

/** @returns what a release does on the engine of an environment: what changes containers differs between engines */
export function onEngine({ engine }: Pick<Environment, 'engine'>): ReleaseWork {
  return engine === 'swarm' ? ON_SWARM : ON_HOSTS
}
