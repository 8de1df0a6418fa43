import { createHash } from 'node:crypto'
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { cleanUp } from './clean-up.ts'
import { checkContract } from './contract.ts'
import { type Folder, makeFolder, RUN } from './folder.ts'

const BINARY = join(import.meta.dir, '../../dist/stagecraft')

/** How a process ended. A time-out ends it with code 124, a signal n with 128+n. */
export type Ran = { code: number; stdout: string; stderr: string }

/** `cwd` is a path on the engine's machine; `timeout` is in seconds, 300 by default; `stdin` is empty by default. */
export type RunOptions = { cwd?: string; env?: Record<string, string>; timeout?: number; stdin?: string }

/** A process that runs while the test continues. */
export type Running = {
  /** The process that leads to the program, as seen here. */
  pid: number
  done: Promise<Ran>
  /** What it printed so far, both streams. */
  output: () => string
  /** Sends a signal to the program itself, not to its children. */
  signal: (name: 'INT' | 'TERM' | 'HUP' | 'KILL') => Promise<void>
}

/** Where commands run, and how to get there. */
export type Place = {
  name: string
  ip: string
  folders: string
  seenHere: (path: string) => string
  argvOf: (argv: readonly string[]) => string[]
  environment: Record<string, string | undefined>
  /** the engine's socket as seen here, if it is */
  socket?: string
}

/** One machine with a Docker engine, as an end-to-end test uses it. */
export type Engine = Place & {
  exec: (argv: readonly string[], options?: RunOptions) => Promise<Ran>
  start: (argv: readonly string[], options?: RunOptions) => Running
  docker: (args: readonly string[], options?: RunOptions) => Promise<Ran>
  /** Runs a command in a folder, as a person does: its output is our own, and no time limits it. */
  show: (argv: readonly string[], cwd: string) => Bun.Subprocess
  /** The path of dist/stagecraft on the engine's machine, where it is copied if another one is there. */
  binary: () => string
  /** Runs dist/stagecraft there. */
  stagecraft: (args: readonly string[], options?: RunOptions) => Promise<Ran>
  startStagecraft: (args: readonly string[], options?: RunOptions) => Running
  /** GET over HTTP; status 0 and the reason in `body` when nothing answers. */
  fetch: (port: number, path?: string) => Promise<{ status: number; body: string }>
  /** A port that nothing listens on, and that no other test gets. */
  freePort: () => Promise<number>
  /** A new empty project folder with a name that no other project of the engine has. */
  folder: (name: string) => Folder
  /** Removes what belongs to the Compose project `name` and to `<name>-…`: containers, networks, volumes, images. */
  cleanUp: (name: string) => Promise<void>
}

export function engineOf(place: Place): Engine {
  const exec = (argv: readonly string[], options: RunOptions = {}) => start(place, argv, options).done
  const binary = () => binaryAt(place)
  const engine: Engine = {
    ...place,
    exec,
    start: (argv, options = {}) => start(place, argv, options),
    show: (argv, cwd) => show(place, argv, cwd),
    binary,
    docker: (args, options) => askDocker(place, args, options),
    stagecraft: (args, options) => exec([binary(), ...args], options),
    startStagecraft: (args, options = {}) => start(place, [binary(), ...args], options),
    fetch: (port, path = '/') => get(`http://${place.ip}:${port}${path}`),
    freePort: () => freePort(place.ip),
    folder: (name) => makeFolder(engine, name),
    cleanUp: (name) => cleanUp(engine, name),
  }
  return engine
}

/** What docker asks the engine alone, with no file of its machine. */
const OF_ENGINE = new Set(
  'events exec image images info inspect kill logs network pause ps rename restart rm rmi start stats stop tag top unpause update version volume wait'.split(
    ' ',
  ),
)

/** The way into the engine's machine takes more processor time than the question: where nothing there is needed, it is left out. */
function askDocker(place: Place, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  if (place.socket === undefined || !OF_ENGINE.has(args[0] ?? ''))
    return start(place, ['docker', ...args], options).done
  const here: Place = { ...place, argvOf: (argv) => [...argv], seenHere: (path) => path }
  const env = { ...options.env, DOCKER_HOST: `unix://${place.socket}` }
  return start(here, ['docker', ...args], { ...options, cwd: '/', env }).done
}

// Folder, time limit and environment are arguments, so that nothing needs quoting. The second shell leaves its process
// id, which is the program's own, where `signal` finds it.
const WRAPPER = 'cd "$1" || exit 125; pid=$2; limit=$3; shift 3; exec timeout -k 5 "$limit" env "$@"'
const WITH_PID = 'echo $$ >"$0"; exec "$@"'
let started = 0

function show(place: Place, argv: readonly string[], cwd: string): Bun.Subprocess {
  const command = place.argvOf(['sh', '-c', 'cd "$0" && exec "$@"', cwd, ...argv])
  return Bun.spawn(command, { env: place.environment, stdin: 'ignore', stdout: 'inherit', stderr: 'inherit' })
}

