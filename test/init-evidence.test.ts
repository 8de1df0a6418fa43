import { describe, expect, test } from 'bun:test'
import type { Service } from '../lib/compose.ts'
import { evidenceIn } from '../lib/init-evidence.ts'
import { imageName } from '../lib/known-images.ts'

const of = (services: Readonly<Record<string, Service>>) => evidenceIn({ name: 'shop', services }, '/srv/shop')
const expose = (services: Readonly<Record<string, Service>>) => of(services).expose
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
  ])('never %s', (_, service) => {
    expect(expose({ service })).toBeUndefined()
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
    expect(databases).toEqual(['db', 'search'])
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
})
