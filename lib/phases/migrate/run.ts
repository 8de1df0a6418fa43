import type { DatabaseConfig } from '../../config/databases.ts'
import type { ModelFile } from '../../docker/compose/up.ts'
import { containerOf, mayBeAtWork, nameOf, runOneOff } from '../../migrations/one-off.ts'
import { applyRaw, rawOf } from '../../migrations/raw.ts'
import { jobOf, runSwarmJob } from '../../migrations/swarm/job.ts'
import { outputTo } from '../../output/events.ts'
import type { PhaseName } from '../../plan/six-phases.ts'
import type { Project } from '../../project/settings.ts'
import { logKeeper } from '../../record/bundle/logs.ts'
import type { MigrationRecord } from '../../record/bundle.ts'
import { StagecraftError } from '../../util/errors.ts'
import { formatDuration } from '../../util/format.ts'
import type { HostTools, OpenBundle } from '../host-run.ts'

/** A database that is migrated, on one host. */
export interface Work {
  readonly name: string
  readonly database: DatabaseConfig
  /** the model of the release there */
  readonly stage: Omit<ModelFile, 'modelFile'>
  readonly tools: Pick<HostTools, 'docker' | 'undoDocker' | 'emit'>
}

/** What migrations work with. */
export interface Migrating {
  readonly project: Project
  /** the engines of all hosts, the first first */
  readonly engines: readonly Pick<HostTools, 'docker' | 'undoDocker'>[]
  /** the bundle of the release, which records what was done; undefined: there is no release yet */
  readonly bundle: OpenBundle | undefined
  readonly tools: Pick<HostTools, 'clock' | 'persist'> & { readonly signal: AbortSignal }
  readonly phase: PhaseName
  /** raw: the last file to apply */
  readonly to?: string | undefined
}

/**
 * Migrates one database. What begins is in the release's bundle before it begins: a run that dies leaves it there.
 * @returns what was done
 * @throws failed (5) with the database's own words, locked (7), unreachable (8)
 */
export async function runMigration(migrating: Migrating, work: Work): Promise<MigrationRecord[]> {
  const { name: database, tools } = work
  const { bundle } = migrating
  const { clock, persist } = migrating.tools
  const { engine } = work.database.migrations
  const done: MigrationRecord[] = []
  const begin = async (name: string) => {
    tools.emit({ type: 'migration', database, step: 'migrate', note: name })
    bundle?.save({ migrating: { database, name } })
    await persist?.()
  }
  const end = (name: string, duration_ms: number) => {
    const at = new Date(clock.now() - duration_ms).toISOString()
    const record = { database, engine, name, at, duration_ms }
    done.push(record)
    bundle?.save({ migrating: undefined, migrations: [...(bundle.now.migrations ?? []), record] })
    tools.emit({ type: 'migration', database, step: 'done', note: `${name} (${formatDuration(duration_ms)})` })
  }
  try {
    if (engine === 'raw') await runFiles(migrating, work, { begin, end })
    else {
      const name = tools.docker.mask(nameOf(oneOffOf(work))) // it goes into the bundle
      const began = clock.now()
      await begin(name)
      await runContainer(migrating, work)
      end(name, clock.now() - began)
    }
  } catch (error) {
    if (hasEnded(error)) forgetBegun(bundle)
    throw error
  }
  return done
}

/** If the database or the engine is not to be reached, that is not known. */
function hasEnded(error: unknown): boolean {
  return error instanceof StagecraftError && ['failed', 'locked', 'config'].includes(error.kind) && !mayBeAtWork(error)
}

function forgetBegun(bundle: OpenBundle | undefined): void {
  try {
    bundle?.save({ migrating: undefined })
  } catch {
    // Why the migration failed says more than a full disk, which may be the reason.
  }
}

/** What migrations are recorded with that run before there is a release, or without one. */
const NO_RELEASE = 'none'

interface Steps {
  readonly begin: (name: string) => Promise<void>
  readonly end: (name: string, durationMs: number) => void
}

async function runFiles(migrating: Migrating, { name, database }: Work, { begin, end }: Steps): Promise<void> {
  const { project, bundle, tools, to } = migrating
  // After a signal the statement is cancelled on the server: the way there must outlive it.
  const engines = migrating.engines.map(({ undoDocker }) => undoDocker)
  const release = bundle?.now.id ?? NO_RELEASE
  const { clock, signal } = tools
  await applyRaw(rawOf({ project, engines }, name, database), {
    to,
    release,
    clock,
    signal,
    onBegin: begin,
    onDone: end,
  })
}

function oneOffOf({ name: database, database: { migrations } }: Work) {
  if (migrations.engine === 'raw') throw new StagecraftError('bug', `Cannot run ${database} in a container`)
  const { timeout, service } = migrations
  return { database, service, timeout, ...(migrations.engine === 'command' ? { command: migrations.command } : {}) }
}

async function runContainer({ project, bundle, tools, phase, ...migrating }: Migrating, work: Work): Promise<void> {
  const engines = migrating.engines.map((each) => each.docker)
  const { docker, undoDocker, emit } = work.tools
  const { clock } = tools
  const { stateFile } = project
  const release = bundle?.now.id ?? NO_RELEASE
  const oneOff = { ...oneOffOf(work), release }
  const { model } = work.stage
  const isSwarm = project.environment.engine === 'swarm'
  const name = (isSwarm ? jobOf : containerOf)(model.name, oneOff)
  const onEnd = (output: string) => {
    if (output !== '' && bundle) logKeeper(stateFile, release, clock)(name, output)
  }
  const onLine = (line: string) => outputTo(emit)(phase, line)
  const oneOffTools = { docker, undoDocker, clock, emit, onLine, onEnd }
  if (isSwarm) await runSwarmJob(oneOff, model, oneOffTools)
  else await runOneOff(oneOff, work.stage, { ...oneOffTools, engines })
}
