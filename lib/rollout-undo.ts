import { modelFile } from './bundle.ts'
import { listContainers } from './docker.ts'
import { errorText, StagecraftError } from './errors.ts'
import { table } from './format.ts'
import { putBack } from './put-back.ts'
import { releaseId } from './release-id.ts'
import type { Change } from './rollout-change.ts'
import type { Run, Site } from './run.ts'
import { lossOf } from './sites.ts'

/** What became of a host after a rollout that did not come to its commit point. */
interface Fate {
  readonly site: Site
  /** `as-before`: what served there serves; `unknown`: it cannot be reached, or another run is at work there */
  readonly is: 'as-before' | 'not-restored' | 'unknown'
  readonly error?: StagecraftError
  /** something of it had been changed */
  readonly touched: boolean
}

/**
 * Puts back what served on all hosts: those that can be reached go back, whatever became of the others (spec/core/hosts.md).
 * @returns the error to end with: 6 where it is not so everywhere that what served serves, else what stopped the rollout
 */
export async function undoAll(run: Run, changes: readonly Change[], cause: unknown): Promise<unknown> {
  const fates = await Promise.all(changes.map((change) => undo(change, cause)))
  const [only] = fates
  if (run.sites.length === 1) return only?.is === 'not-restored' ? only.error : cause
  return judge(
    cause,
    fates,
    changes.some(({ recorder }) => recorder.journal.step !== 'prepare'),
  )
}

/** What is true afterwards is what the journal says: where it cannot be closed, the next command undoes once more. */
async function undo({ site, recorder, served, planning }: Change, cause: unknown): Promise<Fate> {
  const touched = !recorder.untouched
  if (lossOf(site)) return { site, is: 'unknown', touched }
  // Also where nothing was touched what was live must answer: the proxy may be gone meanwhile.
  if (!touched && !recorder.journal.routing?.routes.length) return { site, is: 'as-before', touched }
  const { environment, model, stateFile } = site.project
  const { topology } = planning.input
  try {
    await putBack(
      {
        ...{
          journal: recorder.journal,
          served: served?.stage,
          docker: site.restoring,
          clock: site.clock,
          emit: site.emit,
        },
        name: model.name,
        modelFile: modelFile(stateFile, site.bundle.id),
        project: { environment, topology: site.serving?.bundle.topology ?? topology },
        settings: site.serving?.bundle.services ?? {},
        proxyImage: environment.proxy?.image,
      },
      cause,
    )
  } catch (error) {
    if (!(error instanceof StagecraftError)) throw error
    return lossOf(site) ? { site, is: 'unknown', touched } : { site, is: 'not-restored', touched, error }
  }
  try {
    site.save({ journal: undefined })
  } catch {
    // the failure itself is about to be written, and that error told
  }
  return { site, is: 'as-before', touched }
}

async function judge(cause: unknown, fates: readonly Fate[], switching: boolean): Promise<unknown> {
  const rows = await Promise.all(fates.map(rowOf))
  const runs = table([['HOST', 'SERVES', 'RUNS'], ...rows]).join('\n')
  const failed = fates.find(({ is }) => is === 'not-restored')
  const known = cause instanceof StagecraftError ? cause : undefined
  if (failed?.error) {
    const { message, hint, detail } = failed.error
    const text = `${message} (on ${failed.site.project.host.name})`
    return new StagecraftError('not-restored', text, { hint, detail: joined(detail, runs), cause })
  }
  const lost = fates.filter(({ is, touched }) => is === 'unknown' && touched).map(({ site }) => site.project.host.name)
  if (lost.length > 0 && switching)
    return new StagecraftError(
      'not-restored',
      `Cannot put back what served on ${lost.join(', ')}: lost in the switch`,
      {
        detail: joined(errorText(cause), runs),
        hint: 'The other hosts are as they were. The next command that reaches all of them puts it back: `stagecraft status`, then `stagecraft deploy`.',
        cause,
      },
    )
  if (known === undefined) return cause
  const { kind, message, hint, detail } = known
  return new StagecraftError(kind, message, { hint, detail: joined(detail, runs), cause: known.cause })
}

function joined(detail: string | undefined, runs: string): string {
  return detail === undefined ? runs : `${detail}\n${runs}`
}

/** What runs is asked of the host, not concluded. */
async function rowOf({ site, is }: Fate): Promise<string[]> {
  const name = site.project.host.name ?? ''
  if (is === 'unknown') return [name, 'not known', 'it cannot be reached']
  const { serving, project, restoring } = site
  const serves = serving ? `${serving.bundle.version} (${releaseId(serving.bundle.id)})` : 'nothing'
  const containers = await listContainers(restoring, project.model.name).catch(() => undefined)
  const running = containers?.filter(({ state }) => state === 'running').map(({ service }) => service)
  const counts = [...new Set(running)].map((service) => {
    const count = running?.filter((each) => each === service).length ?? 0
    return count === 1 ? service : `${count} ${service}`
  })
  const runs = containers === undefined ? 'its engine does not say' : counts.join(', ') || 'nothing'
  return [name, is === 'as-before' ? serves : 'not put back', runs]
}
