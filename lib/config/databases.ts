import * as v from 'valibot'
import { duration, name, orEmpty, path, serviceName, variable } from './fields.ts'

const STRATEGY = 'must be pre_deploy, post_deploy or manual'
/** As in a Compose file: Compose splits a text into words, and runs no shell. */
const composeCommand = v.union(
  [
    v.pipe(v.string(), v.minLength(1, 'must not be empty')),
    v.pipe(v.array(v.string('must be a word'), 'must be a list of words'), v.minLength(1, 'must not be empty')),
  ],
  'must be a command: a text, or a list of words',
)

/** What every engine has. */
const migrationBase = {
  strategy: v.exactOptional(v.picklist(['pre_deploy', 'post_deploy', 'manual'], STRATEGY)),
  timeout: v.exactOptional(duration(1)),
}

const migrations = v.variant(
  'engine',
  [
    v.strictObject(
      { engine: v.literal('job'), service: serviceName, ...migrationBase },
      'must have a `service`: the job of the Compose file',
    ),
    v.strictObject(
      { engine: v.literal('command'), service: serviceName, command: composeCommand, ...migrationBase },
      'must have a `service` and a `command`',
    ),
    v.strictObject(
      { engine: v.literal('raw'), path, ...migrationBase },
      'must have a `path`: the folder of the *.sql files',
    ),
  ],
  'must be a mapping with an engine: job, command or raw',
)

const database = v.pipe(
  v.strictObject(
    {
      connection_env: v.exactOptional(variable('DATABASE_URL')),
      via: v.exactOptional(serviceName),
      lock_timeout: v.exactOptional(duration(1)),
      statement_timeout: v.exactOptional(duration(1)),
      migrations,
    },
    'must have `migrations`',
  ),
  v.check(
    ({ connection_env, migrations: { engine } }) => (engine === 'raw') === (connection_env !== undefined),
    'must have a `connection_env` with engine raw, and only then',
  ),
  v.check(
    ({ via, lock_timeout, statement_timeout, migrations: { engine } }) =>
      engine === 'raw' || (via ?? lock_timeout ?? statement_timeout) === undefined,
    '`via`, `lock_timeout` and `statement_timeout` need the engine raw',
  ),
)

/** `databases` of an environment (spec/core/migrations.md). */
export const databases = orEmpty(v.record(name('a name for a database'), database, 'must be a mapping of databases'))

/** A database, and how releases migrate it (spec/core/migrations.md). Durations are milliseconds. */
export interface DatabaseConfig {
  /** raw: the variable with the connection string */
  readonly connection_env?: string
  /** raw: the service in whose network it is reached */
  readonly via?: string
  readonly lock_timeout?: number
  readonly statement_timeout?: number
  readonly migrations: MigrationsConfig
}

interface MigrationsBase {
  readonly strategy: 'pre_deploy' | 'post_deploy' | 'manual'
  readonly timeout: number
}

type MigrationsConfig = MigrationsBase &
  (
    | { readonly engine: 'job'; readonly service: string }
    | { readonly engine: 'command'; readonly service: string; readonly command: string | readonly string[] }
    | { readonly engine: 'raw'; readonly path: string }
  )

/** Ten minutes, as long as most people would wait for a table to be rewritten. */
const MIGRATION_TIMEOUT = 600_000

/** @returns it with what is not said in the file */
export function toDatabase(parsed: v.InferOutput<typeof database>): DatabaseConfig {
  return { ...parsed, migrations: { strategy: 'pre_deploy', timeout: MIGRATION_TIMEOUT, ...parsed.migrations } }
}

/** @returns the services that migrations of the engine `job` run: no rollout runs them */
export function migrationJobs({
  databases = {},
}: {
  readonly databases?: Readonly<Record<string, DatabaseConfig>>
}): string[] {
  return Object.values(databases).flatMap(({ migrations }) => (migrations.engine === 'job' ? [migrations.service] : []))
}
