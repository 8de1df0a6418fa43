import { expect } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readSqlFolder } from '../../lib/migrations/sql/files.ts'
import { type ApplyOptions, applyPending, readHistory } from '../../lib/migrations/sql/runner.ts'
import { type Database, type DatabaseOptions, openDatabase } from '../../lib/migrations/sql/server/database.ts'
import type { Engine } from '../support/engine.ts'
import { formatError } from '../support/failure.ts'
import { RUN } from '../support/folder.ts'

/** A password that no connection string needs to encode for us. */
export const PASSWORD = `p@ss:w/o?r#d%&=+ '"\\$é`
export const clock = { now: () => Date.now(), sleep: (ms: number) => Bun.sleep(ms) }

const IMAGES = {
  postgres: { image: 'postgres:15', port: 5432, name: 'POSTGRES_', user: 'postgres', more: ['POSTGRES_DB=app'] },
  mysql: { image: 'mariadb:10.11', port: 3306, name: 'MARIADB_ROOT_', user: 'root', more: ['MARIADB_DATABASE=app'] },
} as const

/** A database server in a container of its own. */
export interface Server {
  readonly url: string
  /** another session: without a release, without limits */
  readonly other: () => Promise<Database>
  readonly docker: (verb: string) => Promise<unknown>
  readonly remove: () => Promise<unknown>
}

export async function startServer(engine: Engine, dialect: keyof typeof IMAGES): Promise<Server> {
  const { image, port, name, user, more } = IMAGES[dialect]
  const outside = await engine.freePort()
  const container = `${RUN}-${process.pid.toString(36)}-sql-${dialect}`
  const variables = [`${name}PASSWORD=${PASSWORD}`, ...more].flatMap((variable) => ['-e', variable])
  const { code, stderr } = await engine.docker([
    ...['run', '-d', '--name', container, '-p', `${outside}:${port}`, ...variables, image],
  ])
  if (code !== 0) throw new Error(stderr)
  const url = `${dialect}://${user}:${PASSWORD}@${engine.ip}:${outside}/app`
  for (let tries = 0; ; tries++) {
    const db = await open(url).catch((error: unknown) => error)
    if (!(db instanceof Error)) {
      await (db as Database).close()
      break
    }
    if (tries > 900) throw db // a new database takes a minute on a busy machine
    await Bun.sleep(200)
  }
  return {
    url,
    other: () => open(url),
    docker: (verb) => engine.docker([verb, container]),
    remove: () => engine.docker(['rm', '-fv', container]),
  }
}

type Limits = Partial<Pick<DatabaseOptions, 'lockTimeoutMs' | 'statementTimeoutMs' | 'answerMs'>>

export const open = (url: string, limits: Limits = {}) =>
  openDatabase({ url, database: 'main', lockTimeoutMs: 10_000, statementTimeoutMs: 0, ...limits })

/** A folder with these files. */
export function sqlFolder(files: Readonly<Record<string, string | Uint8Array>>) {
  const path = mkdtempSync(join(tmpdir(), 'sql-'))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content)
  return { path, remove: () => rmSync(path, { recursive: true }) }
}

/** Applies these files with a session of its own. @returns their names */
export async function apply(
  url: string,
  files: Readonly<Record<string, string>>,
  options: Partial<ApplyOptions> & Limits = {},
): Promise<string[]> {
  const folder = sqlFolder(files)
  const db = await open(url, options)
  try {
    const applied = await applyPending({ db, files: readSqlFolder(folder.path), release: 'rel-1', clock, ...options })
    return applied.map(({ name }) => name)
  } finally {
    await db.close()
    folder.remove()
  }
}

/** @returns the history as `name release`, with how far an unfinished file has got */
export async function historyOf(url: string): Promise<string[]> {
  const db = await open(url)
  try {
    const { applied: rows } = await readHistory(db)
    const text = rows.map(({ name, release, unfinished }) =>
      unfinished ? `${name} ${release} ${unfinished.done}/${unfinished.begun}` : `${name} ${release}`,
    )
    return text.sort()
  } finally {
    await db.close()
  }
}

/** Starts a run of its own that can be killed. */
export function startRunner(url: string, files: Readonly<Record<string, string>>) {
  const folder = sqlFolder(files)
  const script = join(import.meta.dir, '../fixtures/sql-runner.ts')
  const child = Bun.spawn([process.execPath, script, url, folder.path], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  return { child, remove: folder.remove, kill: () => child.kill('SIGKILL') }
}

/** Waits until something holds. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries++) {
    if (tries > 2400) throw new Error('it did not come true')
    await Bun.sleep(50)
  }
}

/** @returns what is printed of the error that work ends with: neither that nor the error itself holds a secret */
export async function printedFailure(work: Promise<unknown>, secrets: readonly string[]): Promise<string> {
  const error = await work.then(
    () => 'nothing was thrown',
    (thrown: unknown) => thrown,
  )
  const text = formatError(error).join('\n')
  for (const secret of [PASSWORD, 'p@ss', ...secrets]) expect(text + Bun.inspect(error)).not.toContain(secret)
  return text
}
