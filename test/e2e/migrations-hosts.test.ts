import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { cleanUp } from '../support/clean-up.ts'
import { host, isUp } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { expectCode, makeRoot, POSTGRES_READY, QUICK_STOP, UNTIL_TOLD, until, untilTold, writePage } from './app.ts'

const NAMES = ['h2', 'h3'] as const
const ROOT = '/srv/stagecraft'
const PASSWORD = 'correct:horse/battery@staple'

// Two servers over SSH: `web` runs on both, the database on the second. Each migration runs once.
describe.skipIf(!NAMES.every(isUp) || !isUp('h1'))('migrations on two hosts', () => {
  const folder = laptop('h1').folder('migrated-hosts')
  const project = `${folder.name}-prod`
  const engines = { h2: host('h2'), h3: host('h3') }

  function write(command: string, first = 'h2'): void {
    const depends_on = { db: { condition: 'service_healthy' } }
    const web = { build: './web', volumes: ['ledger:/ledger'], depends_on, ...QUICK_STOP }
    const db = {
      image: 'postgres:15',
      environment: { POSTGRES_PASSWORD: '${PASSWORD}' },
      volumes: ['data:/var/lib/postgresql/data'],
      healthcheck: POSTGRES_READY,
    }
    const volumes = { data: {}, ledger: {} }
    folder.write('compose.yaml', JSON.stringify({ services: { web, db }, volumes }))
    const databases = {
      files: { migrations: { engine: 'command', service: 'web', command: ['sh', '-c', command] } },
      shop: {
        connection_env: 'SHOP_URL',
        via: 'db',
        migrations: { engine: 'raw', path: 'sql', strategy: 'post_deploy' },
      },
    }
    const services = {
      web: { hosts: first === 'h2' ? ['h2', 'deploy@h3'] : ['deploy@h3', 'h2'], rollout: { min_ready: '300ms' } },
      db: { hosts: ['deploy@h3'], rollout: { min_ready: '300ms' } },
    }
    const prod = { hosts: ['h2', 'deploy@h3'], root: ROOT, env_file: '.env.prod', databases, services }
    folder.write('stagecraft.yml', JSON.stringify({ project: { name: folder.name }, environments: { prod } }))
  }

  beforeAll(async () => {
    for (const name of NAMES) await makeRoot(engines[name], ROOT)
    folder.write('.env.prod', `PASSWORD='${PASSWORD}'\nSHOP_URL='postgres://postgres:${PASSWORD}@db:5432/postgres'\n`)
    folder.write('sql/001.sql', 'CREATE TABLE one (n int);\n')
    writePage(folder, 'one')
  })
  afterAll(async () => {
    for (const name of NAMES) {
      await cleanUp(engines[name], folder.name)
      await engines[name].exec(['rm', '-rf', `${ROOT}/${folder.name}`])
    }
    await folder.cleanUp()
  })

  const deploy = (version: string) => folder.stagecraft(['deploy', '--version', version])

  async function inContainer(name: (typeof NAMES)[number], service: string, ...command: string[]): Promise<string> {
    const filters = [`label=com.docker.compose.project=${project}`, `label=com.docker.compose.service=${service}`]
    const list = await engines[name].docker(['ps', '-q', ...filters.flatMap((one) => ['--filter', one])])
    const [id = ''] = list.stdout.split('\n')
    return (await engines[name].docker(['exec', id, ...command])).stdout.trim()
  }
  const ledger = (name: (typeof NAMES)[number]) => inContainer(name, 'web', 'sh', '-c', 'cat /ledger/* 2>/dev/null')
  const psql = (sql: string) =>
    inContainer('h3', 'db', 'sh', '-c', 'PGPASSWORD=$POSTGRES_PASSWORD psql -h localhost -U postgres -tAc "$0"', sql)

  test("a first deploy migrates once, on the first host that has the service, when the other host's database is ready", async () => {
    write('echo ran >>/ledger/ledger; echo seen')
    const ran = await deploy('v1')
    expectCode(ran, 0)
    expect(ran.stderr).toContain('| seen\n')
    expect(ran.stderr).toMatch(/ db +healthy\n[\s\S]* files +migrate [\s\S]* web +create /)
    expect([await ledger('h2'), await ledger('h3')]).toEqual(['ran', ''])
    expect(await psql('SELECT name FROM stagecraft_migrations')).toBe('001.sql')
    expect(`${ran.stdout}${ran.stderr}`).not.toContain(PASSWORD)
    const status = await folder.stagecraft(['status'])
    expectCode(status, 0)
    expect(status.stdout).toMatch(/^shop +raw +post_deploy +1 +0 +001\.sql, /m)
  })

  test('one that fails stops the release on both, and names the host', async () => {
    write('echo sorry; exit 3')
    writePage(folder, 'two')
    const ran = await deploy('v2')
    expectCode(ran, 5)
    expect(ran.stderr).toContain('exited with 3 (on h2)')
    expect(ran.stderr).toMatch(/v1 \(rel-[\d-]+\) is still live\./)
    for (const name of NAMES) expect(await inContainer(name, 'web', 'cat', '/www/index.html')).toBe('one')
  })

  test('kill -9 on the laptop: the container runs on; the next deploy waits for it, also from another host', async () => {
    write(untilTold('/ledger'))
    const run = folder.startStagecraft(['deploy', '--version', 'v3'])
    await until('it has begun', async () => (await ledger('h2')).endsWith('begin') || 'not yet')
    await run.signal('KILL')
    await run.done
    write('echo other >>/ledger/ledger', 'h3')
    const waiting = folder.startStagecraft(['deploy', '--version', 'v4', '--wait', '2m'])
    await until('it waits', () => waiting.output().includes('waiting until it has ended') || 'not yet')
    await inContainer('h2', 'web', 'touch', '/ledger/go')
    const next = await waiting.done
    expectCode(next, 0)
    expect(next.stderr).toMatch(/recovery: v3 .*The migration of files had begun/)
    expect(next.stderr).toContain('is still migrating files, from an earlier run: waiting until it has ended')
    expect((await ledger('h2')).split('\n').slice(1)).toEqual(['begin', 'end'])
    expect(await ledger('h3')).toBe('other')
  })

  test('kill -9 in the middle of a file: the host knows which', async () => {
    write('true')
    await psql(UNTIL_TOLD)
    folder.write('sql/002.sql', 'CREATE TABLE two (n int);\nSELECT until_told();\n')
    const run = folder.startStagecraft(['deploy', '--version', 'v5'])
    const asked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT until_told%' AND state = 'active'"
    await until('it sleeps', async () => (await psql(asked)) === '1' || 'not yet')
    await run.signal('KILL')
    await run.done
    await psql('INSERT INTO go VALUES (1)')
    await until('it has ended', async () => (await psql(asked)) === '0' || 'it sleeps')
    const next = await folder.stagecraft(['deploy', '--version', 'v6', '--wait', '2m'])
    expectCode(next, 0)
    expect(next.stderr).toMatch(/recovery: v5 .* so it stays live, .*The migration of shop had begun, .*: 002\.sql\. /)
    expect(await psql('SELECT string_agg(name, chr(32) ORDER BY name) FROM stagecraft_migrations')).toBe(
      '001.sql 002.sql',
    )
  })
})
