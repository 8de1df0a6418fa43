import { constants } from 'node:os'
import { delimiter } from 'node:path'
import { $ as zx } from 'zx/core'
import { StagecraftError } from './errors.ts'

/** How a child process ended. A failed and a successful one have the same shape. */
export interface Result {
  readonly argv: readonly string[]
  /** exit code; 128+n where signal n ended it */
  readonly code: number
  /** at most the last `limit` characters of each stream */
  readonly stdout: string
  readonly stderr: string
  readonly timedOut: boolean
}

export interface ExecOptions {
  cwd?: string
  env?: Readonly<Record<string, string>>
  /** given to the child's stdin, which is /dev/null otherwise */
  input?: string
  /** milliseconds */
  timeout?: number
  /** ends the child, and its process group, when aborted */
  signal?: AbortSignal | undefined
  /** called with every line that the child prints, on either stream */
  onLine?: (line: string) => void
  /** characters kept of each stream: the last ones. Default 16 Mi, 64 Ki with `onLine`. */
  limit?: number
}

/** Runs a program and waits for its end; never throws for a program that fails. */
export type Exec = (argv: readonly string[], options?: ExecOptions) => Promise<Result>

/** The only place that starts a process. zx runs it in /bin/sh: Alpine has no bash. */
export const exec: Exec = async (argv, options = {}) => {
  requireProgram(argv[0] ?? '')
  const limit = options.limit ?? (options.onLine ? 64 * 1024 : 16 * 1024 * 1024)
  const [out, err] = [lastOf(limit), lastOf(limit)]
  const child = start(argv, options)
  let timedOut = false
  const end = () => killGroup(child.pid)
  const timer = options.timeout
    ? setTimeout(() => {
        timedOut = true
        end()
      }, options.timeout)
    : undefined
  const [fromOut, fromErr] = [lines(out.add, options.onLine), lines(err.add, options.onLine)]
  if (options.input !== undefined) child.stdin.on('error', () => {}) // a child need not read it: EPIPE
  child.stdout.on('data', fromOut.add)
  child.stderr.on('data', fromErr.add)
  if (options.signal?.aborted) end()
  options.signal?.addEventListener('abort', end)
  const output = await child
  fromOut.end()
  fromErr.end()
  clearTimeout(timer)
  options.signal?.removeEventListener('abort', end)
  const code = output.signal ? 128 + (constants.signals[output.signal] ?? 0) : (output.exitCode ?? 1)
  return { argv, code, stdout: out.text(), stderr: err.text(), timedOut }
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
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
  })
  return shell`exec ${argv}`
}

/** An array that forgets what is pushed into it. */
function sink(): string[] {
  const forgetful: string[] = []
  forgetful.push = () => 0
  return forgetful
}

function lastOf(limit: number) {
  let kept = ''
  return {
    add(text: string) {
      kept += text
      if (kept.length > 2 * limit) kept = kept.slice(-limit)
    },
    text: () => (kept.length > limit ? kept.slice(-limit) : kept),
  }
}

/** Characters of a line that has not ended yet: then it is cut, for the memory's sake. */
const MAX_LINE = 64 * 1024

/** Decodes chunks of UTF-8 across their borders, keeps them, and cuts them into lines. */
function lines(keep: (text: string) => void, onLine?: (line: string) => void) {
  const decoder = new TextDecoder()
  let rest = ''
  return {
    add(chunk: Buffer) {
      const text = decoder.decode(chunk, { stream: true })
      keep(text)
      if (!onLine) return
      const parts = (rest + text).split(/\r?\n/)
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

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGTERM')
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
