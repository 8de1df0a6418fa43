import { listContainers } from '../../../docker/containers.ts'
import { releaseId } from '../../../plan/release-id.ts'
import { modelFile } from '../../../record/bundle/ref.ts'
import { errorText, StagecraftError } from '../../../util/errors.ts'
import { table } from '../../../util/format.ts'
import { lossOf } from '../../each-host.ts'
import type { HostRun, ReleaseRun } from '../../host-run.ts'
import { begunRollout } from '../begin.ts'
import type { HostRollout } from '../host-rollout.ts'
import { undoRollout } from './host.ts'

/** The result of undoing a rollout on one host. */
interface HostOutcome {
  readonly hostRun: HostRun
  /** `as-before`: the previous release is live; `unknown`: it cannot be reached, or another run is at work there */
  readonly is: 'as-before' | 'not-restored' | 'unknown'
  readonly error?: StagecraftError
  /** the rollout had changed something there */
  readonly touched: boolean
}

/**
 * Restores the previous release on all hosts that can be reached, whatever happens on the others (spec/core/hosts.md).
 * @returns the error to end with: not-restored (6) unless it is live again on all hosts, else `cause`
 */
export async function undoAll(run: ReleaseRun, rollouts: readonly HostRollout[], cause: unknown): Promise<unknown> {
  const outcomes = await Promise.all(rollouts.map((rollout) => undo(rollout, cause)))
  const [only] = outcomes
  if (run.hostRuns.length === 1) return only?.is === 'not-restored' ? only.error : cause
  return judge(
    cause,
    outcomes,
    rollouts.some(({ recorder }) => recorder.journal.step !== 'prepare'),
  )
}

/**
 * Undoes a rollout that migrations began, if the release ends between two phases.
 * @returns the error to end with, as `undoAll` does
 */
export async function undoBegun(run: ReleaseRun, cause: unknown): Promise<unknown> {
  const begun = begunRollout(run)
  if (begun === undefined || run.bundle.now.switched_at !== undefined) return cause
  return undoAll(run, await begun, cause)
}

/** Undoes the rollout on one host and closes its journal. If that write fails, the next command undoes it again. */
async function undo({ hostRun, recorder, served, planning }: HostRollout, cause: unknown): Promise<HostOutcome> {
  const { request, tools, bundle } = hostRun
  const touched = !recorder.untouched
  if (lossOf(tools)) return { hostRun, is: 'unknown', touched }
  // Even if nothing was touched, live routes must answer: the proxy may be gone.
  if (!touched && !recorder.journal.routing?.routes.length) return { hostRun, is: 'as-before', touched }
  const { environment, model, stateFile } = request.project
  const { topology } = planning.input
  try {
    await undoRollout(
      {
        journal: recorder.journal,
        served: served?.stage,
        docker: tools.undoDocker,
        clock: tools.clock,
        emit: tools.emit,
        name: model.name,
        modelFile: modelFile(stateFile, bundle.now.id),
        project: { environment, topology: request.serving?.bundle.topology ?? topology },
        settings: request.serving?.bundle.services ?? {},
        proxy: environment.proxy,
      },
      cause,
    )
  } catch (error) {
    if (!(error instanceof StagecraftError)) throw error
    return lossOf(tools) ? { hostRun, is: 'unknown', touched } : { hostRun, is: 'not-restored', touched, error }
  }
  try {
    bundle.save({ journal: undefined })
  } catch {
    // recording the failure comes next, and reports the same error
  }
  return { hostRun, is: 'as-before', touched }
}

async function judge(cause: unknown, outcomes: readonly HostOutcome[], switching: boolean): Promise<unknown> {
  const rows = await Promise.all(outcomes.map(rowOf))
  const runs = table([['HOST', 'LIVE', 'RUNS'], ...rows]).join('\n')
  const failed = outcomes.find(({ is }) => is === 'not-restored')
  if (failed?.error) {
    const { message, detail } = failed.error
    const text = `${message} (on ${failed.hostRun.request.project.host.name})`
    return failed.error.with({ kind: 'not-restored', message: text, detail: joined(detail, runs), cause })
  }
  const lost = outcomes.flatMap(({ is, touched, hostRun }) =>
    is === 'unknown' && touched ? [hostRun.request.project.host.name] : [],
  )
  if (lost.length > 0 && switching)
    return new StagecraftError(
      'not-restored',
      `Cannot restore the previous release on ${lost.join(', ')}: lost in the switch`,
      {
        detail: joined(errorText(cause), runs),
        hint: `${lost.length < outcomes.length ? 'The other hosts are as they were. ' : ''}The next command that reaches all hosts restores it: \`stagecraft status\`, then \`stagecraft deploy\`.`,
        cause,
      },
    )
  return cause instanceof StagecraftError ? cause.with({ detail: joined(cause.detail, runs) }) : cause
}

function joined(detail: string | undefined, runs: string): string {
  return detail === undefined ? runs : `${detail}\n${runs}`
}

/** Asks the host what runs there, so that the table shows facts. */
async function rowOf({ hostRun: { request, tools }, is }: HostOutcome): Promise<string[]> {
  const { serving, project } = request
  const { name } = project.host
  if (is === 'unknown') return [name, 'unknown', 'it cannot be reached']
  const live = serving ? `${serving.bundle.version} (${releaseId(serving.bundle.id)})` : 'nothing'
  const containers = await listContainers(tools.undoDocker, project.model.name).catch(() => undefined)
  const running = containers?.filter(({ state }) => state === 'running').map(({ service }) => service)
  const counts = [...new Set(running)].map((service) => {
    const count = running?.filter((each) => each === service).length ?? 0
    return count === 1 ? service : `${count} ${service}`
  })
  const runs = containers === undefined ? 'its engine does not answer' : counts.join(', ') || 'nothing'
  return [name, is === 'as-before' ? live : 'not restored', runs]
}
