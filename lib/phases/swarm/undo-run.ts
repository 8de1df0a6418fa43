import type { ReleaseRun } from '../host-run.ts'
import { begunStackRollout, type StackRollout } from './begin.ts'
import { releaseOf } from './stage.ts'
import { undoStack } from './undo.ts'

/** @returns the error to end with: not-restored (6) unless the live release is restored, else `cause` */
export async function undoRun({ hostRun, recorder }: StackRollout, cause: unknown): Promise<unknown> {
  const { request, tools, bundle } = hostRun
  if (recorder.untouched) return cause
  const { undoDocker: docker, clock, emit } = tools
  const { serving, project } = request
  const served = serving && releaseOf(serving, project.environment)
  try {
    await undoStack({ docker, clock, emit, stack: bundle.now.project, journal: recorder.journal, served }, cause)
  } catch (error) {
    return error
  }
  try {
    bundle.save({ journal: undefined })
  } catch {
    // recording the failure comes next, and reports the same error
  }
  return cause
}

/**
 * Undoes a rollout that migrations began, if the release ends between two phases.
 * @returns the error to end with, as `undoRun` does
 */
export async function undoBegunStack(run: ReleaseRun, cause: unknown): Promise<unknown> {
  const begun = begunStackRollout(run)
  if (begun === undefined || run.bundle.now.switched_at !== undefined) return cause
  return undoRun(await begun, cause)
}
