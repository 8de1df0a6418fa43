import type { MigrationRecord } from '../../record/bundle.ts'
import { StagecraftError } from '../../util/errors.ts'
import { compare, formatDuration } from '../../util/format.ts'
import { located } from '../each-host.ts'
import type { HostRun, ReleaseRun } from '../host-run.ts'
import { databasesOn } from './describe.ts'
import { runMigration, type Work } from './run.ts'

/** A database that is migrated, and the host from which it is. */
interface PlacedWork {
  readonly work: Work
  readonly hostRun: HostRun
}

/** @returns whether a database is migrated in the phase of this strategy, on any host */
export function isNeeded({ hostRuns }: ReleaseRun, strategy: 'pre_deploy' | 'post_deploy'): boolean {
  return hostRuns.some(({ request }) => databasesOn(request, strategy).length > 0)
}

/** @param stages the model of each host's release @returns the databases of all hosts, in the order of their names */
export function worksOf(
  { hostRuns }: ReleaseRun,
  stages: readonly Work['stage'][],
  strategy: 'pre_deploy' | 'post_deploy',
): PlacedWork[] {
  const all = hostRuns.flatMap((hostRun, at) =>
    databasesOn(hostRun.request, strategy).flatMap(([name, database]) => {
      const stage = stages[at]
      return stage ? [{ hostRun, work: { name, database, stage, tools: hostRun.tools } }] : []
    }),
  )
  return all.toSorted((a, b) => compare(a.work.name, b.work.name))
}

/**
 * Migrates one database after the other. Each is recorded as begun before it begins, and as done when it has ended.
 * @returns what was done, for people @throws as runMigration does
 */
export async function migrateInTurn(
  run: ReleaseRun,
  works: readonly PlacedWork[],
  phase: 'migrate_pre' | 'migrate_post',
): Promise<string> {
  const { project, bundle, tools } = run
  const engines = run.hostRuns.map((hostRun) => hostRun.tools)
  const notes: string[] = []
  for (const { work, hostRun } of works) {
    tools.checkLock()
    const done = await runMigration({ project, engines, bundle, tools, phase }, work).catch((error: unknown) => {
      const ended = endedBySignal(tools.signal, work.name, error) ?? error
      throw run.hostRuns.length === 1 ? ended : located(ended, hostRun)
    })
    notes.push(`${work.name}: ${doneText(done)}`)
  }
  return notes.join('; ')
}

/** @returns the error of a migration that a signal has ended: what docker says then is that of a command that was killed */
function endedBySignal(signal: AbortSignal, database: string, cause: unknown): StagecraftError | undefined {
  if (!signal.aborted || typeof signal.reason !== 'number') return undefined
  const hint = cause instanceof StagecraftError ? cause.hint : undefined
  return new StagecraftError('failed', `Cannot migrate ${database}: ended by signal ${signal.reason}`, { cause, hint })
}

/** @param done in one database @returns what was done, for people */
function doneText(done: readonly MigrationRecord[]): string {
  const [first] = done
  if (first === undefined) return 'nothing was pending'
  const took = formatDuration(done.reduce((sum, { duration_ms }) => sum + duration_ms, 0))
  const what = first.engine === 'raw' ? `${done.length} ${done.length === 1 ? 'file' : 'files'} applied` : first.name
  return `${what} (${took})`
}
