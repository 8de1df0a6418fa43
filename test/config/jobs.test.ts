import { expect, test } from 'bun:test'
import { parseConfig } from '../../lib/config/parse.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { errorOf } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const errorIn = (text: string) => errorOf(() => parseConfig(text))
const problems = (text: string) =>
  (errorIn(text).detail ?? '').split('\n').map((line) => line.replace('stagecraft.yml:', ''))

function printed(error: unknown): string {
  if (!(error instanceof StagecraftError)) throw error
  return [error.message, ...(error.detail ? [error.detail] : []), `  hint: ${error.hint}`].join('\n')
}

test('a schedule that cron and systemd would not read alike is refused, where it is written', () => {
  const text = [
    'environments:',
    '  prod:',
    '    services:',
    '      backup: {job: {schedule: "0 3 * *"}}',
    '      report: {job: {schedule: "61 * * * *"}}',
    '      thirds: {job: {schedule: "0 0 */2 * 1"}}',
    '      web: {job: {schedule: "@daily"}, expose: {host: a.example.com, port: 80}}',
  ]
  expectGolden('core/jobs.md', 'refused', printed(errorIn(text.join('\n'))))
  const job = (source: string) => `environments: {a: {services: {web: {job: ${source}}}}}`
  expect(parseConfig(job('{schedule: "@daily", timeout: 2h}')).environments['a']?.services).toEqual({
    web: { job: { schedule: '@daily', timeout: 7_200_000 }, rollout: {} },
  })
  expect(problems(job('{timeout: 2h}'))).toEqual(['1:42: has a `timeout`, which is for a job with a `schedule`'])
  expect(problems(job('{schedule: "@daily", rollback: run}'))).toEqual([
    '1:42: has a `schedule`, so no rollback runs it: leave out `rollback`',
  ])
  expect(problems(job('{schedule: 5}'))).toEqual([
    '1:53: must be a schedule in quotes, such as "0 3 * * *" or "@daily", not 5',
  ])
  const database = '{migrations: {engine: job, service: web}}'
  expect(
    problems(`environments: {a: {databases: {main: ${database}}, services: {web: {job: {schedule: "@daily"}}}}}`),
  ).toEqual([expect.stringContaining('must be left out: the job migrates the database main, and a release runs it')])
})
