import { beforeAll, describe, expect, test } from 'bun:test'
import type { Folder } from '../support/folder.ts'
import { expectGolden } from '../support/golden.ts'
import { host } from '../support/lab.ts'
import {
  type App,
  bundle,
  deploy,
  expectCode,
  expectPage,
  expectPhases,
  idle,
  page,
  releases,
  sharedFolders,
  touchedBy,
  until,
  untilTold,
  writeApp,
  writePage,
} from './app.ts'

// `store` plays the database: what a migration does to it stays in its volume, even if the release fails.
const h1 = host('h1')
const [folder, fresh, interrupted] = sharedFolders(h1, 'migrations', 'first-migration', 'interrupted-migration')
let port = 0
beforeAll(async () => {
  port = await h1.freePort()
})

const volumes = ['work:/kept']
const SECRET = 'tr0ub4dor-3x'
const shell = (script: string) => ['sh', '-c', script]
type Databases = Readonly<Record<string, unknown>>

function appWith(databases: Databases, more: App['services'] = {}, at = port): App {
  return {
    services: {
      store: { ...idle, volumes, healthcheck: { test: ['CMD', 'true'], interval: '1s' } },
      web: page(at, { volumes, depends_on: { store: { condition: 'service_healthy' } } }),
      ...more,
    },
    compose: { volumes: { work: {} } },
    environments: { local: { databases } },
  }
}

const command = (script: string, more: object = {}) => ({
  migrations: { engine: 'command', service: 'web', command: shell(script), ...more },
})

/** What the migrations have done, one line each. */
async function ledger(from: Folder): Promise<string[]> {
  const { stdout } = await from.docker(['compose', 'exec', '-T', 'store', 'cat', '/kept/ledger'])
  return stdout.split('\n').filter(Boolean)
}

async function migrationContainers(from: Folder): Promise<string[]> {
  const labels = [`com.docker.compose.project=${from.name}`, 'stagecraft.migration']
  const filters = labels.map((label) => `--filter=label=${label}`)
  const { stdout } = await from.docker(['ps', '-a', ...filters, '--format', '{{.Names}} {{.State}}'])
  return stdout.split('\n').filter(Boolean)
}

const migrated = (from: Folder) =>
  (bundle(from) as { migrations?: { database: string; name: string }[] }).migrations?.map(
    ({ database, name }) => `${database}: ${name}`,
  )

