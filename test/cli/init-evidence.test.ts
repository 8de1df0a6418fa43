import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { evidenceIn } from '../../lib/cli/init/evidence.ts'
import { imageName } from '../../lib/cli/init/known-images.ts'
import type { Service } from '../../lib/compose/model.ts'
import { scratch } from '../support/command-line.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

const of = (services: Readonly<Record<string, Service>>) => evidenceIn({ name: 'shop', services }, '/srv/shop')
/** Where to send requests, without what stands in the way. */
const expose = (services: Readonly<Record<string, Service>>) => {
  const found = of(services).expose
  return found && { service: found.service, port: found.port, ...(found.host ? { host: found.host } : {}) }
}
const port = (target: number, published = String(target), protocol = 'tcp') => ({ target, published, protocol })
const needs = (...names: string[]) => ({
  depends_on: Object.fromEntries(names.map((name) => [name, { condition: 'service_started' as const }])),
})
const volume = { type: 'volume', source: 'data', target: '/data' }

describe('evidenceIn() suggests to expose', () => {
  test('what a proxy’s labels or variables route, with host and port', () => {
    const labels = {
      'traefik.enable': 'true',
      'traefik.http.routers.shop.rule': 'Host(`Shop.example.com`) && PathPrefix(`/`)',
      'traefik.http.services.shop.loadbalancer.server.port': '8080',
    }
    const traefik = { image: 'traefik:v3', ports: [port(80), port(443)] }
    expect(expose({ traefik, app: { image: 'app', labels } })).toEqual({
      service: 'app',
      port: 8080,
      host: 'shop.example.com',
    })
    const { 'traefik.http.services.shop.loadbalancer.server.port': _, ...rule } = labels
    expect(expose({ app: { image: 'app', labels: rule } })).toBeUndefined() // nobody says where it listens
    expect(expose({ app: { image: 'app', labels: rule, expose: ['3000'] } })?.port).toBe(3000)
    const dashboard = { ...labels, 'traefik.http.routers.shop.service': 'api@internal' }
    expect(expose({ traefik: { ...traefik, labels: dashboard } })).toBeUndefined()
    const environment = { VIRTUAL_HOST: 'a.example.com,b.example.com', VIRTUAL_PORT: '5000' }
    expect(expose({ app: { image: 'app', environment } })).toEqual({
      service: 'app',
      port: 5000,
      host: 'a.example.com',
    })
    const caddy = { caddy: 'c.example.com', 'caddy.reverse_proxy': '{{upstreams 8000}}' }
    expect(expose({ app: { image: 'app', labels: caddy } })).toEqual({
      service: 'app',
      port: 8000,
      host: 'c.example.com',
    })
    const filled = { web: { image: 'web', environment: { VIRTUAL_HOST: '' } }, blog: { image: 'ghost' } }
    expect(expose(filled)).toEqual({ service: 'web', port: 80 })
    for (const odd of ['99999', '0', '80.5', 'http', '-1'])
      expect(expose({ app: { image: 'app', environment: { VIRTUAL_HOST: '', VIRTUAL_PORT: odd } } })?.port).toBe(80)
    for (const odd of ['-a.example.com', 'a..example.com', `${'a'.repeat(64)}.example.com`])
      expect(expose({ app: { image: 'app', environment: { VIRTUAL_HOST: odd } } })?.host).toBeUndefined()
    const local = { VIRTUAL_HOST: 'app.localhost' }
    expect(expose({ app: { image: 'app', environment: local } })).toEqual({ service: 'app', port: 80 })
  })

  test('what publishes a port for HTTP, and of several the one in front, or the built one', () => {
    expect(expose({ web: { build: { context: '.' }, ports: [port(3000, '80')] }, db: { image: 'postgres' } })).toEqual({
      service: 'web',
      port: 3000,
    })
    const api = { image: 'api', ports: [port(8000)] }
    expect(expose({ api, front: { image: 'front', ports: [port(3000)], ...needs('api') } })?.service).toBe('front')
    expect(expose({ api, tool: { build: { context: '.' }, ports: [port(9000)] } })?.service).toBe('tool')
    const pair = { a: { image: 'app', ports: [port(4000)] }, b: { image: 'app', ports: [port(3000)] } }
    expect(expose(pair)?.service).toBe('b')
    expect(expose({ app: { image: 'app', ports: [port(9443, '9443'), port(9000)] } })?.port).toBe(9000)
  })

  test('what needs more services than its neighbours, and no worker', () => {
    const bridge = { image: 'bridge', ports: [port(3001)], ...needs('queue') }
    const server = { image: 'server', ports: [port(9005)], ...needs('queue', 'db') }
    expect(expose({ bridge, server })?.service).toBe('server')
    const worker = { image: 'server', ports: [port(8081)], ...needs('server') }
    expect(expose({ server, 'generic-worker-1': worker })?.service).toBe('server')
    expect(expose({ worker })).toBeUndefined()
  })

  test('nothing whose network others live in', () => {
    const vpn = { image: 'vpn', ports: [port(8080)] }
    const guest = { image: 'guest', network_mode: 'service:vpn', ...needs('vpn') }
    expect(expose({ vpn, guest, tv: { image: 'tv', ports: [port(8989)] } })).toEqual({ service: 'tv', port: 8989 })
    expect(expose({ vpn, guest })).toBeUndefined()
  })

  test('next to ports of other protocols only one that is usual for HTTP', () => {
    const mail = { image: 'mail', ports: [port(143), port(25), port(4999)] }
    expect(expose({ mail })).toBeUndefined()
    expect(expose({ git: { image: 'git', ports: [port(22, '222'), port(3000)] } })?.port).toBe(3000)
    expect(expose({ blog: { image: 'ghost', ports: [port(22, '222'), port(2368)] } })?.port).toBe(2368)
    expect(expose({ ui: { image: 'ui', ports: [port(8443), port(9001)] } })?.port).toBe(9001)
  })

  test('what only says where it listens, or whose image is known to', () => {
    expect(expose({ app: { image: 'app', expose: ['8000'] }, worker: { image: 'app' } })).toEqual({
      service: 'app',
      port: 8000,
    })
    expect(expose({ blog: { image: 'ghost:5' } })).toEqual({ service: 'blog', port: 2368 })
    const edge = { image: 'nginx', ports: [port(80), port(443)], ...needs('cloud') }
    expect(expose({ edge, cloud: { image: 'nextcloud:31' }, blog: { image: 'ghost' } })?.service).toBe('cloud')
  })

  test.each<[string, Service]>([
    ['postgres', { image: 'postgres:17', ports: [port(5432)] }],
    ['a database by an odd port', { image: 'postgres:17', ports: [port(8080)] }],
    ['an odd database by its port', { image: 'acme/store', ports: [port(5432)] }],
    ['redis', { image: 'redis', expose: ['6379'] }],
    ['a broker with a console', { image: 'rabbitmq:3-management', ports: [port(5672), port(15672)] }],
    ['celerybeat', { image: 'app', command: ['celery', 'beat'] }],
    ['wireguard', { image: 'linuxserver/wireguard', ports: [port(51820, '51820', 'udp')] }],
    ['minecraft', { image: 'itzg/minecraft-server', ports: [port(25565)] }],
    ['a game by udp', { image: 'game', ports: [port(7777, '7777', 'udp')] }],
    ['a proxy of its own', { image: 'caddy:2', ports: [port(80), port(443)] }],
    ['traefik', { image: 'traefik:v3', ports: [port(80), port(8080)] }],
    ['what speaks FastCGI', { image: 'nextcloud:fpm-alpine' }],
    ['a tool', { image: 'adminer', ports: [port(8080)] }],
    ['what says nothing', { build: { context: '.' } }],
    ['what is in the network of the host', { image: 'app', network_mode: 'host', ports: [port(8123)] }],
    ['a queue worker', { image: 'app', command: ['php', 'artisan', 'queue:work'], ports: [port(8080)] }],
  ])('never %s', (_, service) => {
    expect(expose({ service })).toBeUndefined()
  })
})

