// Shows that a release is never half-done: runs are killed at random instants and before each rename, and whatever else
// can happen happens to them in each phase (spec/core/faults.md). Prints tables; exit 1 if a check failed.
// usage: npm run campaign -- [--kills 500] [--seed 7] [--only kills|renames|matrix|roads|rolling|edge|hosts|host-files] [--fault <text>] [--write]
// `--only hosts`: 200 faults to deploys of two operators on two hosts (h5, h6), or [--from 17] [--count 1] of them by their index;
// no more are begun after [--minutes 90]; one that was broken off goes on with [--held <file>], which keeps what held; STAGECRAFT_HOSTS=h8,h9
// are others for a second one at the same time. `--only host-files`: each call of the scripts that a host runs fails or is killed, full disks,
// over SSH (h5), or of [--share 10] every tenth. `--only rolling`: 20 rollouts, 5 of which fail, two rollbacks and five kills under load lose no request (host h3)
// `--only edge`: 20 rollouts under load over TLS, by HTTP/1.1 and HTTP/2, while certificates are renewed (host h3)
// for work on this program: --built: dist/stagecraft as it is; --host h1: that lab host, where no engine is stopped
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sweep } from '../support/clean-up.ts'
import { dice } from '../support/dice.ts'
import type { Engine } from '../support/engine.ts'
import { RUN } from '../support/folder.ts'
import { HOSTS, type HostName, host, isUp } from '../support/lab.ts'
import { dockerAnswers, Lab, whyNoLab } from '../support/lab-life.ts'
import { commandStep, endAll } from '../support/steps.ts'
import { ALL as ALL_FILES, hostFiles, hostFilesTable } from './host-files/host-files.ts'
import { overSsh } from './host-files/machine.ts'
import { HOST_FAULTS } from './hosts/faults.ts'
import { hostsCampaign, hostsTable } from './hosts/hosts.ts'
import { NAMES as HOST_NAMES } from './hosts/shop.ts'
import type { World } from './hosts/world.ts'
import { kills } from './kills.ts'
import { type Cell, matrix } from './matrix.ts'
import { renames } from './renames.ts'
import { roads } from './roads.ts'
import { Site } from './site.ts'
import { Subject } from './subject.ts'
import { killTable, matrixTable, rowOf, writeTables } from './tables.ts'

process.chdir(join(import.meta.dir, '../..'))
const ROLLOUTS = '20'
const LOADS: Readonly<Record<string, string>> = {
  rolling: 'test/e2e/zero-loss.test.ts',
  edge: 'test/e2e/edge-load.test.ts',
}
const { values: flags } = parseArgs({
  options: {
    kills: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    only: { type: 'string' },
    fault: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
    from: { type: 'string', default: '0' },
    count: { type: 'string', default: '200' },
    minutes: { type: 'string', default: '90' },
    share: { type: 'string', default: '1' },
    host: { type: 'string', default: 'h4' },
    held: { type: 'string' },
    built: { type: 'boolean', default: false },
  },
})
// Hosts that are up are named too: lab-up writes down those that it is given.
const own: HostName[] =
  flags.only && flags.only in LOADS ? ['h3'] : flags.only?.startsWith('host') ? ['h1', ...HOST_NAMES] : ['h4']
const others = (Object.keys(HOSTS) as HostName[]).filter((name) => !own.includes(name) && isUp(name))
const lab = whyNoLab() === undefined ? new Lab([...others, ...own]) : undefined
let engine: Engine | undefined
let site: Site | undefined
let world: World | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop())

try {
  engine = await begin()
  const load = LOADS[flags.only ?? '']
  if (load) process.exitCode = await underLoad(load)
  else if (flags.only === 'hosts') process.exitCode = (await hosts()) ? 0 : 1
  else if (flags.only === 'host-files') process.exitCode = (await files()) ? 0 : 1
  else {
    site = engine.name === 'h4' ? new Site(engine) : undefined
    process.stdout.write(`seed ${flags.seed}, on ${engine.name}\n`)
    process.exitCode = (await campaign(engine)) ? 0 : 1
  }
} finally {
  await cleanUp()
}

/** A test that is in `npm test` too, with as many rollouts as its issue asks for. @returns its exit code */
async function underLoad(file: string): Promise<number> {
  const argv = [process.execPath, 'test', '--timeout=2400000', file]
  const env = { ...process.env, STAGECRAFT_ROLLOUTS: ROLLOUTS }
  return Bun.spawn(argv, { env, stdin: 'ignore', stdout: 'inherit', stderr: 'inherit' }).exited
}

