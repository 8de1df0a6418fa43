import type { DatabaseConfig } from '../config/databases.ts'
import { stagePlace } from '../docker/compose/up.ts'
import { withConnections } from '../migrations/connection.ts'
import { migrationPlan } from '../phases/migrate/describe.ts'
import { readPending } from '../phases/migrate/pending.ts'
import { type Migrating, runMigration, type Work } from '../phases/migrate/run.ts'
import type { MigrationPlan } from '../plan/input.ts'
import { claimHistory } from '../project/ownership.ts'
import { type Placed, placeOnHosts } from '../project/placement.ts'
import { learnSecrets } from '../project/secrets/known.ts'
import { type LockedSession, openReleaseDocker, type Session } from '../project/session.ts'
import type { Project } from '../project/settings.ts'
import { findLive, type LiveRelease, type MigrationRecord } from '../record/bundle.ts'
import { partOn, placeOf } from '../record/bundle-parts.ts'
import { openState } from '../record/releases.ts'
import { createSecrets } from '../secrets/mask.ts'
import { StagecraftError } from '../util/errors.ts'
import { quote } from '../util/format.ts'
import { namesHint } from '../util/nearest.ts'
import { openBundle, openTools } from './open-host-run.ts'

/** Which migrations a person asks for. */
interface MigrationWish {
  /** default: all databases, whatever their strategy */
  readonly database?: string | undefined
  /** the last file of a `raw` database */
  readonly to?: string | undefined
}

/** @returns what `migrate run` would do. Changes nothing. @throws as it does before anything runs */
export async function planMigrate(opened: Project, wish: MigrationWish, session: Session): Promise<MigrationPlan[]> {
  const chosen = chooseDatabases(opened, wish)
  const project = await withConnections(opened, session)
  const engines = project.hosts.map((host) => openReleaseDocker({ ...project, host }, session))
  const pending = await readPending(project, engines, chosen, wish)
  return chosen.map(([name, config]) => migrationPlan(name, config, pending))
}

/**
 * Migrates databases outside a release: a job or command runs with the image and the settings of the live release. What was
 * done is recorded with that release.
 * @throws failed (5) with the database's own words; not-found (4), config (3), locked (7), unreachable (8)
 */
export async function migrateNow(
  opened: Project,
  wish: MigrationWish,
  session: LockedSession,
): Promise<MigrationRecord[]> {
  const chosen = chooseDatabases(opened, wish)
  const project = await withConnections(opened, session)
  await claimHistory(project, project.model.name, session)
  const { stateFile } = project
  const state = openState(stateFile, { clock: () => session.clock.now() })
  const serving = findLive(stateFile, state.listReleases({ environment: project.environment.name }))
  const placed = await openHosts(project, serving, session)
  const migrating: Migrating = {
    project,
    engines: placed.map(({ tools }) => tools),
    bundle: serving && openBundle(stateFile, serving.bundle, () => {}),
    tools: { clock: session.clock, persist: session.held.persist, signal: session.signal },
    phase: 'migrate_pre',
    to: wish.to,
  }
  const done: MigrationRecord[] = []
  for (const [name, database] of chosen) {
    const own = placed.find(({ migrates }) => migrates.includes(name))
    if (own === undefined) throw new StagecraftError('bug', `Cannot migrate ${name}: no host is known for it`)
    own.tools.checkLock()
    const work = { name, database, stage: stageOf(name, database, own.live, own.project), tools: own.tools }
    done.push(...(await runMigration(migrating, work)))
  }
  return done
}

/** Opens each host, with the live release's part on it. What that prints is masked with its own secrets, not only today's. */
async function openHosts(project: Project, serving: LiveRelease | undefined, session: LockedSession) {
  const secrets = session.secrets ?? createSecrets()
  const open = async (placed: Placed) => {
    const { host, stateFile } = placed.project
    const live = serving && partOn(stateFile, serving, placeOf(host, project.hosts))
    await learnSecrets(secrets, host, [live])
    const docker = openReleaseDocker(placed.project, { ...session, secrets })
    return { ...placed, live, tools: openTools(host, docker, session.emit, session) }
  }
  return Promise.all(placeOnHosts(project).map(open))
}

/** @throws not-found (4), usage (2) */
function chooseDatabases({ environment }: Project, { database, to }: MigrationWish): [string, DatabaseConfig][] {
  const all = Object.entries(environment.databases ?? {})
  const names = all.map(([name]) => name)
  if (all.length === 0)
    throw new StagecraftError('not-found', `Cannot migrate ${environment.name}: no databases are configured`, {
      hint: 'spec/guides/migrations.md says how to configure them in stagecraft.yml.',
    })
  const chosen = all.filter(([name]) => database === undefined || name === database)
  if (database !== undefined && chosen.length === 0)
    throw new StagecraftError('not-found', `Cannot find database ${quote(database)} in ${environment.name}`, {
      hint: namesHint('Databases', database, names),
    })
  if (to !== undefined && (chosen.length > 1 || chosen[0]?.[1].migrations.engine !== 'raw'))
    throw new StagecraftError('usage', `Cannot migrate to ${quote(to)}: --to is for one database with files of SQL`, {
      hint: `Add --database <name>, of one with the engine raw. Databases: ${names.join(', ')}`,
    })
  return chosen
}

/** @throws failed (5) if the live release cannot run it */
function stageOf(
  name: string,
  { migrations }: DatabaseConfig,
  live: LiveRelease | undefined,
  project: Project,
): Work['stage'] {
  if (migrations.engine === 'raw') return { model: project.model, ...stagePlace(project) }
  const { service } = migrations
  if (live?.model.services[service] !== undefined) return { model: live.model, ...stagePlace(project) }
  const why = live === undefined ? 'no release is live yet' : `the live release has no ${service}`
  throw new StagecraftError('failed', `Cannot migrate ${name}: ${why}`, {
    hint: `It runs in a container of the live release's image of ${service}: deploy first.`,
  })
}
