import { build } from './build.ts'
import { finalize } from './finalize.ts'
import type { Phase } from './loop.ts'
import { migrate } from './migrate.ts'
import { push } from './push.ts'
import { rollout } from './rollout.ts'

/** The six phases of a release, in the order in which they run. Names and order are fixed for ever (design 2). */
export const SIX_PHASES: readonly Phase[] = [
  { name: 'build', run: build },
  { name: 'push', run: push },
  { name: 'migrate_pre', run: migrate },
  { name: 'rollout', run: rollout },
  { name: 'migrate_post', run: migrate },
  { name: 'finalize', run: finalize },
]
