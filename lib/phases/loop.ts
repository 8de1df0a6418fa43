import { PHASES, type PhaseName, type PhaseStatus } from '../plan/six-phases.ts'
import type { PhaseRecord } from '../record/bundle.ts'
import type { State } from '../record/releases.ts'
import type { Release } from '../record/releases-file/format.ts'
import { errorText, StagecraftError, withHint } from '../util/errors.ts'
import type { Hooks } from './hooks.ts'
import type { HostRequest, ReleaseRun } from './host-run.ts'

/** The work of a phase. @returns one line that says what it did, or why there was nothing to do */
type PhaseWork = (run: ReleaseRun) => Promise<string>

/** What a phase does in one kind of release. */
interface PhaseKind {
  /** @returns one line that says what it will do on a host */
  readonly describe: (request: HostRequest) => string
  readonly run: PhaseWork
}

export interface Phase {
  readonly name: PhaseName
  readonly deploy: PhaseKind
  readonly rollback: PhaseKind
}

export type SixPhases = readonly Phase[]

/** What the loop needs besides the release. */
export interface Around {
  /** @returns the number of the signal that asked to stop, if one did */
  readonly signalled: () => number | undefined
  /** Undoes a rollout that an earlier phase began. @returns the error to end with */
  readonly undoBegun: (run: ReleaseRun, cause: unknown) => Promise<unknown>
  readonly hooks: Hooks
}

/**
 * Runs the phases in order, and records each as `running`, then `completed`. If one fails, it is recorded as `failed`
 * and every later one as `skipped`.
 * @throws what the phase threw, with a hint that says which release is live
 */
export async function runPhases(
  phases: readonly Phase[],
  run: ReleaseRun,
  release: Release,
  state: State,
  { signalled, undoBegun, hooks }: Around,
): Promise<void> {
  const { clock, emit, checkLock } = run.tools
  for (const phase of phases) {
    const started = clock.now()
    const record = (note?: string): PhaseRecord => ({
      started_at: new Date(started).toISOString(),
      duration_ms: clock.now() - started,
      ...(note === undefined ? {} : { note }),
    })
    let isAtWork = false // a phase undoes what it did itself
    try {
      checkLock()
      state.updatePhase(release.id, phase.name, 'running')
      emit({ type: 'phase', phase: phase.name, status: 'running' })
      stopIfAsked(run, signalled())
      await hooks.before(phase.name)
      isAtWork = true
      const note = await phase[run.kind].run(run)
      isAtWork = false
      run.bundle.save({ phases: { ...run.bundle.now.phases, [phase.name]: record(note) } })
      state.updatePhase(release.id, phase.name, 'completed')
      emit({ type: 'phase', phase: phase.name, status: 'completed', duration_ms: record().duration_ms, note })
      await hooks.after(phase.name)
    } catch (error) {
      const cause = isAtWork ? error : await undoBegun(run, error)
      const failure = fail(run, release, state, phase.name, record(), explain(cause, run, signalled()))
      await hooks.ended(phase.name, failure.signal)
      throw failure
    }
  }
}

/** Once the release is live, a signal does not stop it: the remaining phases are finished. */
function stopIfAsked(run: ReleaseRun, signal: number | undefined): void {
  if (signal !== undefined && run.bundle.now.switched_at === undefined)
    throw new StagecraftError('failed', `Cannot continue: ended by signal ${signal}`)
}

/** Records the failure in the state and in the bundle. If that fails too, the error has both reasons. */
function fail(
  run: ReleaseRun,
  release: Release,
  state: State,
  phase: PhaseName,
  record: PhaseRecord,
  error: StagecraftError,
): StagecraftError {
  const later = PHASES.slice(PHASES.indexOf(phase) + 1)
  const changes: Partial<Record<PhaseName, PhaseStatus>> = { [phase]: 'failed' }
  for (const name of later) changes[name] = 'skipped'
  const { mask } = run.hostRuns[0].tools.docker
  const { hint, detail } = error
  try {
    state.updatePhases(release.id, changes)
    run.bundle.save({
      phases: { ...run.bundle.now.phases, [phase]: record },
      error: {
        message: mask.ours(error.message),
        ...(hint ? { hint: mask.ours(hint) } : {}),
        ...(detail ? { detail: mask(detail) } : {}),
      },
    })
  } catch (second) {
    if (error.kind === 'state') return error // most likely the same reason
    return new StagecraftError('state', `Cannot record that ${phase} failed: ${errorText(second)}`, {
      cause: second,
      detail: errorText(error),
      hint: error.hint,
    })
  }
  run.tools.emit({ type: 'phase', phase, status: 'failed', duration_ms: record.duration_ms })
  for (const name of later) run.tools.emit({ type: 'phase', phase: name, status: 'skipped' })
  return error
}

/** Adds to an error which release is live, and gives it the kind that decides the exit code. */
function explain(error: unknown, run: ReleaseRun, signal: number | undefined): StagecraftError {
  const known =
    error instanceof StagecraftError
      ? error
      : new StagecraftError('bug', `Stagecraft has a bug: ${error instanceof Error ? error.message : String(error)}`, {
          cause: error,
        })
  if (run.bundle.now.switched_at !== undefined) {
    const kind = known.kind === 'state' ? 'state' : 'after-commit'
    return withHint(known.with({ kind }), `${run.bundle.now.version} is live.`)
  }
  if (known.kind === 'not-restored' || isLockLost(run)) return known
  const live = liveNow(run.serving?.bundle, run.adopting)
  if (signal === undefined) return withHint(known, live)
  return new StagecraftError('failed', `Cannot finish the release: ended by signal ${signal}`, { hint: live, signal })
}

/** If the lock is lost, another run may be at work and may change which release is live. */
function isLockLost(run: ReleaseRun): boolean {
  try {
    run.tools.checkLock()
    return false
  } catch {
    return true
  }
}

/** @returns a hint that says which release is live if a release changed nothing, or was undone. */
export function liveNow(serving: { readonly id: string; readonly version: string } | undefined, adopting: boolean) {
  if (serving) return `${serving.version} (${serving.id}) is still live.`
  return adopting
    ? 'The previous containers are still running.'
    : 'Nothing was deployed before, and nothing is running.'
}
