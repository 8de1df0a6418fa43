import { expect, test } from 'bun:test'
import { parseConfig } from '../../lib/config/parse.ts'
import { checkFiles, type WithDatabases } from '../../lib/migrations/raw.ts'
import { sqlFolder } from '../scenes/sql.ts'
import { errorOf, formatError } from '../support/failure.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

const check = (connections: WithDatabases['project']['connections'], more = '') => {
  const config = parseConfig(`environments: {p: {databases: {
    shop: {connection_env: SHOP_URL, migrations: {engine: raw, path: .${more}}},
  }}}`)
  const [environment] = Object.values(config.environments)
  const { path: directory } = temporary(sqlFolder({ '1.sql': 'SELECT 1', '2.sql': Uint8Array.of(0xff) }))
  if (environment === undefined) throw new Error('there is one')
  const named = { name: 'p', ...environment } as WithDatabases['project']['environment']
  const project = { directory, environment: named, model: { name: 'shop' }, ...(connections ? { connections } : {}) }
  return formatError(errorOf(() => checkFiles({ project, engines: [] })))
    .join('\n')
    .replace(directory, '<project>')
}

test('what needs no database is checked before there is a release; what is migrated by hand is not', () => {
  expect(check({})).toMatchInlineSnapshot(`
    "Cannot find the connection string of shop: SHOP_URL is not set
      hint: Set it in .env, or in the environment of this command: postgres://user:password@db:5432/app"
  `)
  expect(check({ shop: 'oracle://ana:s3cret@db/shop' })).toMatchInlineSnapshot(`
    "Cannot use the connection string of shop: it begins with none of the known schemes
      hint: Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, mysql://… or sqlite:PATH."
  `)
  expect(check({ shop: 'sqlite:app.db' })).toMatchInlineSnapshot(`
    "Cannot use <project>/2.sql:1: it is not UTF-8
      hint: Save the file as UTF-8."
  `)
  expect(() => check({}, ', strategy: manual')).toThrow('it did not fail')
})
