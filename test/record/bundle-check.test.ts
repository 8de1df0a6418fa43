import { describe, expect, test } from 'bun:test'
import { bundleProblem } from '../../lib/record/bundle/check.ts'
import type { Bundle } from '../../lib/record/bundle.ts'

const ID = 'rel-20261122-080000000'
const HASH = '0123456789abcdef0123456789abcdef'
const ROUTE = {
  ...{ service: 'web', hosts: ['*.example.com'], path: '/', tls: 'auto', ports: { a: 80, b: 81 } },
  ...{ redirect: ['www.example.com'], proxy_protocol: ['10.0.0.7'], host_health: { path: '/up', wait: 5 } },
  rules: {
    ...{ allow: ['10.0.0.0/8'], auth: { ops: '$2a$' }, headers: { A: '1', B: null }, max_body: 5, compress: true },
    ...{ access_log: true, caddy: [{ handler: 'x', y: ['{env.Z}'] }], error_pages: { '502': 'down.html' } },
    assets: { path: '/assets', folder: '/app/a b' },
  },
  internal: { port: 80, names: ['web'], networks: ['shop_default'], subnets: ['10.0.0.0/24'] },
} as const

/** One of everything that a bundle has. */
const WHOLE: Bundle = {
  ...{ v: 1, id: ID, environment: 'prod', version: 'v1', commit_sha: '', project: 'shop-prod' },
  phases: { build: { started_at: '2026-11-22T08:00:00.000Z', duration_ms: 1, note: 'x' } },
  images: {
    web: {
      ...{ name: 'shop-web:v1', reference: `r.example.com:5000/a@sha256:${HASH}`, id: `sha256:${HASH}` },
      ...{ fingerprint: HASH, built: true, volumes: false, digest: 'r.example.com/a@sha256:1' },
    },
  },
  tags: [{ tag: 'shop-web:v1', id: '' }],
  ...{ host: 'web-1.example.com_2222', hosts: ['web-1.example.com_2222', 'fe80__1'] },
  topology: {
    ...{ order: ['db', 'web'], jobs: ['db'] },
    needs: { web: [{ service: 'db', condition: 'service_healthy', follows: false, why: 'depends on db' }] },
  },
  content: [{ name: './nginx.conf', hash: HASH }],
  config_hashes: { web: HASH },
  switched_at: '2026-11-22T08:00:01.000Z',
  retiring: ['old'],
  journal: {
    ...{ step: 'switch', began_at: '2026-11-22T08:00:00.000Z', handover: false, served: `${ID}/adopted` },
    before: [{ id: 'c1', name: 'shop-web-1', service: 'web', image: 'sha256:1', state: 'running', health: 'none' }],
    ...{ made: ['c2'], touched: ['web'], replaced: ['shop_back'], unused: ['shop_old'], rolling: ['web'] },
    routing: { routes: [ROUTE], slots: { web: 'a' } },
  },
  error: { message: 'Cannot …', hint: 'x', detail: 'y' },
  actor: { user: 'ana', machine: 'laptop', directory: '/app' },
  services: { web: { rollout: { drain: { command: ['true'], wait: 1000 } }, expose: { host: ['a.b'], port: 80 } } },
  ...{ served_before: 'rel-20261121-080000', rollback_to: 'rel-20261122-075959999' },
  ...{ routes: [ROUTE], slots: { web: 'b' }, gaps: { web: 100 }, migrating: { database: 'main', name: 'm2' } },
  migrations: [{ database: 'main', engine: 'raw', name: 'm1', at: '2026-11-22T08:02:25.643Z', duration_ms: 12 }],
} as unknown as Bundle // `phases` has one, and the settings are short: what is not looked at is not here

type Parts = Record<string, unknown>

/** @returns the problem of the bundle with one value changed; `path` has dots, and numbers for lists */
function problemWith(path: string, value: unknown): string | undefined {
  const bundle: Parts = JSON.parse(JSON.stringify(WHOLE))
  const keys = path.split('.')
  const last = keys.pop() ?? ''
  const parent = keys.reduce((parts, key) => parts[key] as Parts, bundle)
  Object.defineProperty(parent, last, { value, enumerable: true, configurable: true, writable: true })
  return bundleProblem(bundle, ID)
}

