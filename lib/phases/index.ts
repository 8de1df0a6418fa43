import { build, checkImages } from './build.ts'
import { finalize } from './finalize.ts'
import type { SixPhases } from './loop.ts'
import { leaveDatabases, migrate } from './migrate.ts'
import { keepPushed, push } from './push.ts'
import { rollout } from './rollout.ts'

/** The six phases of a release, in the order in which they run. Names and order are fixed for ever (design 2). */
export const SIX_PHASES: SixPhases = [
  { name: 'build', deploy: build, rollback: checkImages },
  { name: 'push', deploy: push, rollback: keepPushed },
  { name: 'migrate_pre', deploy: migrate, rollback: leaveDatabases },
  { name: 'rollout', deploy: rollout, rollback: rollout },
  { name: 'migrate_post', deploy: migrate, rollback: leaveDatabases },
  { name: 'finalize', deploy: finalize, rollback: finalize },
]
