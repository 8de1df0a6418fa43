// A tour of Stagecraft on a real engine: deploy, look, change, deploy again. `--remove` takes all of it away.
import { cpSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Engine } from '../support/engine.ts'
import { type Folder, folderAt } from '../support/folder.ts'
import { host, isUp } from '../support/lab.ts'
import { dockerAnswers, Lab, whyNoLab } from '../support/lab-life.ts'

const ROOT = join(import.meta.dir, '../..')
const NAME = 'stagecraft-demo'

const { values: flags } = parseArgs({ options: { remove: { type: 'boolean', default: false } } })
process.chdir(ROOT)
let interrupted: 'SIGINT' | 'SIGTERM' | 'SIGHUP' | undefined
let running: Bun.Subprocess | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruptBy(signal))

try {
  if (flags.remove) await remove()
  else await tour()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  if (!flags.remove) say('To remove what the demo made so far:\n\n  npm run demo -- --remove')
  process.exitCode = interrupted ? 128 + constants.signals[interrupted] : 1
}

async function tour(): Promise<void> {
  say('Building the stagecraft binary for this machine.')
  await here(['node_modules/.bin/bun', 'build.ts'])
  const engine = await findEngine()
  const folder = folderAt(engine, NAME)
  await folder.cleanUp()
  cpSync(join(import.meta.dir, 'app'), folderAt(engine, NAME).here, { recursive: true })
  const port = await engine.freePort()
  folder.write('.env', `DEMO_PORT=${port}\n`)
  say(`The example application is in ${folder.path}${engine.name === 'here' ? '' : ` of lab host ${engine.name}`}.`)

  await shown(engine, folder, ['cat', 'compose.yaml', 'web/Dockerfile'])
  await shown(engine, folder, ['stagecraft', 'deploy', '--version', 'v1'])
  await ask(engine, port, 'Hello from version 1')

  say('Now a change: the page says "version 2". The clock stays as it is.')
  folder.write('web/index.html', 'Hello from version 2\n')
  await shown(engine, folder, ['stagecraft', 'plan', '--version', 'v2'])
  await shown(engine, folder, ['stagecraft', 'deploy', '--version', 'v2'])
  await ask(engine, port, 'Hello from version 2')
  await shown(engine, folder, ['stagecraft', 'releases', 'list'])
  sayGoodbye(engine, port)
}

function sayGoodbye(engine: Engine, port: number): void {
  say(`The application still runs: http://${engine.ip}:${port}/ and its clock: http://${engine.ip}:${port}/now/`)
  say('To remove the application, its images, its volume and its folder:\n\n  npm run demo -- --remove')
  if (engine.name !== 'here')
    say('To stop the lab (the engines this repository brings along) as well:\n\n  test/lab/lab-down')
}

/** The engine that `docker` reaches; where none does, a lab host, started if need be. */
async function findEngine(): Promise<Engine> {
  if (!isUp('h1') && (await dockerAnswers())) return host('h1')
  const reason = whyNoLab()
  if (reason) throw new Error(`Cannot find a Docker engine: \`docker version\` reaches none, and ${reason}`)
  if (!isUp('h1')) await startLab()
  say('Using the Docker engine of lab host h1: commands run inside it, as if on a server.')
  return host('h1')
}

async function startLab(): Promise<void> {
  say('No Docker engine answers: starting one with test/lab/lab-up h1 (about 30 s the first time, then 8 s).')
  const { code, output } = await new Lab(['h1']).up()
  if (code !== 0) throw new Error(`Cannot start the lab:\n${output}`)
}

async function remove(): Promise<void> {
  if (!isUp('h1') && !(await dockerAnswers())) return say('No engine answers: nothing of the demo can be running.')
  const folder = folderAt(host('h1'), NAME)
  await folder.cleanUp()
  say(`Removed the containers, networks, volumes and images of ${NAME}, and ${folder.path}.`)
}

/** Prints a command, then runs it in the project's folder with its output as it comes. */
async function shown(engine: Engine, folder: Folder, argv: readonly string[]): Promise<void> {
  process.stdout.write(`\n$ ${argv.join(' ')}\n`)
  const [program = '', ...args] = argv
  running = folder.show(program === 'stagecraft' ? [engine.binary(), ...args] : argv)
  const code = await running.exited
  if (code !== 0 || interrupted) throw new Error(`Cannot continue: \`${argv.join(' ')}\` ended with exit code ${code}`)
}

async function ask(engine: Engine, port: number, expected: string): Promise<void> {
  process.stdout.write(`\n$ curl http://${engine.ip}:${port}/\n`)
  const { body } = await engine.fetch(port)
  process.stdout.write(`${body}\n`.replace(/\n+$/, '\n'))
  if (!body.includes(expected)) throw new Error(`Cannot continue: the application should say "${expected}"`)
}

async function here(argv: string[]): Promise<void> {
  running = Bun.spawn(argv, { stdin: 'ignore', stdout: 'inherit', stderr: 'inherit' })
  if ((await running.exited) !== 0 || interrupted) throw new Error(`Cannot continue: \`${argv.join(' ')}\` failed`)
}

/** Lets the command that runs undo what it can. A terminal has signalled it already; twice would end it at once. */
function interruptBy(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void {
  interrupted ??= signal
  if (!process.stdin.isTTY) running?.kill(signal)
}

function say(text: string): void {
  process.stdout.write(`\n${text}\n`)
}
