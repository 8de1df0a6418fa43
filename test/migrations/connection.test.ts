import { expect, test } from 'bun:test'
import { secretsOf } from '../../lib/migrations/connection.ts'

test.each([
  ['postgres://u:correct-horse@h/d', ['correct-horse', 'correct-horse']],
  ['mysql://user@tenant:correct-horse@h/d', ['correct-horse', 'correct-horse']],
  [' postgres://u:a%40b@h/d', ['a%40b', 'a@b']],
  ['postgres://u:@/?#:@h:no-port', ['@/?#:', '@/?#:']],
  ['postgres://u@h/d', []],
  ['sqlite:app.db', []],
])('secrets of %s: the whole, and the password', (url, passwords) => {
  expect(secretsOf({ main: url })).toEqual([url, ...passwords])
})