describe('one application, release after release', () => {
  const job = {
    ...idle,
    volumes,
    command: shell('echo job >>/kept/ledger'),
    depends_on: { store: { condition: 'service_healthy' } },
  }
  const steady = {
    beta: command('echo beta >>/kept/ledger; echo one; sleep 1; echo two >&2'),
    alpha: { migrations: { engine: 'job', service: 'migrate' } },
    last: command('echo after >>/kept/ledger', {
      command: [...shell('echo after >>/kept/ledger'), '--password', SECRET],
      strategy: 'post_deploy',
    }),
    rare: command('echo never >>/kept/ledger', { strategy: 'manual' }),
  }
  const waiting = page(0, { volumes, depends_on: { migrate: { condition: 'service_completed_successfully' } } })
  const app = (databases: Databases = steady) => {
    const { services, ...rest } = appWith(databases, { migrate: job })
    return { ...rest, services: { ...services, web: { ...waiting, ports: [`${port}:80`] } } }
  }

  test('a first deploy creates what migrations need, runs them in order of name, and then starts the rest', async () => {
    writePage(folder, 'version one')
    writeApp(folder, app())
    const plan = await folder.stagecraft(['plan', '--version', 'v1'])
    expect(plan.stdout).toContain(
      'migrate_pre   as follows\n  create store; wait for store\n  alpha  run migrate\n  beta   run sh -c ',
    )
    expect(plan.stdout).toMatch(/^ {2}migrate +migrate +runs in migrate_pre: the migrations of alpha$/m)
    const { stderr } = await deploy(folder, 'v1')
    const order = [
      'store    healthy',
      'alpha    migrate   migrate',
      '| one',
      '| two',
      'migrate_pre   completed',
      'web      create',
    ]
    const places = order.map((text) => stderr.indexOf(text))
    expect(places).toEqual(places.toSorted((a, b) => a - b))
    expect(places).not.toContain(-1)
    expectPhases(folder, 'v1')
    expect(await ledger(folder)).toEqual(['job', 'beta', 'after'])
    expect(migrated(folder)).toEqual([
      'alpha: migrate',
      'beta: sh -c echo beta >>/kept/ledger; echo one; sleep 1; echo two >&2',
      'last: sh -c echo after >>/kept/ledger --password •••',
    ])
    expect(plan.stdout + stderr + JSON.stringify(bundle(folder))).not.toContain(SECRET)
    expect(await migrationContainers(folder)).toEqual([])
    const shown = await folder.stagecraft(['releases', 'show', 'latest'])
    expect(shown.stdout).toMatch(/^migration {2}alpha {2}\S+ {2}migrate$/m)
  })

  test('a second deploy runs them again, and touches nothing else', async () => {
    expect(await touchedBy(folder, () => deploy(folder, 'v1'))).toEqual([])
    expect(await ledger(folder)).toEqual(['job', 'beta', 'after', 'job', 'beta', 'after'])
  })

  test('a migration that fails stops the release: nothing is touched, and its container is kept for a look', async () => {
    writePage(folder, 'version two')
    writeApp(
      folder,
      app({ beta: command('echo half >>/kept/ledger; echo sorry >&2; exit 3'), omega: command('exit 4') }),
    )
    const before = await folder.containers()
    const { stderr } = await deploy(folder, 'v2', 5)
    expectPhases(folder, 'v2', 'migrate_pre')
    const name = `${folder.name}-migrate-beta-${releases(folder).at(-1)?.id.replace('rel-', '')}`
    const said = stderr
      .slice(stderr.indexOf('Cannot migrate'))
      .replaceAll(name, 'shop-migrate-beta-<id>')
      .replace(/ v1 \(rel-[\d-]+\)/, ' v1 (<live>)')
      .replace('sh -c echo half >>/kept/ledger; echo sorry >&2; exit 3 ', 'rake db:migrate ')
    expectGolden('core/migrations.md', 'failed', said)
    expect(await migrationContainers(folder)).toEqual([`${name} exited`])
    const own = (await folder.containers()).filter(({ service }) => before.some((one) => one.service === service))
    expect(own.filter(({ state }) => state === 'running')).toEqual(before.filter(({ state }) => state === 'running'))
    await expectPage(folder, port, 'version one')
    expect((await ledger(folder)).at(-1)).toBe('half')
    const events = folder.read(`.stagecraft/releases/${releases(folder).at(-1)?.id}/events.jsonl`)
    expect(events).toContain('"lines":["sorry"]')
  })

  test('the next release continues and removes it; a failure after the switch leaves the new one live', async () => {
    writeApp(
      folder,
      app({ beta: command('echo whole >>/kept/ledger'), last: command('exit 7', { strategy: 'post_deploy' }) }),
    )
    const { stderr } = await deploy(folder, 'v2', 10)
    expectPhases(folder, 'v2', 'migrate_post')
    expect(stderr).toContain('v2 is live.')
    await expectPage(folder, port, 'version two')
    expect((await migrationContainers(folder)).map((line) => line.replace(/-\d{8}-\d{9} /, ' '))).toEqual([
      `${folder.name}-migrate-last exited`,
    ])
    writeApp(folder, app())
    await deploy(folder, 'v3')
    expect(await migrationContainers(folder)).toEqual([])
  })

  test('a container that hangs is ended; one that runs out of memory is said to have; one may print 10 MB', async () => {
    const limited = app({ beta: command('trap "" TERM; echo waiting; sleep 60', { timeout: '2s' }) })
    writeApp(folder, limited)
    const late = await deploy(folder, 'v4', 5)
    expect(late.stderr).toContain('sleep 60 did not end within 2.0s, and was ended')
    const greedy = app({ beta: command('x=a; while :; do x=$x$x; done') })
    const web = { ...greedy.services.web, mem_limit: '32m' }
    writeApp(folder, { ...greedy, services: { ...greedy.services, web } })
    const full = await deploy(folder, 'v4', 5)
    expect(full.stderr).toMatch(/done ran out of memory\n|exit code 137, out of memory/)
    const loud = 'i=0; while [ $i -lt 100000 ]; do echo "$i of 10 MB ${0}"; i=$((i+1)); done; exit 3'
    const long = { migrations: { engine: 'command', service: 'web', command: [...shell(loud), 'x'.repeat(90)] } }
    writeApp(folder, app({ beta: long }))
    const chatty = await deploy(folder, 'v4', 5)
    expect(chatty.stderr.split('\n').filter((line) => /^ {2}\| \d+ of/.test(line)).length).toBe(100_000)
    const kept = folder.read(`.stagecraft/releases/${releases(folder).at(-1)?.id}/events.jsonl`)
    expect([kept.includes('99999 of 10 MB'), kept.length < 400_000]).toEqual([true, true])
    expect(await touchedBy(folder, async () => {})).toEqual([])
    await expectPage(folder, port, 'version two')
  })

  test('a rollback runs none of any engine, names those that ran since, and asks', async () => {
    writeApp(folder, app())
    const before = await ledger(folder)
    const target = releases(folder)[0]?.id ?? ''
    const refused = await folder.stagecraft(['rollback', '--to-release', target])
    expectCode(refused, 2)
    expect(refused.stderr).toContain('Cannot roll back to v1 without --yes: migrations ran since then, and they stay')
    expect(refused.stderr).toMatch(/^migration migrate of rel-\d{8}-\d{9} stays in alpha$/m)
    expect(refused.stderr).toMatch(
      /^migration sh -c echo after >>\/kept\/ledger --password ••• of rel-\d{8}-\d{9} stays in last$/m,
    )
    const done = await folder.stagecraft(['rollback', '--to-release', target, '--yes'])
    expectCode(done, 0)
    expect(done.stderr).toMatch(/^migrate_pre +completed +0\.0s +databases are not rolled back$/m)
    await expectPage(folder, port, 'version one')
    expect(await ledger(folder)).toEqual(before)
  })
})

