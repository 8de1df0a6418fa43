import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { canSwarm, MANAGERS, SwarmApp, said } from '../scenes/swarm.ts'
import { host } from '../support/lab.ts'
import { expectCode, POSTGRES_READY } from './app.ts'

// What goes through the engine of a task's own node: commands in it, and connections to a database. The first manager is the one
// that commands go to; the tasks are on the third.
describe.skipIf(!canSwarm)('a task on another node', () => {
  const app = new SwarmApp('swarm-exec')
  const { folder } = app
  const [first, , third] = MANAGERS
  const there = { placement: { constraints: [`node.hostname == ${third}`] } }

  function write(more: object = {}): void {
    const db = {
      image: 'postgres:15',
      environment: { POSTGRES_PASSWORD: 'a-password-of-ours' },
      healthcheck: POSTGRES_READY,
      stop_signal: 'SIGKILL',
      deploy: { endpoint_mode: 'dnsrr', ...there },
    }
    const web = said('here', { deploy: there })
    const shop = { connection_env: 'URL', via: 'db', migrations: { engine: 'raw', path: 'sql' } }
    app.write({ db, web }, {}, { databases: { shop }, ...more })
  }

  beforeAll(async () => {
    for (const name of [first, third]) {
      if ((await host(name).docker(['image', 'inspect', 'postgres:15'])).code === 0) continue
      const copy = `docker -H ${engine('h1')} save postgres:15 | docker -H ${engine(name)} load`
      expectCode(await folder.exec(['sh', '-c', copy]), 0)
    }
    await app.begin()
    folder.write('.env', 'URL=postgres://postgres:a-password-of-ours@db:5432/postgres\n')
    folder.write('sql/1.sql', 'CREATE TABLE items (name text);\n')
    write()
  })
  afterAll(() => app.end())

  const engine = (name: Parameters<typeof host>[0]) => `unix://${host(name).socket}`

  test('is reached by migrations of SQL files, through its own network', async () => {
    const ran = await app.deploy('v1')
    expectCode(ran, 0)
    expect(ran.stderr).toMatch(/shop +done +1\.sql/)
    folder.write('sql/2.sql', "INSERT INTO items VALUES ('two');\n")
    const plan = await folder.stagecraft(['migrate', 'plan'])
    expect(plan.stdout).toBe('shop (raw, pre_deploy): 1 pending\n  2.sql\n')
    expectCode(await folder.stagecraft(['migrate', 'run']), 0)
    const status = await folder.stagecraft(['migrate', 'status', '--json'])
    const found = status.stdout.split('\n').find((line) => line.includes('"type":"migrate-status"'))
    expect(JSON.parse(found ?? '{}').databases).toMatchObject([{ database: 'shop', applied: 2, pending: [] }])
  })

  test('is where `exec` runs a command, with stdin, stdout and its exit code', async () => {
    const psql = 'PGPASSWORD=$POSTGRES_PASSWORD exec psql -h 127.0.0.1 -U postgres -At'
    const ran = await folder.stagecraft(['exec', 'db', '--', 'sh', '-c', psql], { stdin: 'SELECT name FROM items;' })
    expect([ran.code, ran.stdout]).toEqual([0, 'two\n'])
    const failed = await folder.stagecraft(['exec', 'web', '--', 'sh', '-c', 'echo no >&2; exit 3'])
    expect([failed.code, failed.stderr]).toEqual([3, 'no\n'])
    write({ hosts: [`root@${first}`] })
    const other = await folder.stagecraft(['exec', 'web', '--', 'true'])
    expectCode(other, 8)
    expect(other.stderr).toContain(`Cannot run in web.1: it is on node ${third}, which is none of the hosts\n`)
    write()
  })

  test('is made by `run`, with the live release, and removed', async () => {
    const command = ['sh', '-c', 'echo "$WORD"; echo err >&2; exit 7']
    const ran = await folder.stagecraft(['run', 'web', '--', ...command])
    expect([ran.code, ran.stdout, ran.stderr]).toEqual([7, 'here\n', 'err\n'])
    const missing = await folder.stagecraft(['run', 'web', '--', 'no-such-program'])
    expectCode(missing, 5)
    expect(missing.stderr).toStartWith('Cannot run web: its task did not start\n')
    const piped = await folder.stagecraft(['run', 'web', '--', 'cat'], { stdin: 'x' })
    expectCode(piped, 2)
    const filter = ['--filter', 'label=stagecraft.run', '--filter', `name=${app.stack}`]
    expect((await host(first).docker(['service', 'ls', '-q', ...filter])).stdout).toBe('')
  })
})
