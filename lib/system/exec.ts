import { constants } from 'node:os'
import { delimiter, resolve } from 'node:path'
import { type Readable, Writable } from 'node:stream'
import { getSystemErrorName } from 'node:util'
import { $ as zx } from 'zx/core'
import { cutLines, lastOf } from '../util/chunks.ts'
import { StagecraftError } from '../util/errors.ts'
import { quotePosix } from '../util/format.ts'
import { WATCHER } from './watcher.ts'

/** How a child process ended: failed and successful ones have the same shape. */
export interface Result {
  readonly argv: readonly string[]
  /** exit code; 128+n if signal n ended it */
  readonly code: number
  /** at most the last `limit` bytes of each stream */
  readonly stdout: string
  readonly stderr: string
  readonly timedOut: boolean
}

export type Stream = 'stdout' | 'stderr'

export interface ExecOptions {
  cwd?: string
  /** added to Stagecraft's environment; undefined: removed from it */
  env?: Readonly<Record<string, string | undefined>>
  /** the child's stdin, which is /dev/null otherwise */
  input?: string
  /** a stream for the child's stdin, read as fast as the child takes it */
  inputFrom?: Readable
  /** gets the child's stdout, and its end; if it fails, the child is ended */
  outputTo?: Writable
  /** written to the child's stdin at intervals, until it ends or `until` is aborted; then its stdin is closed */
  heartbeat?: Heartbeat
  /** milliseconds */
  timeout?: number
  /** ends the child, and its process group, when aborted */
  signal?: AbortSignal | undefined
  /** milliseconds from SIGTERM to SIGKILL. Default 10 s. */
  grace?: number
  /** called with every line that the child prints, on either stream */
  onLine?: ((line: string, stream: Stream) => void) | undefined
  /** stderr goes to the result's `stdout` too, in the order of arrival */
  merge?: boolean
  /** bytes kept of each stream: the last ones. Default 16 MiB. */
  limit?: number
  /** a file descriptor with a lock: if Stagecraft dies, the lock is held until the child has ended. Needs `outlive` */
  inheritFd?: number | undefined
  /**
   * milliseconds that the child may run on after Stagecraft has died (by kill -9 too); then its process group gets TERM,
   * and KILL after `grace`. Default: no limit.
   */
  outlive?: number | undefined
}

/** A sign of life for a child that ends if it gets none. */
interface Heartbeat {
  readonly text: string
  /** milliseconds */
  readonly every: number
  readonly until: AbortSignal
  /** written before stdin is closed, so that the child knows that the end is intended */
  readonly last?: string
}

/** Runs a program and waits for its end. A program that fails does not throw. @throws unreachable (8) if it is not installed */
export type Exec = (argv: readonly string[], options?: ExecOptions) => Promise<Result>

/** Milliseconds from TERM to KILL, as in docker stop. */
const GRACE = 10_000

/** Bytes of lines after which their garbage is collected: left alone, that of a long build takes 20 MiB more. */
const COLLECT_AFTER = 4 * 1024 * 1024

/** Starts all processes but those that a person talks to (attach.ts). zx runs them in /bin/sh: Alpine has no bash. */
export const exec: Exec = async (argv, options = {}) => {
  requireProgram(argv[0] ?? '')
  const limit = options.limit ?? 16 * 1024 * 1024
  const out = lastOf(limit)
  const err = options.merge ? out : lastOf(limit)
  let uncollected = 0
  const child = start(argv, options)
  if (hasPipe(options)) child.stdin.on('error', () => {}) // a child need not read it: EPIPE
  const hungry = options.heartbeat && feedChild(child.stdin, options.heartbeat)
  let timedOut = false
  let lastResort: Timer | undefined
  const end = () => {
    killGroup(child.pid, 'SIGTERM')
    lastResort ??= setTimeout(() => {
      killGroup(child.pid, 'SIGKILL')
      // A daemon that has left the group may keep them open.
      child.stdout.destroy()
      child.stderr.destroy()
    }, options.grace ?? GRACE)
  }
  options.inputFrom?.on('error', end).pipe(child.stdin)
  const timer = options.timeout
    ? setTimeout(() => {
        timedOut = true
        end()
      }, options.timeout)
    : undefined
  options.outputTo?.on('error', end)
  if (options.outputTo) child.stdout.pipe(options.outputTo)
  const lines = (['stdout', 'stderr'] as const).map((stream) => {
    const cut = cutLines(options.onLine && ((line) => options.onLine?.(line, stream)))
    child[stream].on('data', (chunk: Buffer) => {
      for (const each of [stream === 'stdout' ? out : err, cut]) each.add(chunk)
      if (options.onLine) uncollected += chunk.length
      if (uncollected < COLLECT_AFTER) return
      Bun.gc(true)
      uncollected = 0
    })
    return cut
  })
  if (options.signal?.aborted) end()
  options.signal?.addEventListener('abort', end)
  const output = await ended(child)
  for (const each of lines) each.end()
  clearTimeout(timer)
  clearTimeout(lastResort)
  hungry?.()
  options.signal?.removeEventListener('abort', end)
  const code = output.signal ? 128 + (constants.signals[output.signal] ?? 0) : (output.exitCode ?? 1)
  if (code < 0) throw notStarted(argv[0] ?? '', code, options.cwd)
  return { argv, code, stdout: out.text(), stderr: options.merge ? '' : err.text(), timedOut }
}

