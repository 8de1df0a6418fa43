import { onEachHost } from '../each-host.ts'
import type { ReleaseRun } from '../host-run.ts'
import type { Phase } from '../loop.ts'
import { certain, openRollout } from '../rollout/begin.ts'
import type { HostRollout } from '../rollout/host-rollout.ts'
import { stillLive } from '../rollout/still-live.ts'
import { undoAll } from '../rollout/undo/all.ts'
import { NOT_ROLLED_BACK, nothingToMigrate, willMigrate } from './describe.ts'
import { isNeeded, migrateInTurn, worksOf } from './in-turn.ts'
import { bringUpNeeded } from './needs.ts'

// A rollback changes no database: what later releases did stays.
const NOTHING: Phase['rollback'] = { describe: () => `nothing: ${NOT_ROLLED_BACK}`, run: async () => NOT_ROLLED_BACK }

export const MIGRATE_PRE: Phase = {
  name: 'migrate_pre',
  deploy: { describe: willMigrate('pre_deploy'), run: migrateBefore },
  rollback: NOTHING,
}

export const MIGRATE_POST: Phase = {
  name: 'migrate_post',
  deploy: { describe: willMigrate('post_deploy'), run: migrateAfter },
  rollback: NOTHING,
}

/** The rollout begins before the migrations, so that what stops it is found before a database is changed. */
async function migrateBefore(run: ReleaseRun): Promise<string> {
  const phase = 'pre_deploy'
  if (!isNeeded(run, phase)) return nothingToMigrate(run.project.environment.databases, phase)
  const rollouts = await openRollout(run).catch(async (error: unknown) => {
    throw await stillLive(run, error)
  })
  try {
    for (const { recorder } of rollouts) recorder.touch([])
    const works = worksOf(run, stagesOf(rollouts), phase)
    await onEachHost(run, (_, at) => bringUpNeeded(certain(rollouts[at])))
    return await migrateInTurn(run, works, 'migrate_pre')
  } catch (error) {
    throw await undoAll(run, rollouts, error)
  }
}

async function migrateAfter(run: ReleaseRun): Promise<string> {
  const phase = 'post_deploy'
  if (!isNeeded(run, phase)) return nothingToMigrate(run.project.environment.databases, phase)
  return migrateInTurn(run, worksOf(run, stagesOf(await openRollout(run)), phase), 'migrate_post')
}

const stagesOf = (rollouts: readonly HostRollout[]) => rollouts.map(({ stage }) => stage)
