// What every npm script begins with, in plain Node: install what the lock names unless that is done already, then run
// a TypeScript file with the pinned Bun. usage: node test/run.mjs FILE.ts [ARGUMENT...]
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..')
const STAMP = join(ROOT, 'node_modules/.stagecraft-lock')
const BUN = join(ROOT, 'node_modules/.bin/bun')

process.chdir(ROOT)
install()
start(process.argv.slice(2))

function install() {
  const lock = createHash('sha256').update(readFileSync('package-lock.json')).digest('hex')
  if (read(STAMP) === lock && bunRuns()) return
  process.stderr.write('Installing the packages of package-lock.json\n')
  if (!process.versions.bun || succeeds('npm', '--version')) run('npm', ['ci', '--no-audit', '--no-fund'])
  else run(process.execPath, ['install', '--frozen-lockfile', '--no-save'])
  // An npm that runs no install scripts leaves a placeholder where the bun binary belongs.
  if (!bunRuns()) run(process.execPath, ['node_modules/bun/install.js'])
  if (!bunRuns()) fail(`Cannot run ${BUN}: remove node_modules and try again`)
  writeFileSync(STAMP, lock)
}

function bunRuns() {
  return succeeds(BUN, '--version')
}

function succeeds(program, ...args) {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0
}

function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function run(program, args) {
  // stdout belongs to the script that follows.
  const { status, error } = spawnSync(program, args, { stdio: ['ignore', 2, 2] })
  if (status !== 0) fail(`Cannot run ${program} ${args.join(' ')}: ${error?.message ?? `exit ${status}`}`)
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

function start(args) {
  const child = spawn(BUN, args, { stdio: 'inherit' })
  // A terminal signals the whole group: the child cleans up and we wait for it. A single signal is handed on.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`Cannot run ${BUN}: ${error.message}`))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}