describe('bundleProblem()', () => {
  test('has nothing against what a release writes, whole, and as it begins', () => {
    expect(bundleProblem({ ...WHOLE }, ID)).toBeUndefined()
    const { v, id, environment, version, commit_sha, project, topology } = WHOLE
    const began = { v, id, environment, version, commit_sha, project, topology, phases: {}, images: {} }
    expect(bundleProblem({ ...began, content: [], config_hashes: {} }, ID)).toBeUndefined()
  })

  test('knows the part of a host by where it is', () => {
    const part = `${ID}/hosts/web-2`
    expect(bundleProblem({ ...WHOLE, id: part }, part)).toBeUndefined()
    expect(bundleProblem({ ...WHOLE, id: part }, ID)).toBe(`id is "${part}"`)
  })

  test.each([
    ['id', '../../../home/ana', 'id is not the id of a release'],
    ['id', 'rel-20261122-080000001', 'id is "rel-20261122-080000001"'],
    ['project', '--privileged', 'project is not the name of a Compose project'],
    ['project', undefined, 'project is not the name of a Compose project'],
    ['environment', 1, 'environment is not a text'],
    ['images', [], 'images is no table'],
    ['images.web.id', '--force', 'images.web.id is not a name'],
    ['images.web.reference', 'a b', 'images.web.reference is not a name'],
    ['images.web.digest', '-q', 'images.web.digest is not a name'],
    ['images.--help x', WHOLE.images['web'], 'images: "--help x" is not the name of a service'],
    ['images.__proto__', WHOLE.images['web'], 'images has the key __proto__'],
    ['tags.0.tag', '--force', 'tags[0].tag is not a name'],
    ['host', '../..', 'host is not the name of a host'],
    ['hosts', ['a', '../../..'], 'hosts[1] is not the name of a host'],
    ['hosts', 'a', 'hosts is no list'],
    ['topology', {}, 'topology.order is no list'],
    ['topology.needs.web', {}, 'topology.needs.web is no list'],
    ['content.0.hash', '../../releases.json', 'content[0].hash is not the hash of a file'],
    ['content', null, 'content is no list'],
    ['retiring', [1], 'retiring[0] is not the name of a service'],
    ['journal.step', 'all', 'journal.step is not a step'],
    ['journal.began_at', '$(date)', 'journal.began_at is not a time'],
    ['journal.before.0.id', '--all', 'journal.before[0].id is not a name'],
    ['journal.made', ['-f'], 'journal.made[0] is not a name'],
    ['journal.replaced', ['--force'], 'journal.replaced[0] is not a name'],
    ['journal.unused', ['a\nb'], 'journal.unused[0] is not a name'],
    ['journal.served', '../../other', 'journal.served is not the model of a release'],
    ['journal.served', `${ID}/adopted/../../x`, 'journal.served is not the model of a release'],
    ['journal.routing', {}, 'journal.routing.routes is no list'],
    ['services.web.rollout.drain.command', 'rm', 'services.web.rollout.drain.command is no list'],
    ['services.web.rollout.min_ready', '1', 'services.web.rollout.min_ready is no number'],
    ['served_before', '../x', 'served_before is not the id of a release'],
    ['rollback_to', `${ID}/../../x`, 'rollback_to is not the id of a release'],
    ['rollback_to', ID, 'rollback_to is not an earlier release'], // two that point at each other have no end
    ['served_before', 'rel-20261123-080000000', 'served_before is not an earlier release'],
    ['routes.0.hosts', ['{file./data/x}'], 'routes[0].hosts[0] is not a text without braces'],
    ['routes.0.rules.headers.A', '{file./data/x}', 'routes[0].rules.headers.A is not a text without braces'],
    ['routes.0.proxy_protocol.0', '{file./data/x}', 'routes[0].proxy_protocol[0] is not a text without braces'],
    ['routes.0.rules.error_pages', { '../x': 'a' }, 'routes[0].rules.error_pages: "../x" is not a status'],
    ['routes.0.rules.caddy', [{}], 'routes[0].rules.caddy[0].handler is not a text'],
    ['routes.0.rules.assets.path', '/../../keys', 'routes[0].rules.assets.path is not a path'],
    ['routes.0.rules.assets.folder', '{file./data/x}', 'routes[0].rules.assets.folder is not a folder'],
    [
      'services.web.expose',
      { assets: { path: '/a/..', folder: '/a' } },
      'services.web.expose.assets.path is not a path',
    ],
    ['routes.0.rules.max_body', '1', 'routes[0].rules.max_body is no number'],
    ['services.web.expose.headers', { A: '{env.X}' }, 'services.web.expose.headers.A is not a text without braces'],
    ['routes.0.internal.networks', ['--ip=1'], 'routes[0].internal.networks[0] is not a name'],
    ['slots.web', 'c', 'slots.web is not a slot'],
    ['migrations', [{}], 'migrations[0].database is not a text'],
  ])('refuses %s: %j', (path, value, problem) => {
    expect(problemWith(path, value)).toBe(problem)
  })
})
