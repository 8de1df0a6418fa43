import { resolve } from 'node:path'
import type { DatabaseConfig } from '../config/databases.ts'
import type { Docker } from '../docker/client.ts'
import { listContainers } from '../docker/containers.ts'
import { relay } from '../docker/streams/relay.ts'
import { listRunningTasks } from '../docker/swarm/running.ts'
import type { Settings } from '../project/settings.ts'
import { openBridge } from '../system/bridge.ts'
import type { Clock } from '../system/clock.ts'
import { removeTree } from '../system/remove-tree.ts'
import { makeTempFolder } from '../system/temp-folder.ts'
import { StagecraftError } from '../util/errors.ts'
import { formatDuration } from '../util/format.ts'
import { notSet } from './connection.ts'
import { readSqlFolder, type SqlFile } from './sql/files.ts'
import { compareWithHistory, type History } from './sql/history.ts'
import { prepareFile } from './sql/prepared.ts'
import { applyPending, readHistory } from './sql/runner.ts'
import { type Database, openDatabase } from './sql/server/database.ts'
import { parseUrl } from './sql/server/url.ts'

/** Files of SQL, and how to reach the database that they are for. */
interface RawDatabase {
  readonly name: string
  readonly config: DatabaseConfig
  /** the project folder */
  readonly directory: string
  /** the connection string */
  readonly url: string
  /** the Compose project, for `via` */
  readonly project: string
  /** the engines on which the container of `via` may run */
  readonly engines: readonly Docker[]
}

/** What a database is found by: the project as it is configured, with its connection strings. */
export interface WithDatabases {
  readonly project: Pick<Settings, 'directory' | 'environment'> & {
    readonly connections?: Readonly<Record<string, string>>
    readonly model: { readonly name: string }
  }
  /** the engines of all hosts, the first first */
  readonly engines: readonly Docker[]
}

/** @throws config (3) if the connection string is not known */
export function rawOf({ project, engines }: WithDatabases, name: string, config: DatabaseConfig): RawDatabase {
  const url = project.connections?.[name]
  if (url === undefined) throw notSet(name, config, project)
  return { name, config, directory: project.directory, url, project: project.model.name, engines }
}

/**
 * Checks what needs no database, before a release is made: connection strings, and folders of files.
 * @throws config (3)
 */
export function checkFiles(known: WithDatabases): void {
  for (const [name, config] of Object.entries(known.project.environment.databases ?? {})) {
    if (config.migrations.engine !== 'raw' || config.migrations.strategy === 'manual') continue
    const raw = rawOf(known, name, config)
    parseUrl(raw.url, name)
    readFiles(raw)
  }
}

const LOCK_TIMEOUT = 10_000

/** @returns the files of a database, and what it has applied. Changes nothing. */
export async function readRaw(raw: RawDatabase): Promise<{ files: SqlFile[]; history: History }> {
  const files = readFiles(raw)
  return { files, history: await withDatabase(raw, readHistory, { readOnly: true }) }
}

/** @returns the names of the files that are pending, in order. @throws config (3) if files differ from what was applied */
export async function pendingOf(raw: RawDatabase, to?: string): Promise<string[]> {
  const { files, history } = await readRaw(raw)
  const { dialect } = parseUrl(raw.url, raw.name)
  const rows = new Map(history.applied.map((row) => [row.name, row]))
  const pending = compareWithHistory(files, history, { to })
  for (const file of pending) prepareFile(file, rows.get(file.name), { dialect }) // what cannot be split is refused here too
  return pending.map(({ name }) => name)
}

interface Applying {
  readonly to?: string | undefined
  /** recorded with each file */
  readonly release: string
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly onBegin: (file: string) => Promise<void>
  readonly onDone: (file: string, durationMs: number) => void
}

