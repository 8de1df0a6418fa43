// Programs under strace: every system call of a piece of work, and what happens if one fails or kills it.
import { expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join } from 'node:path'

/** What a change of our files may ask of the system; the rest is the runtime's own. */
const CALLS = [
  ...['stat', 'lstat', 'statx', 'newfstatat', 'fstat', 'open', 'openat', 'readlink', 'readlinkat', 'getdents64'],
  ...['mkdir', 'mkdirat', 'chmod', 'fchmod', 'fchmodat', 'read', 'pread64', 'write', 'pwrite64', 'writev', 'pwritev'],
  ...['fsync', 'fdatasync', 'close', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'kill', 'flock'],
]

/** @returns whether the tests that need it can run. */
export function have(what: string, there: boolean, file: string): boolean {
  if (there) return true
  test.if(process.env['CI'] === 'true')(`${what} is there`, () => expect().fail(`${what} is missing`))
  process.stderr.write(`left out, as ${what} is missing: tests of ${basename(file)}\n`)
  return false
}

/** A system call of a change: its index among those of its name, from the start of the process, and from that of the change. */
export type Call = { name: string; index: number; within: number; line: string }

/** A program as one file: the runtime looks for hundreds of modules in another order each time, as busy as the machine is. */
function bundled(program: string): Promise<string> {
  const before = bundles.get(program)
  if (before) return before
  const outdir = mkdtempSync(join(tmpdir(), 'stagecraft-bundled-'))
  process.on('exit', () => rmSync(outdir, { recursive: true, force: true }))
  const built = Bun.build({ entrypoints: [program], target: 'bun', outdir }).then(({ outputs: [file] }) => {
    if (file === undefined) throw new Error(`nothing came of ${program}`)
    return file.path
  })
  bundles.set(program, built)
  return built
}

const bundles = new Map<string, Promise<string>>()

/** Runs a program of ours; `options` are strace's, such as a fault. Its main thread does all the work: no -f. */
export async function underStrace(
  [program, ...args]: readonly [string, ...string[]],
  trace: string,
  options: readonly string[],
  calls: readonly string[] = CALLS,
): Promise<{ exit: string; stdout: string; trace: string }> {
  const traced = `trace=${calls.map((call) => `?${call}`).join(',')}`
  const strace = ['strace', '-qq', '-o', trace, '-e', traced, '-e', 'signal=none', ...options]
  const child = Bun.spawn([...strace, process.execPath, await bundled(program), ...args], {
    stdout: 'pipe',
    stderr: 'ignore',
  })
  const stdout = await new Response(child.stdout).text()
  const exit = String((await child.exited) === 137 || child.signalCode === 'SIGKILL' ? 'killed' : child.exitCode)
  return { exit, stdout, trace: readFileSync(trace, 'utf8') }
}

/** The system calls between the two marks that the program leaves in the trace. */
export function callsOf(trace: string): Call[] {
  const counts = new Map<string, number>()
  let before = new Map<string, number>()
  const calls: Call[] = []
  let inside = false
  let memory = '' // the descriptor by which the runtime looks how much of it there is, at any time
  for (const line of trace.split('\n')) {
    const [, name] = /^(\w+)\(/.exec(line) ?? []
    if (name === undefined) continue
    counts.set(name, (counts.get(name) ?? 0) + 1)
    if (line.includes('/work-ends')) inside = false
    const index = counts.get(name) ?? 0
    if (line.includes('"/proc/self/statm"')) memory = / = (\d+)$/.exec(line)?.[1] ?? ''
    else if (memory !== '' && new RegExp(`^\\w+\\(${memory}\\b`).test(line)) memory = name === 'close' ? '' : memory
    else if (inside) calls.push({ name, index, within: index - (before.get(name) ?? 0), line })
    if (!line.includes('/work-begins')) continue
    inside = true
    before = new Map(counts)
  }
  return calls
}

/** Where else the call may be: mostly as many of the runtime's come before it as the last time. */
const NEAR = [0, 0, 0, 1, -1, 0, 2, -2, 0, 3, -3, 0, 4, -4, 0, 5, -5, 0, 1, -1, 2, -2]
const SHIFTS = [...NEAR, ...NEAR, ...NEAR, ...NEAR] // on a busy machine it takes long until two runs are alike

/**
 * The runtime opens files of its own, on a busy machine some more or fewer: runs again, until the fault hits the call that is
 * meant. @param run with strace's options @param onMiss called for each run that it hit elsewhere
 * @throws where it never does
 */
export async function untilHit<T extends { readonly trace: string }>(
  call: Call,
  inject: string,
  run: (options: readonly string[]) => Promise<T>,
  onMiss: (missed: T) => void = () => {},
): Promise<T> {
  let before = call.index - call.within
  for (const shift of SHIFTS) {
    const outcome = await run(['-e', `inject=${call.name}:${inject}:when=${before + call.within + shift}`])
    if (isHit(outcome.trace, call)) return outcome
    before = callsBefore(outcome.trace, call.name) ?? before
    onMiss(outcome)
  }
  throw new Error(`no fault hit ${call.line}`)
}

/** @returns how many calls of that name the runtime had made when the change began; undefined: it did not come that far */
function callsBefore(trace: string, name: string): number | undefined {
  const lines = trace.split('\n')
  const begins = lines.findIndex((line) => line.includes('/work-begins'))
  return begins < 0 ? undefined : lines.slice(0, begins).filter((line) => line.startsWith(`${name}(`)).length
}

/** The runtime's own calls differ a little from run to run. @returns whether the fault hit the call that is meant */
function isHit(trace: string, call: Call): boolean {
  const hit = callsOf(trace).find(({ line }) => /\(INJECTED\)|= \?$|<unfinished \.\.\.>$/.test(line))
  return hit?.name === call.name && shapeOf(hit.line) === shapeOf(call.line)
}

/** The call's name and the file or descriptor it is about: what it gave back is not there when it was kept from running. */
function shapeOf(line: string): string {
  const [shape = line] = /^\w+\((?:AT_FDCWD, )?(?:"[^"]*"|\w+)/.exec(line) ?? []
  return shape.replace(/project-\w+/, 'project').replace(/-\d+-(\d+\.tmp)/, '-PID-$1')
}

/** A few at a time. @returns all problems */
export async function eachCall(
  calls: readonly Call[],
  problemsOf: (call: Call) => Promise<string[]>,
): Promise<string[]> {
  const queue = [...calls]
  const problems: string[] = []
  const worker = async () => {
    for (let call = queue.shift(); call; call = queue.shift()) problems.push(...(await problemsOf(call)))
  }
  await Promise.all(Array.from({ length: availableParallelism() + 1 }, worker))
  return problems
}
