import { beforeAll, describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Ran } from '../support/engine.ts'
import { host } from '../support/lab.ts'
import {
  deploy,
  expectCode,
  expectPhases,
  idle,
  POSTGRES_READY,
  releases,
  sharedFolder,
  UNTIL_TOLD,
  until,
  writeApp,
} from './app.ts'

// A real PostgreSQL in the Compose network, with no published port, and a password that has to be quoted everywhere.
const h1 = host('h1')
const folder = sharedFolder(h1, 'sql')
const PASSWORD = `p:a/s@s#w?o%r&d'"$\\ ~^`
const inEnvFile = (value: string) => `'${value.replaceAll("'", "\\'")}'`

function write(files: Readonly<Record<string, string>>, more: object = {}): void {
  folder.remove('sql')
  for (const [name, text] of Object.entries(files)) folder.write(`sql/${name}`, text)
  const db = {
    image: 'postgres:15',
    environment: { POSTGRES_PASSWORD: '${PASSWORD}' },
    volumes: ['data:/var/lib/postgresql/data'],
    healthcheck: POSTGRES_READY,
  }
  writeApp(folder, {
    services: { db, web: idle },
    compose: { volumes: { data: {} } },
    environments: {
      local: {
        databases: {
          shop: {
            connection_env: 'SHOP_URL',
            via: 'db',
            lock_timeout: '2s',
            migrations: { engine: 'raw', path: 'sql' },
            ...more,
          },
        },
      },
    },
  })
}

const PSQL = 'PGPASSWORD=$POSTGRES_PASSWORD exec psql -h localhost -U postgres -tA "$@"'
const psql = (...args: string[]) => ['compose', 'exec', '-T', 'db', 'sh', '-c', PSQL, 'psql', ...args]
const sql = async (text: string) => {
  const ran = await folder.docker(psql('-c', text))
  expectCode(ran, 0)
  return ran.stdout.trim()
}
const sleeping = () =>
  sql("SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT (pg_sleep|until_told)' AND state = 'active'")
const applied = () => sql("SELECT string_agg(name, ' ' ORDER BY name) FROM stagecraft_migrations")
const migrate = (...args: string[]): Promise<Ran> => folder.stagecraft(['migrate', ...args])

const FIVE = {
  '001_users.sql': 'CREATE TABLE users (id serial PRIMARY KEY, name text);\n',
  '002_data.sql': "INSERT INTO users (name) VALUES ('a; b'), ('c');\n",
}

beforeAll(() => {
  folder.write(
    '.env',
    `PASSWORD=${inEnvFile(PASSWORD)}\nSHOP_URL=${inEnvFile(`postgres://postgres:${PASSWORD}@db:5432/postgres`)}\n`,
  )
})