describe('what stands in the way of exposing', () => {
  const around = (service: Service, others: Readonly<Record<string, Service>> = {}) => {
    const {
      service: _,
      port: __,
      host: ___,
      ...found
    } = of({ web: { image: 'web', expose: ['3000'], ...service }, ...others }).expose ?? {}
    return found
  }

  test('published ports, a fixed name, and data that two containers would both write to', () => {
    expect(around({})).toEqual({})
    expect(around({ ports: [port(3000, '')] })).toEqual({})
    expect(around({ ports: [port(3000, '8080')] })).toEqual({ published: '8080:3000' })
    expect(around({ ports: [port(3000, '80'), port(2222)] })).toEqual({ published: '80:3000', hasOtherPorts: true })
    expect(around({ container_name: 'web' })).toEqual({ isNamed: true })
    expect(around({ volumes: [volume] })).toEqual({ data: 'the volume data' })
    expect(around({ volumes: [{ ...volume, read_only: true }] })).toEqual({})
    expect(around({ volumes: [{ type: 'bind', source: '/srv/shop/files', target: '/x' }] })).toEqual({
      data: './files',
    })
    expect(around({ volumes: [{ type: 'bind', source: '/run/docker.sock', target: '/x' }] })).toEqual({})
  })

  test('another proxy, in the Compose file or outside of it', () => {
    const labels = { 'traefik.http.routers.web.rule': 'Host(`a.example.com`)' }
    expect(around({ labels })).toEqual({ proxy: 'Traefik', isElsewhere: true })
    expect(around({ labels }, { edge: { image: 'traefik' } })).toEqual({ proxy: 'edge' })
    expect(around({}, { front: { image: 'front', ports: [port(8443, '443')] } })).toEqual({ proxy: 'front' })
  })
})

