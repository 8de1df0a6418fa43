import type { DatabaseConfig } from '../../config/databases.ts'
import { nameOf } from '../../migrations/one-off.ts'
import type { MigrationPlan, Pending } from '../../plan/input.ts'
import type { HostRequest } from '../host-run.ts'

type Strategy = DatabaseConfig['migrations']['strategy']

const NO_DATABASES = 'no databases are configured'
export const NOT_ROLLED_BACK = 'databases are not rolled back'

/** @returns the databases that a release migrates on a host in the phase of this strategy, in the order of their names */
export function databasesOn(
  { project, migrates }: Pick<HostRequest, 'project' | 'migrates'>,
  strategy: Strategy,
): (readonly [name: string, database: DatabaseConfig])[] {
  const all = Object.entries(project.environment.databases ?? {})
  return all.filter(([name, { migrations }]) => migrates.includes(name) && migrations.strategy === strategy)
}

/** @returns why a phase has nothing to do */
export function nothingToMigrate(databases: object | undefined, strategy: Strategy): string {
  if (Object.keys(databases ?? {}).length === 0) return NO_DATABASES
  return `no database is migrated ${strategy === 'post_deploy' ? 'after' : 'before'} the rollout`
}

/** @returns what a phase will do on a host, in one line */
export function willMigrate(strategy: Strategy): (request: HostRequest) => string {
  return (request) => {
    const own = planMigrations(request).filter((plan) => plan.strategy === strategy)
    if (own.length === 0) return `nothing: ${nothingToMigrate(request.project.environment.databases, strategy)}`
    return 'as follows'
  }
}

/** @returns how a release migrates the databases that are migrated from a host */
export function planMigrations(request: Pick<HostRequest, 'project' | 'migrates' | 'pending'>): MigrationPlan[] {
  const all = Object.entries(request.project.environment.databases ?? {})
  return all
    .filter(([name]) => request.migrates.includes(name))
    .map(([database, config]) => migrationPlan(database, config, request.pending))
}

export function migrationPlan(database: string, { migrations }: DatabaseConfig, pending: Pending = {}): MigrationPlan {
  const { engine, strategy } = migrations
  const known = pending[database]
  return {
    ...{ database, engine, strategy, work: workOf(migrations, known) },
    pending: Array.isArray(known) ? known : null,
  }
}

const SHOWN = 5

function workOf(migrations: DatabaseConfig['migrations'], pending: readonly string[] | string | undefined): string {
  if (migrations.engine === 'command') return `run ${nameOf(migrations)} in a container of ${migrations.service}`
  if (migrations.engine === 'job') return `run ${migrations.service}`
  const what = `apply what is pending of ${migrations.path}`
  if (pending === undefined) return what
  if (typeof pending === 'string') return `${what} (not known yet: ${pending})`
  if (pending.length === 0) return 'nothing is pending'
  const more = pending.length > SHOWN ? ` and ${pending.length - SHOWN} more` : ''
  return `apply ${pending.slice(0, SHOWN).join(', ')}${more}`
}