/** @returns whether every check held */
async function hosts(): Promise<boolean> {
  if (!lab) throw new Error(`Cannot begin: ${whyNoLab()}`)
  const [seed, from, count, minutes] = [flags.seed, flags.from, flags.count, flags.minutes].map(Number) as Numbers
  const print = (line: string) => void process.stdout.write(`${line}\n`)
  const faults = HOST_FAULTS.filter(({ name }) => name.includes(flags.fault))
  const done = await hostsCampaign({ seed, from, count, minutes, faults, held: flags.held, print }, (made) => {
    world = made
  })
  world = undefined
  const table = hostsTable(done)
  const failed = done.filter(({ failures }) => failures.length > 0).length
  print(`\n${table}\n${failed === 0 ? 'every check held' : `after ${failed} faults a check failed`}`)
  if (flags.write && failed === 0) writeTables({ hosts: table })
  return failed === 0
}

/** @returns whether every check held */
async function files(): Promise<boolean> {
  if (!lab) throw new Error(`Cannot begin: ${whyNoLab()}`)
  const extent = {
    ...ALL_FILES,
    share: Number(flags.share),
    print: (line: string) => void process.stdout.write(`${line}\n`),
  }
  const done = await hostFiles(overSsh(HOST_NAMES[0]), `/srv/${RUN}-files`, extent)
  const table = hostFilesTable(done)
  const failed = done.filter(({ failures }) => failures.length > 0).length
  extent.print(`\n${table}\n${failed === 0 ? 'every check held' : `after ${failed} faults a check failed`}`)
  if (flags.write && failed === 0) writeTables({ 'host-files': table })
  return failed === 0
}

type Numbers = [number, number, number, number]

async function begin(): Promise<Engine> {
  const build = flags.built ? undefined : await commandStep('build', [process.execPath, 'build.ts'])
  if (build?.failed) throw new Error(build.output)
  const up = await lab?.up()
  if (up && up.code !== 0) throw new Error(`Cannot start the lab:\n${up.output}`)
  if (!up && !(await dockerAnswers())) throw new Error('Cannot begin: no Docker engine answers, and there is no lab')
  return host(lab ? (own[0] === 'h4' ? (flags.host as HostName) : (own[0] ?? 'h1')) : 'h1')
}

/** @returns whether every check held */
async function campaign(engine: Engine): Promise<boolean> {
  const tables: Record<string, string> = {}
  const failed: string[] = []
  const note = (name: string, table: string, checked: readonly { failures: readonly string[] }[]) => {
    process.stdout.write(`\n${name}\n\n${table}`)
    tables[name] = table
    failed.push(...checked.flatMap(({ failures }) => failures))
  }
  const wanted = (part: string) => flags.only === undefined || flags.only === part
  if (wanted('kills')) {
    const { done, load } = await kills(
      new Subject(engine, 'kills'),
      Number(flags.kills),
      dice(Number(flags.seed)),
      flags.seed,
    )
    note('kills', killTable(done, load), done)
  }
  if (wanted('renames')) {
    const subject = new Subject(engine, 'renames')
    await subject.begin()
    const done = [...(await renames(subject, 'deploy')), ...(await renames(subject, 'rollback'))]
    note('renames', killTable(done), done)
  }
  if (wanted('matrix')) {
    const subject = new Subject(engine, 'matrix', site)
    await subject.begin()
    const only = (fault: string, step: string) => `${fault}, ${step}`.includes(flags.fault)
    const print = (cell: Cell) => void process.stdout.write(`${rowOf(cell).join(', ')}\n`)
    const cells = await matrix(subject, site, only, print)
    note('matrix', matrixTable(cells), cells)
  }
  if (wanted('roads')) {
    const how = { count: Number(flags.kills), roll: dice(Number(flags.seed)), seed: flags.seed }
    const done = await roads(engine, how, (line) => void process.stdout.write(`${line}\n`))
    failed.push(...done.flatMap(({ failures }) => failures))
  }
  process.stdout.write(`\n${failed.length === 0 ? 'every check held' : `${failed.length} checks failed`}\n`)
  if (flags.write && failed.length === 0) writeTables(tables)
  return failed.length === 0
}

async function cleanUp(): Promise<void> {
  await site?.heal()
  await world?.cleanUp()
  if (lab?.startedSome) await lab.down()
  else if (engine) await sweep(engine, RUN)
}

async function stop(): Promise<void> {
  process.stderr.write('Ending, and cleaning up\n')
  await endAll()
  await world?.end()
  await cleanUp()
  process.exit(130)
}
