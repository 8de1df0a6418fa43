import type { DatabaseConfig } from '../config/databases.ts'
import { rawOf, readRaw, type WithDatabases } from '../migrations/raw.ts'
import { compareWithHistory } from '../migrations/sql/history.ts'
import type * as contract from '../output/contract/status.ts'
import { releaseId } from '../plan/release-id.ts'
import { readBundle } from '../record/bundle.ts'
import type { Release } from '../record/releases-file/format.ts'
import { StagecraftError } from '../util/errors.ts'
import { formatTime, plainLine, table } from '../util/format.ts'
import type { Of } from '../util/schema.ts'

/** What a database has, and what is pending. */
export type DatabaseStatus = Of<typeof contract.database>

/** @param releases of the environment, newest first @returns the databases in the order of their names. Changes nothing. */
export async function databaseStatuses(
  known: WithDatabases,
  { stateFile, releases }: { readonly stateFile: string; readonly releases: readonly Release[] },
): Promise<DatabaseStatus[]> {
  const all = Object.entries(known.project.environment.databases ?? {})
  const last = all.length === 0 ? new Map<string, Last>() : lastMigrations(stateFile, releases)
  const statuses = all.map(async ([database, config]): Promise<DatabaseStatus> => {
    const { engine, strategy } = config.migrations
    const done = last.get(database)
    const base = { database, engine, strategy, ...(done ? { last: done } : {}) }
    return engine === 'raw' ? { ...base, ...(await askDatabase(known, database, config)) } : base
  })
  return Promise.all(statuses)
}

/** @returns whether a database cannot be migrated as it is, or not be asked */
export function isWrong({ problem, unfinished }: DatabaseStatus): boolean {
  return problem !== undefined || unfinished !== undefined
}

type Last = NonNullable<DatabaseStatus['last']>
type Asked = Pick<DatabaseStatus, 'applied' | 'pending' | 'unfinished' | 'problem'>

/** What the database says, or why it cannot be asked. */
async function askDatabase(known: WithDatabases, database: string, config: DatabaseConfig): Promise<Asked> {
  let seen: Asked = {}
  try {
    const { files, history } = await readRaw(rawOf(known, database, config))
    const { applied } = history
    const unfinished = applied.find(({ appliedAt }) => appliedAt === undefined)?.name
    const whole = applied.filter(({ appliedAt }) => appliedAt !== undefined).length
    seen = { applied: whole, ...(unfinished === undefined ? {} : { unfinished }) }
    return { ...seen, pending: compareWithHistory(files, history).map(({ name }) => name) }
  } catch (error) {
    if (!(error instanceof StagecraftError)) throw error
    const { message, detail } = error
    return { ...seen, problem: detail === undefined ? message : `${message}: ${detail.split('\n').join('; ')}` }
  }
}

/** @returns the newest record of each database: `migrate run` adds to the live release, which need not be the newest */
function lastMigrations(stateFile: string, releases: readonly Release[]): Map<string, Last> {
  const found = new Map<string, Last>()
  for (const { id } of releases)
    for (const { database, name, at } of readBundle(stateFile, id)?.migrations ?? [])
      if (at > (found.get(database)?.at ?? '')) found.set(database, { name, release: releaseId(id), at })
  return found
}

/** @returns a table, and a line for each problem */
export function databaseLines(statuses: readonly DatabaseStatus[]): string[] {
  if (statuses.length === 0) return []
  const rows = statuses.map(({ database, engine, strategy, applied, pending, last }) => [
    ...[database, engine, strategy, String(applied ?? '-'), String(pending?.length ?? '-')],
    last === undefined ? '-' : `${plainLine(last.name)}, ${formatTime(last.at).slice(0, 16)} (${last.release})`,
  ])
  const problems = statuses.flatMap(({ database, unfinished, problem }) => [
    ...(unfinished === undefined ? [] : [`${database}: ${unfinished} was begun and is not finished`]),
    ...(problem === undefined ? [] : [`${database}: ${problem}`]),
  ])
  return [
    ...table([['DATABASE', 'ENGINE', 'STRATEGY', 'APPLIED', 'PENDING', 'LAST'], ...rows], ALIGN),
    ...(problems.length === 0 ? [] : ['', ...problems.map(plainLine)]),
  ]
}

const ALIGN = ['left', 'left', 'left', 'right', 'right', 'left'] as const
