import { expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { parseConfig } from '../../lib/config/parse.ts'
import { devModel, devRoutes, withoutMigrationJobs } from '../../lib/release/dev/model.ts'
import { composeModel } from '../fakes/compose-model.ts'

const environmentOf = (settings: object) => {
  const { local } = parseConfig(JSON.stringify({ environments: { local: settings } })).environments
  if (local === undefined) throw new Error('there is none')
  return { name: 'local', ...local }
}
const exposing = (expose: Readonly<Record<string, object>>) =>
  environmentOf({ services: Object.fromEntries(Object.entries(expose).map(([name, one]) => [name, { expose: one }])) })

const hostsOf = (expose: Readonly<Record<string, object>>) =>
  devRoutes(exposing(expose).services).map(({ service, hosts, tls }) => `${service} ${tls} ${hosts.join(' ')}`)

test('a host becomes its first label below localhost; the whole name if two have the same', () => {
  expect(hostsOf({ web: { host: 'shop.example.com', port: 80, tls: 'off' } })).toEqual(['web internal shop.localhost'])
  expect(hostsOf({ web: { host: ['example.com', 'www.example.com'], port: 80 } })).toEqual([
    'web internal example.localhost www.localhost',
  ])
  const same = { a: { host: 'app.one.com', port: 80 }, b: { host: ['app.two.com', 'x.two.com'], port: 80 } }
  expect(hostsOf(same)).toEqual(['a internal app.one.com.localhost', 'b internal app.two.com.localhost x.localhost'])
  const paths = { a: { host: 'shop.test', port: 80 }, b: { host: 'shop.test', path: '/api', port: 80 } }
  expect(hostsOf(paths)).toEqual(['a internal shop.localhost', 'b internal shop.localhost'])
})

test('a wildcard stays one, a name of this machine stays, and what is only internal has no route', () => {
  expect(hostsOf({ web: { host: '*.example.com', port: 80, tls: 'internal' } })).toEqual([
    'web internal *.example.localhost',
  ])
  expect(hostsOf({ web: { host: ['a.b.localhost', 'localhost'], port: 80 } })).toEqual([
    'web internal a.b.localhost localhost',
  ])
  expect(hostsOf({ api: { internal: true, port: 80 } })).toEqual([])
})

const services: Record<string, Service> = {
  web: {
    build: { context: '/src', tags: ['acme/web:latest'] },
    image: 'acme/web:1',
    pull_policy: 'always',
    profiles: ['x'],
    develop: { watch: [{ action: 'sync', path: '/src', target: '/app' }] },
    volumes: [{ type: 'bind', source: '/src', target: '/app' }],
    depends_on: { db: { condition: 'service_started' }, migrate: { condition: 'service_completed_successfully' } },
  },
  worker: { image: 'acme/web:1' },
  migrate: { image: 'acme/web:1' },
  db: { image: 'postgres:16', pull_policy: 'always' },
}
const model = composeModel('shop--dev', {
  services,
  volumes: { data: { name: 'shop-data' }, own: {}, shared: { external: true, name: 'shared' } },
  networks: { back: { name: 'shop-back' } },
})

test('images, volumes and networks are its own, whatever the Compose file calls them; binds stay as they are', () => {
  const dev = devModel({ model, environment: exposing({ web: { host: 'shop.example.com', port: 80 } }) })
  expect(dev).toMatchInlineSnapshot(`
    {
      "name": "shop--dev",
      "networks": {
        "back": {
          "name": "shop--dev_back",
        },
        "default": {
          "ipam": {},
          "name": "shop--dev_default",
        },
        "stagecraft-routes": {
          "internal": true,
          "name": "stagecraft-shop--dev",
        },
      },
      "services": {
        "db": {
          "command": null,
          "entrypoint": null,
          "image": "postgres:16",
          "networks": {
            "default": null,
          },
          "pull_policy": "always",
        },
        "migrate": {
          "command": null,
          "entrypoint": null,
          "image": "shop--dev-web:dev",
          "networks": {
            "default": null,
          },
        },
        "web": {
          "build": {
            "context": "/src",
          },
          "command": null,
          "depends_on": {
            "db": {
              "condition": "service_started",
            },
            "migrate": {
              "condition": "service_completed_successfully",
            },
          },
          "develop": {
            "watch": [
              {
                "action": "sync",
                "path": "/src",
                "target": "/app",
              },
            ],
          },
          "entrypoint": null,
          "image": "shop--dev-web:dev",
          "networks": {
            "default": null,
            "stagecraft-routes": {
              "aliases": [
                "a.web.shop--dev.stagecraft.internal",
              ],
            },
          },
          "volumes": [
            {
              "source": "/src",
              "target": "/app",
              "type": "bind",
            },
          ],
        },
        "worker": {
          "command": null,
          "entrypoint": null,
          "image": "shop--dev-web:dev",
          "networks": {
            "default": null,
          },
        },
      },
      "volumes": {
        "data": {
          "name": "shop--dev_data",
        },
        "own": {
          "name": "shop--dev_own",
        },
        "shared": {
          "external": true,
          "name": "shared",
        },
      },
    }
  `)
})

test('the jobs of migrations are not services, and nothing waits for them', () => {
  const database = { migrations: { engine: 'job', service: 'migrate' } }
  const without = withoutMigrationJobs(model, environmentOf({ databases: { main: database } }))
  expect(Object.keys(without.services)).toEqual(['web', 'worker', 'db'])
  expect(without.services['web']?.depends_on).toEqual({ db: { condition: 'service_started' } })
})
