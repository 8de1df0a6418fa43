import { constants } from 'node:os'
import { delimiter, resolve } from 'node:path'
import { type Readable, Writable } from 'node:stream'
import { $ as zx } from 'zx/core'
import { StagecraftError } from './errors.ts'
import { WATCHER } from './watcher.ts'

/** How a child process ended. A failed and a successful one have the same shape. */
export interface Result {
  readonly argv: readonly string[]
  /** exit code; 128+n where signal n ended it */
  readonly code: number
  /** at most the last `limit` bytes of each stream */
  readonly stdout: string
  readonly stderr: string
  readonly timedOut: boolean
}

export interface ExecOptions {
  cwd?: string
  /** added to ours; undefined: left out of it */
  env?: Readonly<Record<string, string | undefined>>
  /** given to the child's stdin, which is /dev/null otherwise */
  input?: string
  /** what the child's stdin reads instead, as fast as it takes it */
  inputFrom?: Readable
  /** is given what the child's stdout prints, and its end */
  outputTo?: Writable
  /** written to the child's stdin again and again, until it ends or `until` is aborted; then its stdin is closed */
  feed?: Feed
  /** milliseconds */
  timeout?: number
  /** ends the child, and its process group, when aborted */
  signal?: AbortSignal | undefined
  /** milliseconds that a child has to end after SIGTERM, before SIGKILL. Default 10 s. */
  grace?: number
  /** called with every line that the child prints, on either stream */
  onLine?: ((line: string) => void) | undefined
  /** stderr goes to `stdout` of the result too, in the order in which it came */
  merge?: boolean
  /** bytes kept of each stream: the last ones. Default 16 MiB. */
  limit?: number
  /** a file descriptor of ours with a lock on it, which is held until the child has ended if we die; needs `outlive` */
  keep?: number | undefined
  /**
   * milliseconds that the child may go on when this process has died, however it died (kill -9 too); then its process
   * group gets TERM, and after `grace` KILL. Without it, it goes on for as long as it likes.
   */
  outlive?: number | undefined
}

/** A sign of life for a child that ends without one. */
export interface Feed {
  readonly text: string
  /** milliseconds */
  readonly every: number
  readonly until: AbortSignal
  /** what is written before stdin is closed: the child knows then that it was meant */
  readonly last?: string
}

/** Runs a program and waits for its end; never throws for a program that fails. */
export type Exec = (argv: readonly string[], options?: ExecOptions) => Promise<Result>

/** Milliseconds from TERM to KILL, as docker stop has them. */
const GRACE = 10_000

/** The only place that starts a process. zx runs it in /bin/sh: Alpine has no bash. */
export const exec: Exec = async (argv, options = {}) => {
  requireProgram(argv[0] ?? '')
  const limit = options.limit ?? 16 * 1024 * 1024
  const out = lastOf(limit)
  const err = options.merge ? out : lastOf(limit)
  const child = start(argv, options)
  if (hasPipe(options)) child.stdin.on('error', () => {}) // a child need not read it: EPIPE
  const hungry = options.feed && feedChild(child.stdin, options.feed)
  let timedOut = false
  let lastResort: Timer | undefined
  const end = () => {
    killGroup(child.pid, 'SIGTERM')
    lastResort ??= setTimeout(() => killGroup(child.pid, 'SIGKILL'), options.grace ?? GRACE)
  }
  options.inputFrom?.on('error', end).pipe(child.stdin)
  const timer = options.timeout
    ? setTimeout(() => {
        timedOut = true
        end()
      }, options.timeout)
    : undefined
  if (options.outputTo) child.stdout.pipe(options.outputTo)
  const lines = [cutLines(options.onLine), cutLines(options.onLine)] as const
  for (const [stream, kept, cut] of [
    [child.stdout, out, lines[0]],
    [child.stderr, err, lines[1]],
  ] as const)
    stream.on('data', (chunk: Buffer) => {
      kept.add(chunk)
      cut.add(chunk)
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
    // zx keeps all output by default, 106 MB for 50 MB: keep what `lastOf` keeps, once
    store: { stdout: sink(), stderr: sink(), stdall: sink() },
    stdio: [hasPipe(options) ? 'pipe' : 'ignore', 'pipe', 'pipe', ...moreDescriptors(options)],
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    // A shell keeps the name of a link in PWD, and Compose would name the project by it.
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

function hasPipe({ input, inputFrom, feed }: ExecOptions): boolean {
  return input !== undefined || inputFrom !== undefined || feed !== undefined
}

/** @returns what ends it */
function feedChild(stdin: Writable, { text, every, until, last = '' }: Feed): () => void {
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

/** The descriptors from 3 on, which only the watcher has: what is kept, and its pipe. */
function moreDescriptors({ keep, outlive }: ExecOptions): ('ignore' | 'pipe' | number)[] {
  return outlive === undefined ? [] : [keep ?? 'ignore', 'pipe']
}

/** Waits for the end. The watcher has to be told of it: with its pipe open the child never counts as closed. */
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
  const forgetful: string[] = []
  forgetful.push = () => 0
  return forgetful
}

/** Characters of a line that has not ended yet: then it is cut, for the memory's sake. */
const MAX_LINE = 64 * 1024

/** Keeps the last bytes as they came: making a text of each chunk costs as much memory again. */
function lastOf(limit: number) {
  const chunks: Buffer[] = []
  let length = 0
  return {
    add(chunk: Buffer) {
      chunks.push(chunk)
      length += chunk.length
      while (length - (chunks[0]?.length ?? 0) >= limit) length -= chunks.shift()?.length ?? 0
    },
    text: () => new TextDecoder().decode(Buffer.concat(chunks).subarray(-limit)),
  }
}

/** Decodes chunks of UTF-8 across their borders and cuts them into lines. */
function cutLines(onLine: ((line: string) => void) | undefined) {
  const decoder = new TextDecoder()
  let rest = ''
  return {
    add(chunk: Buffer) {
      if (!onLine) return
      const parts = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/)
      rest = parts.pop() ?? ''
      for (const line of parts) onLine(line)
      if (rest.length < MAX_LINE) return
      onLine(rest)
      rest = ''
    },
    end() {
      if (rest !== '') onLine?.(rest)
    },
  }
}

function killGroup(pid: number | undefined, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // it has already ended
  }
}

/** @returns `text` as one word for a POSIX shell (XCU 2.2.2: nothing is special inside single quotes). */
export function quotePosix(text: string): string {
  return /^[A-Za-z0-9_/:=.,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
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