function start(place: Place, argv: readonly string[], options: RunOptions): Running {
  const pidFile = join('/tmp', `${RUN}-${process.pid}-${++started}.pid`)
  const environment = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`)
  const limits = [options.cwd ?? '/', pidFile, String(options.timeout ?? 300)]
  const program = ['sh', '-c', WITH_PID, pidFile, ...argv]
  const command = place.argvOf(['sh', '-c', WRAPPER, 'sh', ...limits, ...environment, ...program])
  const child = Bun.spawn(command, {
    env: place.environment,
    stdin: options.stdin === undefined ? 'ignore' : Buffer.from(options.stdin),
    stdout: 'pipe',
    stderr: 'pipe',
  })
  let printed = ''
  const note = (text: string) => {
    printed += text
  }
  const texts = Promise.all([readAll(child.stdout, note), readAll(child.stderr, note)])
  const signal = async (name: string) => {
    await Bun.spawn(place.argvOf(['sh', '-c', `kill -${name} "$(cat "$0")"`, pidFile]), { env: place.environment })
      .exited
  }
  const done = texts.then(async ([stdout, stderr]) => {
    const code = await child.exited
    rmSync(place.seenHere(pidFile), { force: true })
    if (argv.some((word) => basename(word) === 'stagecraft')) checkContract(argv, stdout)
    return { code, stdout, stderr }
  })
  return { pid: child.pid, done, output: () => printed, signal }
}

async function readAll(stream: ReadableStream<Uint8Array>, note: (text: string) => void): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of stream) {
    const part = decoder.decode(chunk, { stream: true })
    text += part
    note(part)
  }
  return text
}

let isChecked = false

/** The tested source is the one next to the test. */
function refuseStale(): void {
  if (isChecked) return
  isChecked = true
  const built = statSync(BINARY, { throwIfNoEntry: false })?.mtimeMs
  if (built === undefined) throw new Error('Cannot run dist/stagecraft: build it first (npm run build)')
  const lib = join(import.meta.dir, '../../lib')
  for (const file of new Bun.Glob('**/*.ts').scanSync(lib))
    if (statSync(join(lib, file)).mtimeMs > built)
      throw new Error(`Cannot run dist/stagecraft: lib/${file} is newer: build it again (npm run build)`)
}

/** On the engine's machine: another working copy may use the same hosts at the same time, with another binary. */
const THERE = `/srv/bin/${createHash('sha256').update(BINARY).digest('hex').slice(0, 8)}/stagecraft`

/** Copies the binary to the engine's machine if another one is there. The rename keeps running copies whole. */
function binaryAt(place: Place): string {
  refuseStale()
  const path = place.seenHere(BINARY) === BINARY ? BINARY : THERE
  const target = place.seenHere(path)
  const { mtimeMs, size, atime, mtime } = statSync(BINARY)
  const there = statSync(target, { throwIfNoEntry: false })
  if (target === BINARY || (there?.size === size && Math.abs(there.mtimeMs - mtimeMs) < 1000)) return path
  mkdirSync(dirname(target), { recursive: true })
  const fresh = `${target}.${process.pid}`
  copyFileSync(BINARY, fresh)
  chmodSync(fresh, 0o755)
  utimesSync(fresh, atime, mtime)
  renameSync(fresh, target)
  return path
}

async function get(url: string): Promise<{ status: number; body: string }> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(20_000), keepalive: false })
    return { status: response.status, body: await response.text() }
  } catch (error) {
    return { status: 0, body: String(error) }
  }
}

// A port is taken from here on, not from when a container listens on it: with a hundred ports a run, two tests of one
// engine that draw at random and remember nothing get the same one in every third run or so.
export const PORT_CLAIMS = join(tmpdir(), 'stagecraft-test-ports')
const CLAIM_AGE = 3 * 60 * 60 * 1000 // longer than any run

/** @returns a port of this address that nothing listens on, and that no one else got within the last hours. */
export async function freePort(ip: string): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const port = 20000 + Math.floor(Math.random() * 10000)
    if (!claim(join(PORT_CLAIMS, `${ip}-${port}`))) continue
    const answers = await Bun.connect({ hostname: ip, port, socket: { data() {} } }).catch(() => undefined)
    if (!answers) return port
    answers.end()
  }
  throw new Error(`Cannot find a free port on ${ip}`)
}

/** @returns whether it was free: of two processes that make a file that must be new, one does. */
function claim(path: string): boolean {
  mkdirSync(PORT_CLAIMS, { recursive: true })
  const made = statSync(path, { throwIfNoEntry: false })?.mtimeMs
  if (made !== undefined && Date.now() - made > CLAIM_AGE) rmSync(path, { force: true })
  try {
    writeFileSync(path, '', { flag: 'wx' })
    return true
  } catch (error) {
    if (Object(error).code === 'EEXIST') return false
    throw error
  }
}