describe('one database, release after release', () => {
  test('a first deploy creates the database, applies all files, and then starts the rest', async () => {
    write(FIVE)
    const plan = await folder.stagecraft(['plan', '--version', 'v1'])
    expect(plan.stdout).toMatch(
      /^ {2}create db; wait for db\n {2}shop {2}apply what is pending of sql \(not known yet: db has no running container\)$/m,
    )
    const { stderr } = await deploy(folder, 'v1')
    expect(stderr).toMatch(/migrate_pre +completed +\S+ +shop: 2 files applied/)
    expect(stderr.indexOf('migrate_pre   completed')).toBeLessThan(stderr.indexOf('web  create'))
    expectPhases(folder, 'v1')
    expect(await applied()).toBe('001_users.sql 002_data.sql')
    expect(await sql('SELECT release FROM stagecraft_migrations LIMIT 1')).toBe(releases(folder).at(-1)?.id ?? '')
  })

  test('a second deploy applies nothing; a new file is planned, and applied by `migrate run`', async () => {
    const { stderr } = await deploy(folder, 'v1')
    expect(stderr).toMatch(/migrate_pre +completed +\S+ +shop: nothing was pending/)
    write({ ...FIVE, '003_mail.sql': 'ALTER TABLE users ADD COLUMN mail text;\n' })
    const plan = await migrate('plan')
    expect(plan).toMatchObject({ code: 0, stdout: 'shop (raw, pre_deploy): 1 pending\n  003_mail.sql\n' })
    expect((await migrate('status')).stdout).toMatch(/^shop +raw +pre_deploy +2 +1 +002_data\.sql, /m)
    expect((await folder.stagecraft(['plan', '--version', 'v2'])).stdout).toMatch(/^ {2}shop {2}apply 003_mail\.sql$/m)
    const ran = await migrate('run')
    expect(ran).toMatchObject({ code: 0, stdout: '1 migration ran in local\n' })
    expect(await migrate('run')).toMatchObject({ code: 0, stdout: 'nothing was pending in local\n' })
    expect((await migrate('status')).code).toBe(0)
    expect((await folder.stagecraft(['status'])).stdout).toMatch(/^shop +raw +pre_deploy +3 +0 +003_mail\.sql, /m)
  })

  test('the third of five fails: it is rolled back, earlier ones stay, the release stops, the next continues', async () => {
    const four = { ...FIVE, '003_mail.sql': 'ALTER TABLE users ADD COLUMN mail text;\n' }
    const bad = "CREATE TABLE half (n int);\nINSERT INTO half\n  VALUES ('topsecret-77');\n"
    const all = {
      ...four,
      '004_ok.sql': 'CREATE TABLE ok (n int);\n',
      '005_bad.sql': bad,
      '006_last.sql': 'CREATE TABLE last (n int);\n',
    }
    write(all)
    const { stderr } = await deploy(folder, 'v2', 5)
    expectPhases(folder, 'v2', 'migrate_pre')
    expect(stderr).toContain(
      'Cannot apply 005_bad.sql:3 to shop: the database refuses it\n005_bad.sql:2: INSERT INTO half VALUES ',
    )
    expect(stderr).toContain('22P02: invalid input syntax for type integer')
    expect(stderr).not.toContain('topsecret')
    expect(stderr).toMatch(/v1 \(rel-[\d-]+\) is still live\./)
    expect(await applied()).toBe('001_users.sql 002_data.sql 003_mail.sql 004_ok.sql')
    expect(await sql("SELECT to_regclass('half') IS NULL")).toBe('t')
    write({ ...all, '005_bad.sql': 'CREATE TABLE half (n int);\n' })
    await deploy(folder, 'v2')
    expect(await applied()).toBe(`${Object.keys(all).join(' ')}`)
  })

  test('a file that changed is refused by plan, deploy and status, before anything runs', async () => {
    const now = folder.read('sql/001_users.sql')
    folder.write('sql/001_users.sql', `${now}-- changed\n`)
    folder.write('sql/007_new.sql', 'CREATE TABLE new (n int);\n')
    const said = /001_users\.sql has changed since it was applied with rel-[\d-]+/
    for (const args of [['plan'], ['deploy'], ['migrate', 'plan'], ['migrate', 'run']]) {
      const ran = await folder.stagecraft(args)
      expect(ran.code).toBe(3)
      expect(ran.stderr).toMatch(said)
    }
    const status = await folder.stagecraft(['status'])
    expect([status.code, status.stdout]).toEqual([5, expect.stringMatching(said)])
    expect(await sql("SELECT to_regclass('new') IS NULL")).toBe('t')
    folder.write('sql/001_users.sql', now)
    folder.remove('sql/007_new.sql')
  })

  test('a rollback over three releases applies nothing, and says what stays', async () => {
    const target = releases(folder)[0]?.id ?? ''
    const before = await applied()
    const refused = await folder.stagecraft(['rollback', '--to-release', target])
    expectCode(refused, 2)
    expect(refused.stderr).toMatch(/^migration 004_ok\.sql of rel-[\d-]+ stays in shop$/m)
    expectCode(await folder.stagecraft(['rollback', '--to-release', target, '--yes']), 0)
    expect(await applied()).toBe(before)
  })

  test('each kind of mistake has its own exit code and remedy', async () => {
    const mistakes: [string[], number, string][] = [
      [['run', '--database', 'shpo'], 4, 'Did you mean "shop"? Databases: shop'],
      [['run', '--database', 'shop', '--to', '999'], 4, 'there is no such file'],
    ]
    for (const [args, code, text] of mistakes) {
      const ran = await migrate(...args)
      expect([ran.code, ran.stderr]).toEqual([code, expect.stringContaining(text)])
    }
    const env = folder.read('.env')
    folder.write('.env', env.replace(/^SHOP_URL.*$/m, ''))
    const unset = await migrate('run')
    expect([unset.code, unset.stderr]).toEqual([
      3,
      expect.stringContaining('SHOP_URL is not set\n  hint: Set it in .env'),
    ])
    folder.write('.env', env.replace('@db:5432', '@db:5433'))
    const silent = await migrate('run')
    expect([silent.code, silent.stderr]).toEqual([8, expect.stringContaining('Cannot connect to shop')])
    expect(silent.stderr).not.toMatch(/5433|tcp.db/) // bash says where it connects to
    folder.write('.env', env.replace('postgres://postgres:', 'postgres://nobody:'))
    const stranger = await migrate('run')
    expect([stranger.code, stranger.stderr]).toEqual([
      3,
      expect.stringContaining('the server refuses the user or the password'),
    ])
    folder.write('.env', env)
  })
})

