import { describe, expect, test } from 'bun:test'
import type { Topology } from '../../lib/compose/topology.ts'
import type { DatabaseConfig } from '../../lib/config/databases.ts'
import { parseConfig } from '../../lib/config/parse.ts'
import type { HostRequest } from '../../lib/phases/host-run.ts'
import { planMigrations, willMigrate } from '../../lib/phases/migrate/describe.ts'
import { migrationLines } from '../../lib/plan/format.ts'
import { neededBy } from '../../lib/plan/stages.ts'
import { type DatabaseStatus, databaseLines } from '../../lib/status/databases.ts'
import { expectGolden } from '../support/golden.ts'

const databasesOf = (text: string) =>
  parseConfig(`environments: {p: {databases: {${text}}}}`).environments['p']?.databases ?? {}
const COMMAND = 'main: {migrations: {engine: command, service: web, command: bin/rails db:migrate}}'
const RAW = 'shop: {connection_env: URL, migrations: {engine: raw, path: sql}}'

/** `describe` uses no other part of a request. */
function request(text: string, pending?: HostRequest['pending']): HostRequest {
  const databases = databasesOf(text)
  const environment = Object.keys(databases).length === 0 ? {} : { databases }
  const part = { project: { environment }, migrates: Object.keys(databases), ...(pending ? { pending } : {}) }
  return part as unknown as HostRequest
}

describe('what a phase will do', () => {
  const said = (text: string, pending?: HostRequest['pending']) =>
    planMigrations(request(text, pending)).map(({ database, work }) => `${database}: ${work}`)

  test('names each database and what runs for it, in the order of their names', () => {
    expect(
      said(
        'b: {migrations: {engine: job, service: migrate}}, a: {migrations: {engine: command, service: web, command: [x, "y z"]}}',
      ),
    ).toEqual(['a: run x y z in a container of web', 'b: run migrate'])
  })

  test('lists pending files, if they are known', () => {
    expect(said(RAW)).toEqual(['shop: apply what is pending of sql'])
    expect(said(RAW, { shop: [] })).toEqual(['shop: nothing is pending'])
    expect(said(RAW, { shop: ['1.sql', '2.sql'] })).toEqual(['shop: apply 1.sql, 2.sql'])
    expect(said(RAW, { shop: ['1', '2', '3', '4', '5', '6', '7'] })).toEqual(['shop: apply 1, 2, 3, 4, 5 and 2 more'])
    expect(said(RAW, { shop: 'it is down' })).toEqual([
      'shop: apply what is pending of sql (not known yet: it is down)',
    ])
  })

  test('says why there is nothing to do', () => {
    const before = (text: string) => willMigrate('pre_deploy')(request(text))
    expect(before('')).toBe('nothing: no databases are configured')
    expect(before(RAW)).toBe('as follows')
    expect(before('a: {migrations: {engine: job, service: m, strategy: post_deploy}}')).toBe(
      'nothing: no database is migrated before the rollout',
    )
    expect(willMigrate('post_deploy')(request(RAW))).toBe('nothing: no database is migrated after the rollout')
  })

  test('`migrate plan` prints it', () => {
    const pending = { shop: ['0003_add_price.sql', '0004_fill_price.sql'] }
    const plans = planMigrations(request(`${COMMAND}, ${RAW}`, pending))
    expectGolden('commands/migrate.md', 'plan', `${migrationLines(plans).join('\n')}\n`)
  })
})

describe('what a migration needs', () => {
  const need = (service: string) => ({ service, condition: 'service_healthy', follows: false, why: '' }) as const
  const needs: Topology['needs'] = {
    web: [need('db'), need('cache')],
    migrate: [need('db')],
    db: [need('keys')],
    cache: [],
    keys: [],
  }
  const config = (text: string): DatabaseConfig => Object.values(databasesOf(text))[0] as DatabaseConfig

  test('is what its service depends on, and what connects it to the database; not the service itself', () => {
    expect(neededBy(config(COMMAND), { needs })).toEqual(['cache', 'db', 'keys'])
    expect(neededBy(config('a: {migrations: {engine: job, service: migrate}}'), { needs })).toEqual(['db', 'keys'])
    expect(neededBy(config('a: {connection_env: U, via: db, migrations: {engine: raw, path: s}}'), { needs })).toEqual([
      'db',
      'keys',
    ])
    expect(neededBy(config(RAW), { needs })).toEqual([])
  })
})

test('`migrate status` is a table, with a line for each problem', () => {
  const last = { release: 'rel-20261122-080225643', at: '2026-11-22T08:02:25.643Z' }
  const main = { database: 'main', engine: 'command', strategy: 'pre_deploy' } as const
  const shop = { database: 'shop', engine: 'raw', strategy: 'pre_deploy', applied: 2 } as const
  const well: DatabaseStatus[] = [
    { ...main, last: { name: 'bin/rails db:migrate', ...last } },
    { ...shop, pending: ['0003_add_price.sql', '0004_fill_price.sql'], last: { name: '0002_users.sql', ...last } },
  ]
  expectGolden('commands/migrate.md', 'status', `${databaseLines(well).join('\n')}\n`)
  const ill = databaseLines([{ ...shop, unfinished: '0003.sql', problem: 'Cannot migrate: it has changed' }])
  expect(ill.slice(-2)).toEqual([
    'shop: 0003.sql was begun and is not finished',
    'shop: Cannot migrate: it has changed',
  ])
  expect(databaseLines([])).toEqual([])
})
