import { StagecraftError } from '../../util/errors.ts'
import { namesHint } from '../../util/nearest.ts'
import { byBytes, type SqlFile } from './files.ts'

/** One row of the history: a file that was applied, or one that was begun and goes statement by statement. */
export interface AppliedFile {
  readonly name: string
  readonly sha256: string
  readonly release: string
  /** UTC, ISO 8601, by the clock of the database; undefined while it is unfinished */
  readonly appliedAt: string | undefined
  /** milliseconds, over all runs that worked on it */
  readonly durationMs: number
  /** how far an unfinished file has got; undefined once it is applied */
  readonly unfinished: Progress | undefined
}

/** What a database has recorded. */
export interface History {
  /** the name of the database in stagecraft.yml */
  readonly database: string
  readonly applied: readonly AppliedFile[]
  /** of other databases of stagecraft.yml that are the same one of the server, or of this one under another name */
  readonly elsewhere: readonly (AppliedFile & { readonly database: string })[]
}

/** How far a file has got that is not one transaction. */
export interface Progress {
  /** how many of its statements have been finished */
  readonly done: number
  /** SHA-256 of those statements */
  readonly doneSha256: string
  /** the number of the statement that was begun and may have been applied, from 1; equal to `done` if there is none */
  readonly begun: number
}

/**
 * @param options.to the last file to apply, with or without `.sql`
 * @returns the files to apply, in order; first the one that is unfinished
 * @throws config (3), naming all of them and what to do: a file that was applied and has changed or is missing, one that
 * sorts before the last applied one, or files that were applied under another name of the database. not-found (4): there is no file `to`
 */
export function compareWithHistory(
  files: readonly SqlFile[],
  { database, applied, elsewhere }: History,
  options: { readonly to?: string | undefined } = {},
): SqlFile[] {
  const rows = new Map(applied.map((row) => [row.name, row]))
  const there = new Set(files.map(({ name }) => name))
  const last = applied
    .map(({ name }) => name)
    .sort(byBytes)
    .at(-1)
  const pending = files.filter(({ name }) => rows.get(name)?.appliedAt === undefined)
  const isLate = ({ name }: SqlFile) => !rows.has(name) && last !== undefined && byBytes(name, last) < 0
  const isChanged = ({ name, sha256 }: SqlFile) =>
    rows.get(name)?.appliedAt !== undefined && rows.get(name)?.sha256 !== sha256
  const problems = [
    ...applied.filter(({ name }) => !there.has(name)).map(missing),
    ...files.filter(isChanged).map(({ name }) => changed(name, rows.get(name))),
    ...files.filter(isLate).map(({ name }) => late(name, last ?? '')),
    ...(applied.length === 0 ? renamed(files, elsewhere, database) : []),
  ]
  if (problems.length > 0) throw refuse(problems)
  return until(pending, files, options.to)
}

interface Difference {
  readonly what: string
  readonly remedy: string
}

const missing = ({ name, appliedAt, release }: AppliedFile): Difference => ({
  what: `${name} was ${appliedAt ? 'applied' : 'begun'} with ${release}, and is missing`,
  remedy: `Restore a missing file as it was.`,
})

const changed = (name: string, row: AppliedFile | undefined): Difference => ({
  what: `${name} has changed since it was applied with ${row?.release}`,
  remedy: 'Restore a changed file as it was when it was applied, and put the change into a new file.',
})

const late = (name: string, last: string): Difference => ({
  what: `${name} is new, and sorts before ${last}, which is applied`,
  remedy: 'Rename a new file so that it sorts after all that are applied.',
})

/** With another name in stagecraft.yml all files would be applied again. */
function renamed(files: readonly SqlFile[], elsewhere: History['elsewhere'], own: string): Difference[] {
  const same = elsewhere.find((row) => files.some(({ name, sha256 }) => name === row.name && sha256 === row.sha256))
  if (same === undefined) return []
  return [
    {
      what: `${same.name} was applied with ${same.release} by the database ${same.database} of stagecraft.yml`,
      remedy: `If it has another name now: UPDATE stagecraft_migrations SET database_name = '${own}' WHERE database_name = '${same.database}'`,
    },
  ]
}

function refuse(differences: readonly Difference[]): StagecraftError {
  const [first, ...more] = differences
  const remedies = [...new Set(differences.map(({ remedy }) => remedy)), 'Nothing has been applied.']
  const hint = remedies.join('\n')
  if (more.length === 0) return new StagecraftError('config', `Cannot migrate: ${first?.what}`, { hint })
  const detail = differences.map(({ what }) => what).join('\n')
  const message = `Cannot migrate: ${differences.length} files differ from what the database has applied`
  return new StagecraftError('config', message, { hint, detail })
}

function until(pending: readonly SqlFile[], files: readonly SqlFile[], to: string | undefined): SqlFile[] {
  if (to === undefined) return [...pending]
  const target = files.find(({ name }) => name === to || name === `${to}.sql`)
  if (target) return pending.filter(({ name }) => byBytes(name, target.name) <= 0)
  throw new StagecraftError('not-found', `Cannot migrate to "${to}": there is no such file`, {
    hint: namesHint(
      'Files',
      to,
      files.map(({ name }) => name),
    ),
  })
}