describe('when a run ends in the middle of a file', () => {
  const files = (): Record<string, string> =>
    Object.fromEntries(readdirSync(join(folder.here, 'sql')).map((name) => [name, folder.read(`sql/${name}`)]))

  test('kill -9: the statement continues in the database; the next run says so, and who has the lock', async () => {
    await sql(UNTIL_TOLD)
    write({ ...files(), '010_slow.sql': 'SELECT until_told();\nCREATE TABLE slow (n int);\n' })
    const run = folder.startStagecraft(['deploy', '--version', 'v8'])
    await until('it sleeps', async () => (await sleeping()) === '1' || 'not yet')
    await run.signal('KILL')
    await run.done
    const next = await folder.stagecraft(['deploy', '--version', 'v9', '--wait', '2m'])
    expect(next.stderr).toMatch(
      /recovery: v8 \(rel-[\d-]+\) was interrupted in migrate_pre: .*The migration of shop had begun, and may still be at work: 010_slow\.sql/,
    )
    expect([next.code, next.stderr]).toEqual([7, expect.stringContaining('another run has its lock')])
    await sql('INSERT INTO go VALUES (1)')
    await until('it has ended', async () => (await sleeping()) === '0' || 'it sleeps')
    await deploy(folder, 'v10')
    expect(await sql("SELECT count(*) FROM stagecraft_migrations WHERE name = '010_slow.sql'")).toBe('1')
  })

  test('a signal cancels the statement on the server, also through the container of via', async () => {
    write({ ...files(), '010_z.sql': 'SELECT pg_sleep(600);\n' })
    for (const args of [['migrate', 'run'], ['deploy']]) {
      const run = folder.startStagecraft(args)
      await until('it sleeps', async () => (await sleeping()) === '1' || 'not yet')
      await run.signal('INT')
      expect((await run.done).code).toBe(130)
      expect(await sleeping()).toBe('0')
    }
    folder.remove('sql/010_z.sql')
  })

  test('a table that another session has locked: it gives up after lock_timeout, and says who blocks it', async () => {
    // It looks up who blocks it while it waits.
    write({ ...files(), '011_alter.sql': 'ALTER TABLE users ADD COLUMN age int;\n' }, { lock_timeout: '15s' })
    const locking = ['-c', 'BEGIN', '-c', 'LOCK TABLE users', '-c', 'SELECT pg_sleep(600)']
    const hold = h1.start(['docker', ...psql(...locking)], { cwd: folder.path })
    await until(
      'it is locked',
      async () =>
        (await sql(
          "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'users'::regclass",
        )) === '1' || 'not yet',
    )
    const { stderr } = await deploy(folder, 'v11', 5)
    expect(stderr).toContain('55P03: canceling statement due to lock timeout')
    expect(stderr).toMatch(/in the way: .*psql/)
    await sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%'")
    await hold.done
    await deploy(folder, 'v11')
  })
})

test('the password is on no screen, in no file that others can read, and in no argument', async () => {
  const shown: string[] = []
  for (const args of [
    ['plan'],
    ['status'],
    ['migrate', 'status'],
    ['migrate', 'run'],
    ['deploy', '--verbose'],
    ['releases', 'show', 'latest', '--json'],
  ]) {
    const { stdout, stderr } = await folder.stagecraft(args)
    shown.push(stdout, stderr)
  }
  await sql('DELETE FROM go')
  folder.write('sql/099_slow.sql', 'SELECT until_told();\n')
  const run = folder.startStagecraft(['deploy'])
  await until('it sleeps', async () => (await sleeping()) === '1' || 'not yet')
  const processes = await h1.exec(['ps', '-axww', '-o', 'args'])
  expect(processes.stdout).toContain('stagecraft deploy')
  await sql('INSERT INTO go VALUES (1)')
  const done = await run.done
  expectCode(done, 0)
  shown.push(processes.stdout, done.stdout, done.stderr)
  for (const text of shown) expect(text).not.toContain(PASSWORD)
  const walk = (path: string): string[] =>
    statSync(path).isDirectory() ? readdirSync(path).flatMap((name) => walk(join(path, name))) : [path]
  const files = walk(join(folder.here, '.stagecraft'))
  expect(files.length).toBeGreaterThan(5)
  const open = files
    .filter((file) => (statSync(file).mode & 0o077) !== 0)
    .filter((file) => readFileSync(file, 'utf8').includes(PASSWORD))
  expect(open).toEqual([])
  const events = files.filter((file) => /events\.jsonl$/.test(file)).map((file) => readFileSync(file, 'utf8'))
  for (const text of events) expect(text).not.toContain('p:a/s@s')
})
