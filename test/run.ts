// What is tested before each landing; with --quick the part of it that needs no engine; with --journeys the long
// journeys, which are run by hand. The last line counts it all.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sweep } from './support/clean-up.ts'
import { coverageOf, judgeCoverage } from './support/coverage.ts'
import { RUN } from './support/folder.ts'
import { HOSTS, type HostName, host, isUp } from './support/lab.ts'
import { dockerAnswers, Lab, whyNoLab } from './support/lab-life.ts'
import { commandStep, endAll, localStep, type Result, testStep } from './support/steps.ts'

const ROOT = join(import.meta.dir, '..')
const LEAST_COVERAGE = 85
/**
 * Of a test, and of what comes before and after it: what takes 20 s by itself may take ten times that on a machine that
 * is busy with others.
 */
const TIME_LIMIT = '--timeout=600000'
/** What builds, installs, loads every application, dies at every place, is very large, or starts the program or others again and again. */
const SLOW =
  /^test\/(faults\/|house\/(build|release)\.|cli\/(contract|distribution\/install|commands\/(init(-host|-terminal)?|lock|prune|status-watch))\.|docker\/engine\.|hosts\/(schedules|ssh-lock)\.|phases\/hook-points\.|plan\/big-swarm\.|proxy\/inside\.|project\/secret-sources\.|record\/many-releases\.|release\/(approval|migrations|schedules)\.|system\/signals\.)/
/**
 * The long journeys, by hand (`npm run journeys`): each deploys again and again what other tests show too, in other surroundings.
 * All in one took 100 minutes on two slow processors.
 */
const JOURNEY =
  /^test\/e2e\/(adoption(-round-trip)?|approval|content|dev|examples|failures|hostile|init|jobs|makefile|migrations(-(hosts|load|sql))?|moves|own-proxy|replays|rollback-jobs|screens|separation|shapes|signals|ssh-rolling|swarm-(changes|commands|exec|load|registry)|volumes)\./
const ALL_HOSTS = Object.keys(HOSTS) as HostName[]

const { values: flags } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, journeys: { type: 'boolean', default: false } },
})
process.chdir(ROOT)

const began = performance.now()
const scratch = mkdtempSync(join(tmpdir(), 'stagecraft-run-'))
// What tests leave in the folder for temporary files goes with ours, also when they are interrupted.
chmodSync(scratch, 0o755) // Some run a program as another user.
Object.assign(process.env, { STAGECRAFT_TEST_RUN: RUN, TMPDIR: scratch })
const results: Result[] = []
const leftOut: string[] = []
let ending = false
const lab = whyNoLab() === undefined && !flags.quick ? new Lab(ALL_HOSTS) : undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => endBy(signal))

try {
  const labUp = lab?.up()
  if (!flags.journeys) await runQuick()
  if (!flags.quick && !ending) await runSlow(labUp)
} finally {
  if (!ending) await cleanUp()
}
// After a signal, endBy() has the last word.
if (!ending) finish()

async function runQuick(): Promise<void> {
  const bin = (name: string) => join('node_modules/.bin', name)
  const coverage = join(scratch, 'coverage')
  const args = [
    TIME_LIMIT,
    '--parallel=3', // some wait more than they work
    '--no-isolate', // to load lib/ again for each file takes a third of the time
    '--coverage',
    '--coverage-reporter=lcov',
    `--coverage-dir=${coverage}`,
    '--only-failures',
  ]
  // Thousands of short tests: what the last stage of the JIT compiles is hardly run again, and costs a tenth of the time.
  const env = { BUN_JSC_useFTLJIT: '0' }
  await Promise.all([
    commandStep('types', [bin('tsc'), '-p', '.']).then(note),
    commandStep('lint', [bin('biome'), 'ci', '--error-on-warnings', '--colors=off', '.']).then(note),
    testStep('unit', filesOf('quick'), join(scratch, 'unit.xml'), { args, env }).then(note),
  ])
  note(localStep('coverage', () => judgeCoverage(coverageOf(ROOT, join(coverage, 'lcov.info')), LEAST_COVERAGE)))
}

async function runSlow(labUp: ReturnType<Lab['up']> | undefined): Promise<void> {
  const build = await commandStep('build', [process.execPath, 'build.ts'])
  note(build)
  if (ending) return
  if (build.failed > 0) return void leftOut.push('slow and e2e: there is no binary')
  const args = [TIME_LIMIT]
  const step = async (part: Part, more: { args?: string[]; live?: boolean } = {}) => {
    const files = filesOf(part)
    if (ending || (flags.journeys && files.length === 0)) return
    note(await testStep(part, files, join(scratch, `${part}.xml`), { args, limit: 3600, ...more }))
  }
  // The end-to-end tests wait for containers much of the time: more of them at once than there are processors.
  const engine = (await engineIsThere(labUp)) && !ending
  if (engine) await step('e2e', { args: [...args, '--parallel=3'], live: true })
  if (!engine) return step('slow')
  // Hosts that are cut off or made bare, and a proxy that is restarted or spoiled by its tests, when nobody else needs
  // them: each of the three has its own.
  const inTwo = { args: [...args, '--parallel=2'] }
  await Promise.all([step('slow', inTwo), ...(['servers', 'campaign', 'proxy'] as const).map((part) => step(part))])
  // Hundreds of requests a second, by themselves: others would be disturbed, and disturb them.
  await step('load', { live: true })
}

