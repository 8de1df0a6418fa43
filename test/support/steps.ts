import { readFileSync } from 'node:fs'

/** The result of one part of the test run. A part that is not made of tests, such as types, counts as one. */
export type Result = {
  name: string
  passed: number
  failed: number
  skipped: string[]
  seconds: number
  /** what has not been shown yet */
  output: string
  /** what was printed of each test that failed, also where it was shown: for the end of a long output */
  failures?: string[]
  /** the test files that took longest, and for how many seconds each */
  slowest?: string[]
}

/** `limit` is in seconds. `live` shows the output while it comes. */
type CommandOptions = { env?: Record<string, string>; limit?: number; live?: boolean }

/** Processes of this run that have not ended: what a signal ends. */
const alive = new Set<Bun.Subprocess>()

/** Ends what still runs. Every `bun test` ends its own children (`--no-orphans`). */
export async function endAll(): Promise<void> {
  const children = [...alive]
  for (const child of children) child.kill('SIGTERM')
  await Promise.race([Promise.all(children.map((child) => child.exited)), Bun.sleep(5000)])
  for (const child of alive) child.kill('SIGKILL')
}

/** Runs a command to its end. Past its limit it is killed, which is a failure like any other. */
export async function runCommand(
  argv: string[],
  options: CommandOptions = {},
): Promise<{ code: number; output: string }> {
  // One stream, so that failures and their reasons stay together.
  const child = Bun.spawn(['sh', '-c', 'exec "$0" "$@" 2>&1', ...argv], {
    env: { ...process.env, ...options.env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  alive.add(child)
  const timer = setTimeout(() => child.kill('SIGKILL'), (options.limit ?? 900) * 1000)
  const output = await textOf(child.stdout, options.live === true)
  const code = await child.exited
  clearTimeout(timer)
  alive.delete(child)
  return { code, output }
}

async function textOf(stream: ReadableStream<Uint8Array>, live: boolean): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of stream) {
    if (live) process.stdout.write(chunk)
    text += decoder.decode(chunk, { stream: true })
  }
  return text
}

/** How many lines of a failed test are repeated. */
const LINES = 40

/** @returns what was printed between the test before each one that failed, and it; or after it, as parallel ones do */
function failuresIn(output: string): string[] {
  const lines = output.split('\n')
  const heading = /^\((pass|fail|skip)\) |^\S+\.test\.ts:$/
  // At its end Bun lists the failed ones once more.
  const list = lines.findLastIndex((line) => /^\d+ tests failed:$/.test(line))
  const end = list === -1 ? lines.length : list
  return lines.flatMap((line, at) => {
    if (!line.startsWith('(fail) ') || at > end) return []
    const before = lines.slice(lines.findLastIndex((each, index) => index < at && heading.test(each)) + 1, at)
    const next = lines.findIndex((each, index) => index > at && heading.test(each))
    const after = before.length > 0 ? [] : lines.slice(at + 1, Math.min(next === -1 ? end : next, at + LINES))
    return [[...before.slice(-LINES), line, ...after].join('\n')]
  })
}

/** A check that passes or fails as a whole. */
export async function commandStep(name: string, argv: string[], options: CommandOptions = {}): Promise<Result> {
  const began = performance.now()
  const { code, output } = await runCommand(argv, options)
  return outcome(name, code === 0, output, began)
}

/** A check in this process: passes if it returns, fails with the message it throws. */
export function localStep(name: string, check: () => string): Result {
  const began = performance.now()
  try {
    return outcome(name, true, check(), began)
  } catch (error) {
    return outcome(name, false, error instanceof Error ? error.message : String(error), began)
  }
}

function outcome(name: string, ok: boolean, output: string, began: number): Result {
  return { name, passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: [], seconds: secondsSince(began), output }
}

/** Runs test files with `bun test` and counts what its JUnit report says. */
export async function testStep(
  name: string,
  files: string[],
  report: string,
  options: CommandOptions & { args?: string[] },
): Promise<Result> {
  const began = performance.now()
  if (files.length === 0)
    return { name, passed: 0, failed: 0, skipped: [`${name}: no such tests`], seconds: 0, output: '' }
  const argv = [process.execPath, '--no-orphans', 'test', '--reporter=junit', `--reporter-outfile=${report}`]
  const { code, output } = await runCommand([...argv, ...(options.args ?? []), ...files.map((file) => `./${file}`)], {
    ...options,
    env: { NO_COLOR: '1', ...options.env },
  })
  const shown = options.live ? '' : output
  const results = { output: shown, failures: failuresIn(output), slowest: slowestIn(readReport(report)) }
  return { name, ...countOf(report, code), seconds: secondsSince(began), ...results }
}

function slowestIn(xml: string): string[] {
  const suites = [...xml.matchAll(/<testsuite name="([^"]+)\.test\.ts" [^>]*\btime="([\d.]+)"/g)]
  const files = suites.map(([, name, time]) => [(name ?? '').replace(/^test\//, ''), Number(time)] as const)
  const longest = files.toSorted(([, one], [, other]) => other - one).slice(0, 5)
  return longest.map(([name, seconds]) => `${name} ${seconds.toFixed(0)} s`)
}

/** A file that cannot even be loaded, or a run that was killed, has no failed test of its own: it counts as one. */
function countOf(report: string, code: number): Pick<Result, 'passed' | 'failed' | 'skipped'> {
  const xml = readReport(report)
  const [all = ''] = /<testsuites [^>]*>/.exec(xml) ?? []
  const count = (what: string) => Number(new RegExp(`\\b${what}="(\\d+)"`).exec(all)?.[1] ?? 0)
  const skipped = [...xml.matchAll(/<testcase name="([^"]*)"[^>]*>\s*<skipped/g)].map(([, name]) =>
    unescapeXml(name ?? ''),
  )
  const failed = code === 0 ? count('failures') : Math.max(1, count('failures'))
  return { passed: count('tests') - count('failures') - count('skipped'), failed, skipped }
}

function readReport(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function unescapeXml(text: string): string {
  const named: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (entity, name: string) => named[name] ?? entity)
}

function secondsSince(began: number): number {
  return (performance.now() - began) / 1000
}