function start(argv: readonly string[], options: ExecOptions) {
  const shell = zx({
    shell: '/bin/sh',
    prefix: '',
    postfix: '',
    quote: quotePosix,
    nothrow: true,
    quiet: true,
    verbose: false,
    detached: true, // a process group of its own: one kill ends the whole tree
    log: () => {},
    // By default zx keeps all output, in 106 MB for 50 MB: only `lastOf` keeps it here.
    store: { stdout: sink(), stderr: sink(), stdall: sink() },
    stdio: [hasPipe(options) ? 'pipe' : 'ignore', 'pipe', 'pipe', ...moreDescriptors(options)],
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    // A shell's PWD has the name of a symlink, and Compose would name the project by it.
    env: mergeEnv({ ...(options.cwd === undefined ? {} : { PWD: resolve(options.cwd) }), ...options.env }),
  })
  if (options.outlive === undefined) return shell`exec ${argv}`
  const [outlive, grace] = [options.outlive, options.grace ?? GRACE].map((ms) => String(Math.ceil(ms / 1000)))
  return shell`/bin/sh -c ${WATCHER} watcher ${outlive} ${grace} $$ </dev/null >/dev/null 2>&1 & exec ${argv} 3>&- 4<&-`
}

function mergeEnv(more: ExecOptions['env'] = {}): NodeJS.ProcessEnv {
  const all = Object.entries({ ...process.env, ...more })
  return Object.fromEntries(all.filter(([, value]) => value !== undefined))
}

function hasPipe({ input, inputFrom, heartbeat }: ExecOptions): boolean {
  return input !== undefined || inputFrom !== undefined || heartbeat !== undefined
}

/** @returns a function that stops it */
function feedChild(stdin: Writable, { text, every, until, last = '' }: Heartbeat): () => void {
  const timer = setInterval(() => stdin.write(text), every)
  const end = () => {
    clearInterval(timer)
    stdin.end(last)
  }
  until.addEventListener('abort', end)
  stdin.write(text)
  if (until.aborted) end()
  return () => {
    until.removeEventListener('abort', end)
    end()
  }
}

/** The descriptors from 3 on, which only the watcher has: the lock, and its pipe. */
function moreDescriptors({ inheritFd, outlive }: ExecOptions): ('ignore' | 'pipe' | number)[] {
  return outlive === undefined ? [] : [inheritFd ?? 'ignore', 'pipe']
}

/** Waits for the end, and signals it to the watcher: while the watcher's pipe is open, the child never counts as closed. */
async function ended(child: ReturnType<typeof start>) {
  const watcher = child.child?.stdio[4]
  if (watcher instanceof Writable) {
    watcher.on('error', () => {}) // it was killed with its group
    child.child?.once('exit', () => watcher.end('ended\n'))
  }
  return child
}

/** An array that forgets what is pushed into it. */
function sink(): string[] {
  return Object.assign<string[], object>([], { push: () => 0 })
}

function killGroup(pid: number | undefined, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // it has already ended
  }
}

/** @param code a negative errno: of the folder, or the system has no room for another process */
function notStarted(program: string, code: number, cwd: string | undefined): StagecraftError {
  const why = getSystemErrorName(code).replace('ENOENT', `the folder ${cwd} does not exist`)
  return new StagecraftError('failed', `Cannot run ${program}: ${why}`)
}

function requireProgram(name: string): void {
  if (Bun.which(name, { PATH: process.env['PATH'] ?? '' })) return
  throw new StagecraftError('unreachable', `Cannot run ${name}: the program is not installed or not in PATH`, {
    hint:
      name === 'docker'
        ? 'Install Docker with the compose plugin, then try again.'
        : `Install ${name}, or add its folder to PATH (now ${(process.env['PATH'] ?? '').split(delimiter).length} folders).`,
  })
}