/** The lab if it can run here; otherwise the engine that `docker` reaches, which leaves out what is about versions. */
async function engineIsThere(labUp: ReturnType<Lab['up']> | undefined): Promise<boolean> {
  if (labUp) {
    const { code, output } = await labUp
    note({ name: 'lab', passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: [], seconds: 0, output })
    return code === 0
  }
  const answers = await dockerAnswers()
  leftOut.push(`${answers ? 'engines other than the one of this machine' : 'e2e, as no engine answers'}: ${whyNoLab()}`)
  return answers
}

function filesOf(part: Part): string[] {
  const files = [...new Bun.Glob('test/**/*.test.ts').scanSync(ROOT)].sort()
  return files.filter((file) => part === partOf(file) && JOURNEY.test(file) === flags.journeys)
}

type Part = 'quick' | 'slow' | 'e2e' | 'servers' | 'campaign' | 'proxy' | 'load'

/** Which part a test file belongs to: the quick ones need neither an engine nor the binary. */
function partOf(file: string): Part {
  if (/^test\/e2e\/hosts-campaign\./.test(file)) return 'campaign'
  if (/^test\/e2e\/(proxy|proxy-protocol|own-certificate|acme|assets)\./.test(file)) return 'proxy'
  if (
    /^test\/e2e\/(zero-loss|edge-load|grpc|sticky|rolling|own-proxy|proxy-loss|ssh-rolling|swarm-load|migrations-load)\./.test(
      file,
    )
  )
    return 'load'
  if (/^test\/e2e\/(fresh-server|moves|swarm(-[a-z]+)?)\./.test(file)) return 'servers'
  if (file.startsWith('test/e2e/')) return 'e2e'
  return SLOW.test(file) ? 'slow' : 'quick'
}

function note(result: Result): void {
  if (ending) return
  results.push(result)
  leftOut.push(...result.skipped)
  const failed = result.failed > 0
  const slowest = result.slowest?.length ? `  slowest: ${result.slowest.join(', ')}` : ''
  print(`${failed ? 'FAILED' : 'ok    '} ${result.name.padEnd(8)} ${result.seconds.toFixed(1).padStart(6)} s${slowest}`)
  if (result.output.trim() !== '' && (failed || result.name === 'coverage')) print(result.output.trimEnd())
}

/** Leaves nothing running: what tests left on an engine that was there before, and the hosts that this run started. */
async function cleanUp(): Promise<void> {
  removeScratch()
  if (flags.quick) return
  if (lab?.startedSome) return lab.down()
  if (!results.some(({ name }) => name === 'e2e') && !ending) return
  const engines = lab ? ALL_HOSTS.filter(isUp) : (await dockerAnswers()) ? (['h1'] as const) : []
  await Promise.all(engines.map((name) => sweep(host(name), RUN).catch((error) => print(String(error)))))
}

/** A test that was killed may have left a small disk of its own there. */
function removeScratch(): void {
  const mounts = existsSync('/proc/mounts') ? readFileSync('/proc/mounts', 'utf8').split('\n') : []
  const ours = mounts.map((line) => line.split(' ')[1] ?? '').filter((path) => path.startsWith(`${scratch}/`))
  for (const path of ours) Bun.spawnSync(['umount', '-l', path])
  rmSync(scratch, { recursive: true, force: true })
}

async function endBy(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): Promise<void> {
  if (ending) return
  ending = true
  print(`Ending by ${signal}, and cleaning up`)
  await endAll()
  await cleanUp()
  process.exit(128 + constants.signals[signal])
}

function finish(): void {
  const total = (what: 'passed' | 'failed') => results.reduce((sum, result) => sum + result[what], 0)
  const failures = results.flatMap(({ failures }) => failures ?? [])
  if (failures.length > 0) print(`What failed, once more:\n${failures.join('\n')}`)
  if (leftOut.length > 0) print(`Left out:\n${leftOut.map((what) => `  ${what}`).join('\n')}`)
  print(`${((performance.now() - began) / 1000).toFixed(0)} s`)
  print(`${total('passed')} passed, ${total('failed')} failed`)
  const incomplete = process.env['CI'] === 'true' && leftOut.length > 0
  process.exitCode = total('failed') > 0 || incomplete ? 1 : 0
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