describe('evidenceIn()', () => {
  test('holds known databases that keep data, and nothing else that has a volume', () => {
    const { databases } = of({
      proxy: { image: 'traefik', volumes: [volume] },
      web: { image: 'nginx', volumes: [volume] },
      frontend: { image: 'node:20', volumes: [volume] },
      db: { image: 'docker.io/library/postgres:17@sha256:0', volumes: [volume] },
      search: { image: 'elasticsearch:8', volumes: [{ type: 'bind', source: '/srv/es', target: '/data' }] },
      cache: { image: 'redis:7' },
      read: { image: 'mysql', volumes: [{ ...volume, read_only: true }] },
      metrics: { image: 'prom/mysqld-exporter', volumes: [volume] },
    })
    expect(databases).toEqual({ db: 'the volume data', search: '/srv/es' })
  })

  test('holds no job with the image of a database, and none that only has certificates or scripts', () => {
    const image = 'postgres:17'
    const at = (target: string, source = 'data') => ({ image, volumes: [{ type: 'bind', source, target }] })
    const { databases } = of({
      db: { image, volumes: [volume], depends_on: { setup: { condition: 'service_completed_successfully' } } },
      setup: { image, volumes: [volume] },
      certs: at('/usr/share/elasticsearch/config/certs'),
      init: at('/docker-entrypoint-initdb.d'),
      checks: at('/healthchecks'),
      conf: at('/etc/postgresql/postgresql.conf', '/srv/shop/postgresql.conf'),
      kept: at('/var/lib/postgresql'),
    })
    expect(Object.keys(databases)).toEqual(['db', 'kept'])
  })

  test('names certificates that are only read', () => {
    const bind = (path: string, read_only = true) => ({
      type: 'bind',
      source: `/srv/shop${path}`,
      target: '/x',
      read_only,
    })
    const { renewed } = of({
      web: { volumes: [bind('/certs'), bind('/nginx/acme.json'), bind('/conf'), bind('/letsencrypt'), bind('')] },
      certbot: { volumes: [bind('/letsencrypt', false)] },
    })
    expect(renewed).toEqual(['./certs', './nginx/acme.json'])
  })

  test('imageName() is the last part, without tag and digest', () => {
    const names = ['postgres', 'postgres:17', 'a.example:5000/b/Redis:7@sha256:1', undefined].map((name) =>
      imageName(name),
    )
    expect(names).toEqual(['postgres', 'postgres', 'redis', ''])
  })

  test('knows a database by what it is built from, or by the path of its data', () => {
    const build = { build: { context: '/nowhere' }, volumes: [{ ...volume, target: '/rows' }] }
    const images = { own: { base: 'postgres:17', ports: [], volumes: [], probe: [] } }
    const at = (target: string) => ({ image: 'acme/store', volumes: [{ ...volume, target }] })
    const services = { own: build, other: build, store: at('/var/lib/postgresql/data'), files: at('/var/lib/files') }
    const { databases } = evidenceIn(
      { name: 'shop', services: { ...services, 'db-backup': at('/var/lib/mysql') } },
      '/srv/shop',
      images,
    )
    expect(databases).toEqual({ own: 'the volume data', store: 'the volume data' })
  })

  test('distinguishes folders with data from those with code and configuration', () => {
    const folder = temporary(
      scratch({ 'src/app.py': '', 'conf/a.conf': '', 'media/a.png': '', 'ha/conf.yaml': '', 'new/.gitkeep': '' }),
    )
    const bind = (path: string, target: string, read_only = false) => ({
      type: 'bind',
      source: join(folder.path, path),
      target,
      read_only,
    })
    const web = {
      volumes: [
        ...[bind('', '/app'), bind('src', '/app/src'), bind('conf', '/etc/web'), bind('media', '/app/media')],
        ...[
          bind('ha', '/config'),
          bind('new', '/x'),
          bind('absent', '/y'),
          bind('src', '/z', true),
          bind('file.db', '/file.db'),
        ],
        { type: 'bind', source: '/srv/elsewhere', target: '/data' },
      ],
    }
    const { folders, unclear, keeping } = evidenceIn(
      { name: 'shop', services: { web, worker: { volumes: [bind('media', '/m')] } } },
      folder.path,
    )
    expect(folders).toEqual({ './absent': ['web'], './ha': ['web'], './media': ['web', 'worker'], './new': ['web'] })
    expect(unclear).toEqual({ './conf': ['web'], './src': ['web'] })
    expect(keeping).toEqual(['web', 'worker'])
  })
})
