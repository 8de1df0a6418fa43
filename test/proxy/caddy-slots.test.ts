import { expect, test } from 'bun:test'
import type { ProjectRoutes, Route } from '../../lib/plan/routes/table.ts'
import { caddyConfig } from '../../lib/proxy/caddy/config.ts'
import type { CaddyConfig } from '../fakes/caddy.ts'

const route = (service: string, more: Partial<Route> = {}): Route => ({
  ...{ service, hosts: [`${service}.example.com`], path: '/', tls: 'off', ports: { a: 3000, b: 3000 } },
  ...more,
})
/** As JSON: what Caddy is given. */
const config = (projects: ProjectRoutes) => JSON.parse(JSON.stringify(caddyConfig(projects))) as CaddyConfig

test('caddyConfig() asks a slot by HTTP/2 that speaks it, and speaks it without TLS where that service is asked so', () => {
  const h2c = ['b'] as const
  const projects = (more: Partial<Route>) => ({ shop: [route('web', { h2c, ...more })], blog: [route('blog')] })
  const found = (more: Partial<Route>) => {
    const { servers } = config(projects(more)).apps.http
    const spoken = Object.entries(servers).map(([name, server]) => [name, Object(server).protocols])
    return Object.fromEntries(spoken)
  }
  const internal = { port: 4000, names: ['web'], networks: ['n'], subnets: ['10.1.0.0/24'] }
  const both = ['h1', 'h2', 'h2c']
  expect(found({})).toEqual({ 'port-80': both })
  expect(found({ tls: 'auto' })).toEqual({ 'port-80': undefined, 'port-443': undefined })
  expect(found({ tls: 'auto', rules: { http: 'serve' } })).toEqual({ 'port-80': both, 'port-443': undefined })
  expect(found({ tls: 'auto', hosts: [], internal })).toEqual({
    'port-80': undefined,
    'port-4000': both,
  })
  const text = JSON.stringify(config(projects({ rules: { timeout: 5000 } })))
  expect(text.match(/"transport":{[^}]*}/g)).toEqual([
    '"transport":{"protocol":"http","response_header_timeout":"5000ms"}',
    '"transport":{"protocol":"http","versions":["h2c","2"],"response_header_timeout":"5000ms"}',
    '"transport":{"protocol":"http","response_header_timeout":"5000ms"}',
  ])
})

const upstreams = (text: string) => [...new Set(text.match(/\d\.[ab]\.web[^"]*|(?<=")[ab]\.web[^"]*/g))]

test('caddyConfig() asks several replicas of HTTP/2 in turn: all calls share a connection', () => {
  const text = JSON.stringify(config({ shop: [route('web', { h2c: ['a'], replicas: { a: 2, b: 1 } })] }))
  expect(upstreams(text)).toEqual([
    '1.a.web.shop.stagecraft.internal:3000',
    '2.a.web.shop.stagecraft.internal:3000',
    'b.web.shop.stagecraft.internal:3000',
  ])
  expect(text.match(/"load_balancing":{[^}]*}/g)?.[0]).toBe(
    '"load_balancing":{"selection_policy":{"policy":"round_robin"}',
  )
})

test('caddyConfig() sends a visitor to the replica of its cookie, or after a moment to another; internal callers in turn', () => {
  const internal = { port: 4000, names: ['web'], networks: ['n'], subnets: ['10.1.0.0/24'] }
  const sticky = route('web', { replicas: { a: 2, b: 2 }, rules: { sticky: true }, internal })
  const text = JSON.stringify(config({ shop: [sticky] }))
  const cookies = text.match(/"policy":"cookie","name":"sticky_[0-9a-f]{16}"/g) ?? []
  expect([cookies.length, new Set(cookies).size]).toEqual([6, 1]) // a, b and a once more, each twice
  expect(text.match(/"try_duration":"300ms"/g)).toHaveLength(3)
  const { servers } = config({ shop: [sticky] }).apps.http
  expect(JSON.stringify(servers['port-4000'])).not.toContain('cookie')
  const other = JSON.stringify(config({ blog: [sticky] })).match(/sticky_[0-9a-f]{16}/)?.[0] ?? ''
  expect(text).not.toContain(other)
})

test('caddyConfig() has no cookie for a service with one replica', () => {
  expect(JSON.stringify(config({ shop: [route('web', { rules: { sticky: true } })] }))).not.toContain('cookie')
})
