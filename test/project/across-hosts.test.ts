import { expect, test } from 'bun:test'
import type { Resource, Service } from '../../lib/compose/model.ts'
import { eventLines } from '../../lib/output/lines.ts'
import { warningsAcrossHosts } from '../../lib/project/checks/across-hosts.ts'
import type { Placed } from '../../lib/project/placement.ts'
import type { Project } from '../../lib/project/settings.ts'
import { createSecrets } from '../../lib/secrets/mask.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { expectGolden } from '../support/golden.ts'

type Setting = { host?: string[]; tls?: 'off' | 'internal' }

/** @param placement the services of each host */
function warned(
  services: Record<string, Service>,
  placement: Record<string, string[]>,
  { expose, networks = {} }: { expose?: Record<string, Setting>; networks?: Record<string, Resource> } = {},
) {
  const model = composeModel('shop', { services, networks })
  const exposed = Object.entries(expose ?? {}).map(([name, one]) => [name, { expose: { port: 80, ...one } }])
  const project = { model, environment: { services: Object.fromEntries(exposed) } } as unknown as Project
  const placed = Object.entries(placement).map(([name, has]) => {
    const own = Object.fromEntries(has.map((service) => [service, services[service]]))
    return { project: { host: { name }, model: composeModel('shop', { services: own as never }) } } as unknown as Placed
  })
  return warningsAcrossHosts({ project, placed })
}

const apart = { 'web-1': ['web'], 'web-2': ['web'], 'db-1': ['db'] }
const withVariable = (name: string, value: string) => ({ web: { environment: { [name]: value } }, db: {} })

test('a name of a service on another host, and a certificate that several hosts want, are warned of', () => {
  const services = withVariable('DATABASE_URL', 'postgres://shop:pw@db/shop')
  const warnings = warned(services, apart, { expose: { web: { host: ['shop.example.com'] } } })
  const lines = warnings.flatMap((one) =>
    eventLines({ type: 'warning', ...one }, { mask: createSecrets().mask, nameWidth: 0 }),
  )
  expectGolden('core/hosts.md', 'across-hosts', `${lines.join('\n')}\n`)
})

test.each([
  ['DATABASE_URL', 'postgres://db/shop'],
  ['DATABASE_URL', 'postgres://u@db:5432/shop?x=1'],
  ['CACHES', 'redis://cache:6379,redis://db:6379'],
  ['ANYTHING', 'db:5432'],
  ['PGHOST', 'db'],
  ['REDIS_URI', 'redis://db?x'],
  ['KAFKA_BROKERS', 'a,db'],
])('%s=%s has the name of db', (name, value) => {
  expect(warned(withVariable(name, value), apart).map(({ message }) => message)).toEqual([
    `web on web-1 and web-2 cannot reach db by its name (${name}): db runs on db-1`,
  ])
})

test.each([
  ['ROLE', 'db'],
  ['DATABASE_URL', 'postgres://db.example.com/shop'],
  ['DATABASE_URL', 'postgres://my-db:5432/db'],
  ['DATABASE_URL', 'postgres://db:secret@10.0.0.3/shop'],
  ['DATABASE_URL', 'postgres://db:5ecret@10.0.0.3/shop'],
  ['PGHOST', '10.0.0.3'],
  ['DB_URL', 'http://mydb/'],
  ['IMAGE', 'registry/db:1.2'],
])('%s=%s has not', (name, value) => {
  expect(warned(withVariable(name, value), apart)).toEqual([])
})

test('a command counts too', () => {
  expect(warned({ web: { command: ['wait-for', 'db:5432'] }, db: {} }, apart)[0]?.message).toContain('(command)')
})

test('not where the service runs too, where the name is answered otherwise, nor on one host', () => {
  const environment = { PGHOST: 'db' }
  expect(warned({ web: { environment }, db: {} }, { a: ['web', 'db'], b: ['db'] })).toEqual([])
  expect(warned({ web: { environment }, db: {} }, { a: ['web', 'db'] })).toEqual([])
  expect(warned({ web: { environment, extra_hosts: ['db=10.0.0.3'] }, db: {} }, apart)).toEqual([])
  const on = { networks: { wide: null } }
  const both = { web: { environment, ...on }, db: on }
  expect(warned(both, apart, { networks: { wide: { driver: 'overlay' } } })).toEqual([])
  expect(warned(both, apart, { networks: { wide: { external: true } } })).toEqual([])
  expect(warned(both, apart, { networks: { wide: {} } })).toHaveLength(1)
  const pool = { networks: { wide: { aliases: ['db'] } } }
  expect(warned({ ...both, pool }, { a: ['web', 'pool'], b: ['db'] }, { networks: { wide: {} } })).toEqual([])
})

test('a certificate is no matter with tls off or internal, on one host, or without a host name', () => {
  const at = (one: Setting, placement: Record<string, string[]> = { a: ['web'], b: ['web'] }) =>
    warned({ web: {} }, placement, { expose: { web: one } })
  expect(at({ host: ['x.example.com'] })).toHaveLength(1)
  expect(at({ host: ['x.example.com'], tls: 'off' })).toEqual([])
  expect(at({ host: ['x.example.com'], tls: 'internal' })).toEqual([])
  expect(at({})).toEqual([])
  expect(at({ host: ['x.example.com'] }, { a: ['web'], b: [] })).toEqual([])
})
