import { stagePlace } from '../../docker/compose/up.ts'
import type { ReleaseRun } from '../host-run.ts'
import type { Phase } from '../loop.ts'
import { nothingToMigrate } from '../migrate/describe.ts'
import { isNeeded, migrateInTurn, worksOf } from '../migrate/in-turn.ts'
import { MIGRATE_POST, MIGRATE_PRE } from '../migrate/phases.ts'
import { openStackRollout, type StackRollout } from './begin.ts'
import { bringUp } from './bring-up.ts'
import { undoRun } from './undo-run.ts'

export const STACK_MIGRATE_PRE: Phase = { ...MIGRATE_PRE, deploy: { ...MIGRATE_PRE.deploy, run: migrateBefore } }
export const STACK_MIGRATE_POST: Phase = { ...MIGRATE_POST, deploy: { ...MIGRATE_POST.deploy, run: migrateAfter } }

/** As on hosts: what stops the rollout is found first, then what migrations need is created. */
async function migrateBefore(run: ReleaseRun): Promise<string> {
  const phase = 'pre_deploy'
  if (!isNeeded(run, phase)) return nothingToMigrate(run.project.environment.databases, phase)
  const opened = await openStackRollout(run)
  try {
    opened.recorder.touch([]) // a job creates the networks, configs and secrets that it uses
    await bringUp(opened, [opened.planning.plan.stages.migrate?.waves ?? []])
    return await migrateInTurn(run, worksOf(run, [stageOf(run, opened)], phase), 'migrate_pre')
  } catch (error) {
    throw await undoRun(opened, error)
  }
}

async function migrateAfter(run: ReleaseRun): Promise<string> {
  const phase = 'post_deploy'
  if (!isNeeded(run, phase)) return nothingToMigrate(run.project.environment.databases, phase)
  const opened = await openStackRollout(run)
  return migrateInTurn(run, worksOf(run, [stageOf(run, opened)], phase), 'migrate_post')
}

function stageOf({ project }: ReleaseRun, { release }: StackRollout) {
  return { model: release.model, ...stagePlace(project) }
}
