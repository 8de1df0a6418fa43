import { describe, expect, test } from 'bun:test'
import { parseUrl } from '../../lib/migrations/sql/server/url.ts'
import { errorOf, formatError } from '../support/failure.ts'

const parse = (url: string) => parseUrl(url, 'main')
const login = (url: string) => {
  const address = parse(url)
  if (address.dialect === 'sqlite') throw new Error('SQLite has no login')
  const { user, password, host, port, database } = address
  return [user, password, `${host}:${port}/${database}`]
}

describe('a server', () => {
  test.each([
    ['postgres://u:p@h/d', ['u', 'p', 'h:5432/d']],
    ['postgresql://u@h:1/d?sslmode=require', ['u', '', 'h:1/d']],
    ['mysql://u:p@[::1]/d', ['u', 'p', '::1:3306/d']],
    ['mariadb://u:a%40b%2Fc%25@h/d', ['u', 'a@b/c%', 'h:3306/d']],
    ['mysql://u:100%sure@h/d', ['u', '100%sure', 'h:3306/d']],
    [`postgres://u:@/?#:[]%'"\\ é@h:5/d`, ['u', `@/?#:[]%'"\\ é`, 'h:5/d']],
    ['postgres://u:p@/d?host=/run/postgresql', ['u', 'p', '/run/postgresql:5432/d']],
  ])('%s', (url, expected) => {
    expect(login(url)).toEqual(expected)
  })

  test.each([
    ['', 'prefer'],
    ['?sslmode=verify-full', 'verify-full'],
    ['?ssl-mode=VERIFY_IDENTITY', 'verify-full'],
    ['?ssl=true', 'require'],
  ])('%s: TLS %s', (query, tls) => {
    expect(parse(`mysql://u:p@h/d${query}`)).toMatchObject({ tls })
  })

  test('settings of PostgreSQL', () => {
    const { settings } = Object(parse('postgres://u@h/d?schema=shop&options=-c%20work_mem%3D1MB')) as {
      settings: unknown
    }
    expect(settings).toEqual({ search_path: 'shop', work_mem: '1MB' })
  })
})

test.each([
  ['sqlite:db.sqlite', 'db.sqlite'],
  ['sqlite://data/db', 'data/db'],
  ['sqlite:///data/db', '/data/db'],
  ['file:/data/a%20b?mode=rwc', '/data/a b'],
])('%s', (url, file) => {
  expect(parse(url)).toEqual({ dialect: 'sqlite', file })
})

test.each([
  ['oracle://ana:s3cret@db.internal/app', 'it begins with none of the known schemes'],
  ['ana:s3cret@db.internal/app', 'it begins with none of the known schemes'],
  ['postgres://ana:s3cret@db.internal:x/app', 'what follows the password is not HOST:PORT/DATABASE'],
  ['postgres://ana:s3cret@db.internal', 'it names no database'],
  ['postgres://db.internal/app', 'it names no user'],
  ['postgres://ana:s3cret@/app', 'it names no host'],
  [
    'postgres://ana:s3cret@db.internal/app?sslmode=sure',
    'its sslmode is none of disable, allow, prefer, require, verify-ca, verify-full',
  ],
  ['sqlite::memory:', 'it names no file'],
])('%s is refused, and not shown', (url, reason) => {
  const text = formatError(errorOf(() => parse(url))).join('\n')
  expect(text).toStartWith(`Cannot use the connection string of main: ${reason}\n`)
  expect(text).not.toMatch(/ana|s3cret|internal|oracle/)
})
