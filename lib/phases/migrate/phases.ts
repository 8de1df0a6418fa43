import type { MigrationRecord } from '../../record/bundle.ts'
import { StagecraftError } from '../../util/errors.ts'
import { compare, formatDuration } from '../../util/format.ts'
import { located, onEachHost } from '../each-host.ts'
import type { ReleaseRun } from '../host-run.ts'
import type { Phase } from '../loop.ts'
import { certain, openRollout } from '../rollout/begin.ts'
import type { HostRollout } from '../rollout/host-rollout.ts'
import { stillLive } from '../rollout/still-live.ts'
import { undoAll } from '../rollout/undo/all.ts'
import { databasesOn, NOT_ROLLED_BACK, nothingToMigrate, willMigrate } from './describe.ts'
import { bringUpNeeded } from './needs.ts'
import { runMigration, type Work } from './run.ts'

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
    const works = worksOf(run, rollouts, phase)
    await onEachHost(run, (_, at) => bringUpNeeded(certain(rollouts[at])))
    return await migrate(run, works, 'migrate_pre')
  } catch (error) {
    throw await undoAll(run, rollouts, error)
  }
}

async function migrateAfter(run: ReleaseRun): Promise<string> {
  const phase = 'post_deploy'
  if (!isNeeded(run, phase)) return nothingToMigrate(run.project.environment.databases, phase)
  return migrate(run, worksOf(run, await openRollout(run), phase), 'migrate_post')
}

function isNeeded({ hostRuns }: ReleaseRun, strategy: 'pre_deploy' | 'post_deploy'): boolean {
  return hostRuns.some(({ request }) => databasesOn(request, strategy).length > 0)
}

interface Placed {
  readonly work: Work
  readonly rollout: HostRollout
}

/** @returns the databases of all hosts, in the order of their names */
function worksOf(
  { hostRuns }: ReleaseRun,
  rollouts: readonly HostRollout[],
  strategy: 'pre_deploy' | 'post_deploy',
): Placed[] {
  const all = hostRuns.flatMap(({ request, tools }, at) =>
    databasesOn(request, strategy).map(([name, database]) => {
      const rollout = certain(rollouts[at])
      return { rollout, work: { name, database, stage: rollout.stage, tools } }
    }),
  )
  return all.toSorted((a, b) => compare(a.work.name, b.work.name))
}

/** Migrates one database after the other. Each is recorded as begun before it begins, and as done when it has ended. */
async function migrate(
  run: ReleaseRun,
  works: readonly Placed[],
  phase: 'migrate_pre' | 'migrate_post',
): Promise<string> {
  const { project, bundle, tools } = run
  const engines = run.hostRuns.map((hostRun) => hostRun.tools)
  const notes: string[] = []
  for (const { work, rollout } of works) {
    tools.checkLock()
    const done = await runMigration({ project, engines, bundle, tools, phase }, work).catch((error: unknown) => {
      const ended = endedBySignal(tools.signal, work.name, error) ?? error
      throw run.hostRuns.length === 1 ? ended : located(ended, rollout.hostRun)
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
