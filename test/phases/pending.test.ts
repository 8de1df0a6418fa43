import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { parseConfig } from '../../lib/config/parse.ts'
import { readPending } from '../../lib/phases/migrate/pending.ts'
import type { Project } from '../../lib/project/settings.ts'
import { apply, sqlFolder } from '../scenes/sql.ts'
import { failureOf } from '../support/failure.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const FILES = { '1.sql': 'CREATE TABLE a (n int)', '2.sql': 'CREATE TABLE b (n int)' }

/** An SQLite database that has applied `1.sql` with this text. */
async function scene(first = FILES['1.sql'], migrations = '') {
  const { path: directory } = temporary(sqlFolder(FILES))
  const url = `sqlite:${join(directory, 'app.db')}`
  await apply(url, { '1.sql': first })
  const { environments } = parseConfig(`environments: {p: {databases: {
    main: {connection_env: APP_URL, lock_timeout: 100ms, migrations: {engine: raw, path: .${migrations}}},
  }}}`)
  const environment = { name: 'p', ...environments['p'] }
  // pending() uses no other part of a project.
  const project = { directory, environment, connections: { main: url }, model: { name: 'shop' } } as unknown as Project
  const databases = Object.entries(environment.databases ?? {})
  return { file: join(directory, 'app.db'), ask: (how = {}) => readPending(project, [], databases, how) }
}

test('pending files are listed up to a given file', async () => {
  const { ask } = await scene()
  expect([await ask(), await ask({ to: '1' })]).toEqual([{ main: ['2.sql'] }, { main: [] }])
})

test('a database that cannot be asked now is not an error', async () => {
  const { ask, file } = await scene()
  const other = new Database(file)
  other.run('BEGIN EXCLUSIVE')
  expect(await ask()).toEqual({ main: 'another process has locked its file' })
  other.close()
})

test('changed files are an error, but not for a deploy that leaves the database to `migrate run`', async () => {
  const said = '1.sql has changed since it was applied with rel-1'
  const early = await scene('CREATE TABLE c (n int)')
  expect((await failureOf(early.ask({ ofDeploy: true }))).message).toBe(`Cannot migrate: ${said}`)
  const manual = await scene('CREATE TABLE c (n int)', ', strategy: manual')
  expect((await failureOf(manual.ask())).message).toBe(`Cannot migrate: ${said}`)
  expect(await manual.ask({ ofDeploy: true })).toEqual({ main: said })
})