/** Applies what is pending, in order. @throws failed (5), locked (7) if another run is at work, config (3), unreachable (8) */
export async function applyRaw(raw: RawDatabase, applying: Applying): Promise<void> {
  const { name, config } = raw
  const { to, release, clock, signal, onBegin, onDone } = applying
  const { timeout } = config.migrations
  const files = readFiles(raw)
  const late = AbortSignal.timeout(timeout)
  const onFile: Parameters<typeof applyPending>[0]['onFile'] = (event) =>
    event.type === 'begin' ? onBegin(event.name) : onDone(event.name, event.durationMs)
  try {
    await withDatabase(raw, (db) =>
      applyPending({ db, files, to, release, clock, onFile, signal: AbortSignal.any([signal, late]) }),
    )
  } catch (error) {
    if (!(error instanceof StagecraftError) || !late.aborted || signal.aborted) throw error
    throw new StagecraftError('failed', `Cannot migrate ${name}: it did not end within ${formatDuration(timeout)}`, {
      ...{ detail: error.detail, cause: error },
      hint: [`A longer limit: databases.${name}.migrations.timeout.`, error.hint].filter(Boolean).join('\n'),
    })
  }
}

function readFiles({ config: { migrations }, directory }: RawDatabase): SqlFile[] {
  return migrations.engine === 'raw' ? readSqlFolder(resolve(directory, migrations.path)) : []
}

async function withDatabase<T>(
  raw: RawDatabase,
  work: (db: Database) => Promise<T>,
  how: { readonly readOnly?: boolean } = {},
): Promise<T> {
  const { name, config, url, directory } = raw
  const { via, lock_timeout: lockTimeoutMs = LOCK_TIMEOUT, statement_timeout: statementTimeoutMs = 0 } = config
  const options = { url, database: name, directory, lockTimeoutMs, statementTimeoutMs, ...how }
  const use = async (at: { readonly socket: string } | undefined) => {
    const db = await openDatabase({ ...options, at })
    try {
      return await work(db)
    } finally {
      await db.close()
    }
  }
  return via === undefined ? use(undefined) : throughContainer(raw, via, use)
}

/** Reaches the database from within a container's networks, with a socket that only this user can use. */
async function throughContainer<T>(
  { name, url, project, engines }: RawDatabase,
  via: string,
  use: (at: { readonly socket: string }) => Promise<T>,
): Promise<T> {
  const address = parseUrl(url, name)
  if (address.dialect === 'sqlite')
    throw new StagecraftError(
      'config',
      `Cannot reach ${name} via ${via}: a SQLite file is not reached over a network`,
      {
        hint: 'Leave out `via`, or run its migrations in the container that has the file: engine `command`.',
      },
    )
  const found = await findContainer(engines, project, via, name)
  if (found === undefined)
    throw new StagecraftError('failed', `Cannot reach ${name}: ${via} has no running container`, {
      hint: `Start it (${engines.some(({ onNode }) => onNode) ? `docker service scale ${project}_${via}=1` : `docker compose start ${via}`}), or deploy without pre_deploy migrations of ${name} first.`,
    })
  const folder = makeTempFolder('sql')
  const said: string[] = []
  const close = await openBridge(`${folder}/socket`, async (socket) => {
    said.push(await relay(found.docker, found.id, address, socket))
  })
  try {
    return await use({ socket: `${folder}/socket` })
  } catch (error) {
    const detail = said.filter(Boolean).at(-1)?.replace(partsOf(address), '…')
    throw error instanceof StagecraftError && error.kind === 'unreachable' && detail !== undefined
      ? error.with({ detail: `in the container of ${via}: ${found.docker.mask(detail)}` })
      : error
  } finally {
    close()
    removeTree(folder)
  }
}

/** Host and port, as bash and nc name them: no part of a connection string is shown. */
function partsOf({ host, port }: { readonly host: string; readonly port: number }): RegExp {
  return new RegExp(`(?<![\\w.-])(${RegExp.escape(host)}|${port})(?![\\w.-])`, 'g')
}

async function findContainer(engines: readonly Docker[], project: string, service: string, database: string) {
  for (const docker of engines) {
    if (docker.onNode) {
      const [task] = await listRunningTasks(docker, project, service)
      if (task === undefined) continue
      return { docker: await docker.onNode(task.node, `reach ${database} via ${task.name}`), id: task.container }
    }
    const all = await listContainers(docker, project)
    const own = all.find((container) => container.service === service && container.state === 'running')
    if (own !== undefined) return { docker, id: own.id }
  }
  return undefined
}
