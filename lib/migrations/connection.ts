import type { DatabaseConfig } from '../config/databases.ts'
import type { Session } from '../project/session.ts'
import { readVariable, type Settings } from '../project/settings.ts'
import { StagecraftError } from '../util/errors.ts'
import { passwordsIn } from './sql/server/url.ts'

/**
 * Finds the connection strings of an environment's databases: in its env file as Compose reads it, else in the variables of
 * this process. They are secrets, and so are their passwords.
 * @returns by database; one whose variable is not set is left out
 */
export async function readConnections(settings: Settings): Promise<Readonly<Record<string, string>>> {
  const databases = Object.entries(settings.environment.databases ?? {})
  const found = databases.map(async ([database, { connection_env: name }]) => {
    const url = name === undefined ? '' : await readVariable(settings, name)
    return url === '' ? [] : [[database, url] as const]
  })
  return Object.fromEntries((await Promise.all(found)).flat())
}

/** @returns the project with its connection strings, which are masked from now on */
export async function withConnections<T extends Settings & { readonly secrets: readonly string[] }>(
  project: T,
  session: Pick<Session, 'secrets'>,
): Promise<T & { readonly connections: Readonly<Record<string, string>> }> {
  const connections = await readConnections(project)
  const secrets = [...project.secrets, ...secretsOf(connections)]
  session.secrets?.add(secrets)
  return { ...project, connections, secrets }
}

/** @returns the connection strings, and the passwords in them, encoded and not */
export function secretsOf(connections: Readonly<Record<string, string>>): string[] {
  return Object.values(connections).flatMap((url) => [url, ...passwordsIn(url)].filter((text) => text !== ''))
}

/** @returns the error for a database whose variable is set nowhere */
export function notSet(
  database: string,
  { connection_env: name }: DatabaseConfig,
  settings: Pick<Settings, 'environment'>,
): StagecraftError {
  const { env_file: files } = settings.environment
  const where = files.length === 0 ? '.env' : files.join(', ')
  return new StagecraftError('config', `Cannot find the connection string of ${database}: ${name} is not set`, {
    hint: `Set it in ${where}, or in the environment of this command: postgres://user:password@db:5432/app`,
  })
}
