import { expect, test } from 'bun:test'
import { upText } from '../../../lib/cli/commands/dev.ts'
import type { Route } from '../../../lib/plan/routes/table.ts'
import { composeModel } from '../../fakes/compose-model.ts'
import { expectGolden } from '../../support/golden.ts'

const published = (port: string, target: number) => ({ ports: [{ target, published: port }] })
const develop = { watch: [{ action: 'sync', path: '/src', target: '/app' }] }
const ports = { a: 80, b: 80 }
const route: Route = { service: 'web', hosts: ['shop.localhost'], path: '/', tls: 'internal', ports }

test('what is up is said with its addresses, what is watched, and how to trust the certificates', () => {
  const services = { web: { ...published('8080', 80), develop }, db: published('5432', 5432), worker: {} }
  const { value, lines } = upText('prod', composeModel('shop-prod--dev', { services }), [route])
  expectGolden('commands/dev.md', 'up', `${lines.join('\n')}\n`)
  expect(value).toEqual({
    ...{ environment: 'prod', project: 'shop-prod--dev', watched: ['web'] },
    services: [
      { service: 'db', addresses: ['localhost:5432'] },
      { service: 'web', addresses: ['https://shop.localhost', 'localhost:8080'] },
      { service: 'worker', addresses: [] },
    ],
  })
})

test('without develop.watch that is said', () => {
  const { lines } = upText('local', composeModel('shop--dev', { services: { web: published('8080', 80) } }), [])
  expectGolden('commands/dev.md', 'unwatched', `${lines.join('\n')}\n`)
})
