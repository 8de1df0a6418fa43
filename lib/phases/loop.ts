import type { PhaseRecord } from '../bundle.ts'
import { errorText, StagecraftError, withHint } from '../errors.ts'
import type { Run } from '../run.ts'
import { PHASES, type PhaseName, type PhaseStatus, type Release, type State } from '../state.ts'

/** What a phase does; it returns one line that says what it did, or why there was nothing to do. */
export type PhaseWork = (run: Run) => Promise<string>

/** A phase, and what it does in a deploy and in a rollback. */
export interface Phase {
  readonly name: PhaseName
  readonly deploy: PhaseWork
  readonly rollback: PhaseWork
}

export type SixPhases = readonly Phase[]

/**
 * Runs the phases in order: `running`, the work, `completed`. The first failure is written `failed`, and every later
 * phase `skipped`; then the error is thrown on.
 * @param signalled the number of the signal that asked to stop, once one did
 */
export async function runPhases(
  phases: readonly Phase[],
  run: Run,
  release: Release,
  state: State,
  signalled: () => number | undefined,
): Promise<void> {
  for (const phase of phases) {
    const started = run.clock.now()
    const record = (note?: string): PhaseRecord => ({
      started_at: new Date(started).toISOString(),
      duration_ms: run.clock.now() - started,
      ...(note === undefined ? {} : { note }),
    })
    try {
      run.checkLock()
      state.updatePhase(release.id, phase.name, 'running')
      run.emit({ type: 'phase', phase: phase.name, status: 'running' })
      stopIfAsked(run, signalled())
      const note = await phase[run.kind](run)
      run.save({ phases: { ...run.bundle.phases, [phase.name]: record(note) } })
      state.updatePhase(release.id, phase.name, 'completed')
      run.emit({ type: 'phase', phase: phase.name, status: 'completed', duration_ms: record().duration_ms, note })
    } catch (error) {
      throw fail(run, release, state, phase.name, record(), explain(error, run, signalled()))
    }
  }
}

/** Once the release serves, a signal does not undo it: what is left is finished. */
function stopIfAsked(run: Run, signal: number | undefined): void {
  if (signal !== undefined && run.bundle.switched_at === undefined)
    throw new StagecraftError('failed', `Cannot go on: ended by signal ${signal}`)
}

/** Writes the failure down, in the state and in the bundle. If that fails too, both errors are told. */
function fail(
  run: Run,
  release: Release,
  state: State,
  phase: PhaseName,
  record: PhaseRecord,
  error: StagecraftError,
): StagecraftError {
  const later = PHASES.slice(PHASES.indexOf(phase) + 1)
  const changes: Partial<Record<PhaseName, PhaseStatus>> = { [phase]: 'failed' }
  for (const name of later) changes[name] = 'skipped'
  const { mask } = run.sites[0].docker
  const { hint, detail } = error
  try {
    state.updatePhases(release.id, changes)
    run.save({
      phases: { ...run.bundle.phases, [phase]: record },
      error: {
        message: mask.ours(error.message),
        ...(hint ? { hint: mask.ours(hint) } : {}),
        ...(detail ? { detail: mask(detail) } : {}),
      },
    })
  } catch (second) {
    if (error.kind === 'state') return error // the same once more
    return new StagecraftError('state', `Cannot record that ${phase} failed: ${errorText(second)}`, {
      cause: second,
      detail: errorText(error),
      hint: error.hint,
    })
  }
  run.emit({ type: 'phase', phase, status: 'failed', duration_ms: record.duration_ms })
  for (const name of later) run.emit({ type: 'phase', phase: name, status: 'skipped' })
  return error
}

/** Says what is true now: what serves, and what the exit code must be. */
function explain(error: unknown, run: Run, signal: number | undefined): StagecraftError {
  const known =
    error instanceof StagecraftError
      ? error
      : new StagecraftError('bug', `Stagecraft has a bug: ${error instanceof Error ? error.message : String(error)}`, {
          cause: error,
        })
  if (run.bundle.switched_at !== undefined) {
    const { message, hint, detail, cause } = known
    const kind = known.kind === 'state' ? 'state' : 'after-commit'
    return withHint(new StagecraftError(kind, message, { hint, detail, cause }), `${run.bundle.version} serves.`)
  }
  if (known.kind === 'not-restored' || isLockLost(run)) return known
  const serves = whatServes(run.serving?.bundle, run.adopting)
  if (signal === undefined) return withHint(known, serves)
  return new StagecraftError('failed', `Cannot finish the release: ended by signal ${signal}`, { hint: serves, signal })
}

/** Then another run may be at work, and what serves is its business. */
function isLockLost(run: Run): boolean {
  try {
    run.checkLock()
    return false
  } catch {
    return true
  }
}

/** @returns what is true where a release changed nothing, or was undone. */
export function whatServes(serving: { readonly id: string; readonly version: string } | undefined, adopting: boolean) {
  if (serving) return `${serving.version} (${serving.id}) still serves.`
  return adopting ? 'What ran before still runs.' : 'Nothing was deployed before, and nothing runs now.'
}
