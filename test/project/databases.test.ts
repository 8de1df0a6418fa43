import { expect, test } from 'bun:test'
import type { ComposeModel } from '../../lib/compose/model.ts'
import { parseConfig } from '../../lib/config/parse.ts'
import { checkDatabases, secretsOfCommands } from '../../lib/project/checks/databases.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { failureOf, formatError } from '../support/failure.ts'

const environmentOf = (text: string) => {
  const { p } = parseConfig(`environments: {p: {${text}}}`).environments
  if (p === undefined) throw new Error('no environment')
  return p
}
/** A Compose that refuses quotes that are not closed. */
const compose: Exec = async (argv, options) => {
  const isBad = options?.input?.includes("'") === true
  const stderr = isBad ? 'invalid command line string' : ''
  return { argv, code: isBad ? 1 : 0, stdout: '', stderr, timedOut: false }
}
const waiting = (condition: 'service_started' | 'service_completed_successfully') =>
  ({ name: 'shop', services: { migrate: {}, web: { depends_on: { migrate: { condition } } } } }) satisfies ComposeModel
const check = (text: string, model: ComposeModel) => checkDatabases(compose, environmentOf(text), model, '/app')
const refusal = async (text: string, model: ComposeModel) => formatError(await failureOf(check(text, model)))[0]

const JOB = 'databases: {main: {migrations: {engine: job, service: migrate}}}'

test('a job that others wait for until it has completed migrates', async () => {
  await check(JOB, waiting('service_completed_successfully'))
  await check(JOB, { name: 'shop', services: { migrate: {} } })
})

test('what serves, what is awaited otherwise, and what runs too late are no migrations', async () => {
  const done = waiting('service_completed_successfully')
  expect(await refusal(`${JOB}, services: {migrate: {expose: {host: a.b, port: 80}}}`, done)).toBe(
    'Cannot run migrate as the migrations of main: it is exposed, so it serves requests',
  )
  expect(await refusal(JOB, waiting('service_started'))).toBe(
    'Cannot run migrate as the migrations of main: web waits until it runs (service_started)',
  )
  expect(await refusal(JOB.replace('}}}', ', strategy: post_deploy}}}'), done)).toBe(
    'Cannot run migrate as the migrations of main: web waits until it has completed, but its strategy is post_deploy',
  )
  const twice =
    'databases: {a: {migrations: {engine: job, service: migrate}}, b: {migrations: {engine: job, service: migrate}}}'
  expect(await refusal(twice, done)).toBe('Cannot run migrate as the migrations of b: it migrates a already')
})

test('a command that Compose cannot split is refused before anything is done', async () => {
  const command = (text: string) => `databases: {main: {migrations: {engine: command, service: web, command: ${text}}}}`
  await check(command('bin/rails db:migrate'), waiting('service_started'))
  await check(command(`[sh, -c, "it's"]`), waiting('service_started'))
  expect(await refusal(command(`"it's"`), waiting('service_started'))).toBe(
    'Cannot use the command of database main: invalid command line string',
  )
})

test('the password of an address in a command is a secret, the name of a variable is not', () => {
  const of = (command: string) =>
    secretsOfCommands(environmentOf(`databases: {a: {migrations: {engine: command, service: w, command: ${command}}}}`))
  expect(of('migrate -database postgres://u:hunter2-hunter2@db/app up')).toEqual(['hunter2-hunter2'])
  expect(of('[migrate, "postgres://u:${DB_PASSWORD}@db/app"]')).toEqual([])
})
