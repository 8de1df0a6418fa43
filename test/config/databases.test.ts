import { expect, test } from 'bun:test'
import { parseConfig } from '../../lib/config/parse.ts'
import { StagecraftError } from '../../lib/util/errors.ts'

const databasesOf = (text: string) =>
  parseConfig(`environments: {p: {databases: ${text}}}`).environments['p']?.databases

function problems(text: string): string[] {
  try {
    databasesOf(text)
    return []
  } catch (error) {
    if (!(error instanceof StagecraftError)) throw error
    return (error.detail ?? '').split('\n').map((line) => line.replace('stagecraft.yml:1:', ''))
  }
}

test('databases are read in the order of their names, with what is not said', () => {
  const read = databasesOf(`{
    shop: {connection_env: DATABASE_URL, via: db, lock_timeout: 3s, statement_timeout: 1m, migrations: {engine: raw, path: sql}},
    cache: {migrations: {engine: job, service: migrate, strategy: post_deploy, timeout: 30s}},
    main: {migrations: {engine: command, service: web, command: bin/rails db:migrate}},
    words: {migrations: {engine: command, service: web, command: [sh, -c, "a && b"], strategy: manual}}}`)
  expect(Object.keys(read ?? {})).toEqual(['cache', 'main', 'shop', 'words'])
  const usual = { strategy: 'pre_deploy', timeout: 600_000 } as const
  expect(read).toEqual({
    cache: { migrations: { engine: 'job', service: 'migrate', strategy: 'post_deploy', timeout: 30_000 } },
    main: { migrations: { engine: 'command', service: 'web', command: 'bin/rails db:migrate', ...usual } },
    shop: {
      ...{ connection_env: 'DATABASE_URL', via: 'db', lock_timeout: 3_000, statement_timeout: 60_000 },
      migrations: { engine: 'raw', path: 'sql', ...usual },
    },
    words: {
      migrations: { ...usual, engine: 'command', service: 'web', command: ['sh', '-c', 'a && b'], strategy: 'manual' },
    },
  })
})

test('none, or an empty value, are no databases', () => {
  expect(databasesOf('')).toBeUndefined()
  expect(databasesOf('{}')).toBeUndefined()
})

const cases: Readonly<Record<string, string | string[]>> = {
  '{main: {}}': '38: must have `migrations`',
  '[]': '31: must be a mapping, not a list',
  '{Main: {migrations: {engine: job, service: x}}}':
    '32: must be a name for a database (lower-case letters, digits, - and _; at most 63), not "Main"',
  '{main: {migrations: {}}}': '51: must be a mapping with an engine: job, command or raw',
  '{main: {migrations: {engine: foo}}}': '60: must be a mapping with an engine: job, command or raw, not "foo"',
  '{main: {migrations: {engine: job}}}': '51: must have a `service`: the job of the Compose file',
  '{main: {migrations: {engine: job, service: x, command: y}}}':
    '77: unknown key "command" (known here: engine, service, strategy, timeout)',
  '{main: {migrations: {engine: command, service: x}}}': '51: must have a `service` and a `command`',
  '{main: {migrations: {engine: command, service: x, command: []}}}': '90: must not be empty',
  '{main: {migrations: {engine: raw, path: x}}}': '38: must have a `connection_env` with engine raw, and only then',
  '{main: {via: db, migrations: {engine: job, service: x}}}':
    '38: `via`, `lock_timeout` and `statement_timeout` need the engine raw',
  '{main: {connection_env: A B, migrations: {engine: raw, path: x}}}':
    '55: must be the name of a variable, such as DATABASE_URL, not "A B"',
  '{main: {conection_env: A, migrations: {engine: raw, path: x, timout: 1s}}}': [
    '39: unknown key "conection_env" (did you mean "connection_env"?)',
    '92: unknown key "timout" (did you mean "timeout"?)',
  ],
  '{main: {migrations: {engine: job, service: x, strategy: later}}}':
    '87: must be pre_deploy, post_deploy or manual, not "later"',
}

test('errors name the place, and what must be there', () => {
  for (const [text, problem] of Object.entries(cases)) expect(problems(text)).toEqual([problem].flat())
})