test('a first deploy whose migration fails leaves no container and no network; its volume stays', async () => {
  const own = await h1.freePort()
  writePage(fresh, 'never')
  writeApp(fresh, appWith({ main: command('echo tried >>/kept/ledger; exit 1') }, {}, own))
  const { stderr } = await deploy(fresh, 'v1', 5)
  expect(stderr).toContain('Nothing was deployed before, and nothing is running.')
  const list = async (...args: string[]) => {
    const { stdout } = await fresh.docker([...args, '--filter', `label=com.docker.compose.project=${fresh.name}`, '-q'])
    return stdout.split('\n').filter(Boolean).length
  }
  expect([
    await list('ps', '-a', '--filter', 'label=com.docker.compose.service=store'),
    await list('network', 'ls'),
  ]).toEqual([0, 0])
  expect(await list('volume', 'ls')).toBe(1)
  writeApp(fresh, appWith({ main: command('echo again >>/kept/ledger') }, {}, own))
  await deploy(fresh, 'v1')
  expect(await ledger(fresh)).toEqual(['tried', 'again'])
})

describe('a run that ends in the middle of a migration', () => {
  const open = untilTold('/kept')
  const inStore = (script: string) => interrupted.docker(['compose', 'exec', '-T', 'store', 'sh', '-c', script])
  let own = 0
  const write = (main?: object) => writeApp(interrupted, appWith(main ? { main } : {}, {}, own))
  beforeAll(async () => {
    own = await h1.freePort()
    writePage(interrupted, 'version one')
    write()
    await deploy(interrupted, 'v1')
    write(command(open))
  })

  /** Begins a deploy and waits until its migration is at work. */
  async function begin(version: string) {
    const seen = (await ledger(interrupted)).length
    const run = interrupted.startStagecraft(['deploy', '--version', version])
    await until('the migration has begun', async () => (await ledger(interrupted)).length > seen || 'not yet')
    return run
  }

  test('kill -9: the next command says what had begun, and waits for it: never two at once', async () => {
    const run = await begin('v2')
    await run.signal('KILL')
    await run.done
    const next = interrupted.startStagecraft(['deploy', '--version', 'v3'])
    await until('it waits', () => next.output().includes('waiting until it has ended') || 'not yet')
    await inStore('touch /kept/go')
    const { stderr } = await next.done
    const [said = ''] = /^recovery: .*$/m.exec(stderr) ?? []
    const retold = said.replaceAll(/rel-[\d-]+/g, '<id>').replace(/by .* on \S+ died/, 'by ana on web-1 died')
    expectGolden('core/recovery.md', 'migrating', retold.replace(`sh -c ${open}`, 'bin/rails db:migrate'))
    expect(stderr).toContain('is still migrating main, from an earlier run: waiting until it has ended')
    expect(await ledger(interrupted)).toEqual(['begin', 'end', 'begin', 'end'])
  })

  test('a signal ends the container, and nothing is touched', async () => {
    await inStore('rm /kept/go')
    const run = await begin('v4')
    await run.signal('INT')
    const { code, stderr } = await run.done
    expect(code).toBe(130)
    expect(stderr).toMatch(/v3 \(rel-[\d-]+\) is still live\./)
    await inStore('touch /kept/go; sleep 2; rm /kept/go')
    expect((await ledger(interrupted)).at(-1)).toBe('begin')
    expect((await migrationContainers(interrupted)).map((line) => line.split(' ')[1])).toEqual(['exited'])
  })

  test('a signal after the switch ends the migration; the new release is live', async () => {
    write(command(open, { strategy: 'post_deploy' }))
    const run = await begin('v5')
    await run.signal('INT')
    const { code, stderr } = await run.done
    expect([code, stderr]).toEqual([10, expect.stringMatching(/^Cannot migrate main: ended by signal 2\n/m)])
    expect(stderr).toContain('v5 is live.')
    expect((await migrationContainers(interrupted)).map((line) => line.split(' ')[1])).toEqual(['exited'])
  })

  test('two deploys at once migrate one after the other', async () => {
    write(command('echo begin >>/kept/ledger; sleep 4; echo end >>/kept/ledger'))
    const before = (await ledger(interrupted)).length
    const both = await Promise.all(
      ['v6', 'v7'].map((version) => interrupted.stagecraft(['deploy', '--version', version, '--wait', '4m'])),
    )
    expect(both.map(({ code }) => code)).toEqual([0, 0])
    expect((await ledger(interrupted)).slice(before)).toEqual(['begin', 'end', 'begin', 'end'])
  })
})
