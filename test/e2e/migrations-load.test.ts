import { afterAll, expect, test } from 'bun:test'
import { copyFileSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { type LoadGenerator, movedRequests, startLoad } from '../load/load.ts'
import { host, isUp } from '../support/lab.ts'
import { deploy, expectCode, POSTGRES_READY, until, writeApp } from './app.ts'

// On a host of its own, as zero-loss.test.ts is.
const lab = test.skipIf(!isUp('h3'))
const h3 = host(isUp('h3') ? 'h3' : 'h1')
const folder = h3.folder('expand-contract')
const name = `${folder.name}.test`
let load: LoadGenerator | undefined
afterAll(async () => {
  await load?.stop().catch(() => {})
  await folder.cleanUp()
})

const URL = 'postgres://postgres:only-for-this-test@db:5432/postgres'
const FILES = {
  before: {
    'v1/001.sql': 'CREATE TABLE users (id bigserial PRIMARY KEY, name text NOT NULL);\n',
    // Expand: both versions can work with it.
    'v2/002.sql': 'ALTER TABLE users ADD COLUMN full_name text;\nALTER TABLE users ALTER COLUMN name DROP NOT NULL;\n',
  },
  after: {
    // Migrate: what v1 wrote, now that no v1 runs any more.
    'v2/101.sql': 'UPDATE users SET full_name = name WHERE full_name IS NULL;\n',
    // Contract: v3 does not know the column, and no v2 runs any more.
    'v3/102.sql': 'ALTER TABLE users DROP COLUMN name;\n',
  },
}

function write(version: 'v1' | 'v2' | 'v3'): void {
  for (const [kind, files] of Object.entries(FILES))
    for (const [path, text] of Object.entries(files)) {
      const [since = '', file = ''] = path.split('/')
      if (since <= version) folder.write(`${kind}/${file}`, text)
    }
  folder.write('.env', `SHOP_URL=${URL}\n`)
  folder.write('after/.keep', '')
  folder.write('app/server.ts', readFileSync(join(import.meta.dir, '../load/shop-server.ts'), 'utf8'))
  folder.write('app/Dockerfile', 'FROM node:20\nCOPY bun server.ts /app/\nCMD ["/app/bun", "/app/server.ts"]\n')
  const environment = { POSTGRES_PASSWORD: 'only-for-this-test' }
  const raw = (path: string, strategy: string) => ({
    connection_env: 'SHOP_URL',
    via: 'db',
    migrations: { engine: 'raw', path, strategy },
  })
  writeApp(folder, {
    services: {
      db: {
        image: 'postgres:15',
        environment,
        healthcheck: POSTGRES_READY,
        volumes: ['data:/var/lib/postgresql/data'],
      },
      web: {
        build: './app',
        environment: { VERSION: version, SHOP_URL: URL },
        depends_on: { db: { condition: 'service_healthy' } },
      },
    },
    compose: { volumes: { data: {} } },
    settings: { web: { expose: { host: name, port: 3000, health: '/up', tls: 'off' } } },
    environments: { local: { databases: { after: raw('after', 'post_deploy'), before: raw('before', 'pre_deploy') } } },
  })
}

lab('expand, migrate and contract, in three releases under 100 requests a second: no request is lost', async () => {
  write('v1')
  copyFileSync(realpathSync(process.execPath), join(folder.here, 'app/bun'))
  await deploy(folder, 'v1')
  load = await startLoad({ ip: h3.ip, host: name, rate: 100, seconds: 900, long: false })
  for (const version of ['v2', 'v3'] as const) {
    write(version)
    await Bun.sleep(1000)
    await deploy(folder, version)
  }
  await until('v3 answers', async () => {
    const response = await fetch(`http://${h3.ip}/`, { headers: { host: name }, keepalive: false })
    return (await response.text()) === 'v3' || `${response.status}`
  })
  await Bun.sleep(1000)
  const result = await load.stop()
  load = undefined
  expect(result.failures).toEqual([])
  expect(movedRequests(result)).toEqual([])
  expect(result.versions.toSorted()).toEqual(['v1', 'v2', 'v3'])
  expect(result.made).toBeGreaterThan(500)
  const shown = await folder.docker([
    'compose',
    'exec',
    '-T',
    'db',
    'sh',
    '-c',
    'PGPASSWORD=$POSTGRES_PASSWORD psql -h localhost -U postgres -tAc "SELECT count(*) FROM users WHERE full_name IS NULL"',
  ])
  expectCode(shown, 0)
  expect(shown.stdout.trim()).toBe('0')
})
