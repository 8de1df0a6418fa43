import { afterEach, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PHASES } from '../../../lib/plan/six-phases.ts'
import { scratch, stagecraftHere } from '../../support/command-line.ts'
import { checkContract } from '../../support/contract.ts'

// What needs no engine: nothing has been deployed. The rest: test/status/watch.test.ts, test/e2e/status-watch.test.ts.
let folder = scratch()
afterEach(() => folder.remove())

const CLI = join(import.meta.dir, '../../../cli.ts')
const TWO = { 'stagecraft.yml': 'environments: {test: {}, live: {}}' }
const WATCH = ['status', '--watch', '--interval', '500ms']

/** A person in front of a terminal. */
function onTerminal(columns: number, rows: number) {
  let printed = ''
  const waiting = new Set<() => void>()
  const child = Bun.spawn([process.execPath, CLI, ...WATCH], {
    cwd: folder.path,
    env: { ...process.env, TERM: 'xterm', NO_COLOR: '1', TZ: 'UTC' },
    terminal: {
      cols: columns,
      rows,
      data(_, data) {
        printed += new TextDecoder().decode(data)
        for (const look of waiting) look()
      },
    },
  })
  return {
    child,
    press: (key: string) => child.terminal?.write(key),
    resize: (wide: number, high: number) => child.terminal?.resize(wide, high),
    output: () => printed,
    /** @returns once that has been printed, after a position of the output */
    shows: (what: string, from = 0) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (!printed.slice(from).includes(what)) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
  }
}

/** Its exit code is on stderr: that of a pipe is the reader's. */
async function piped(reader: string) {
  const line = `{ "$@"; echo "exit $?" >&2; } | ${reader}`
  const argv = ['sh', '-c', line, 'sh', process.execPath, CLI, ...WATCH, '--json']
  const child = Bun.spawn(argv, { cwd: folder.path, stdout: 'pipe', stderr: 'pipe' })
  return { stdout: await new Response(child.stdout).text(), stderr: await new Response(child.stderr).text() }
}

/** The lines of the last whole view. */
function lastView(output: string): string[] {
  const [view = ''] = output.split('\x1b[?2026h').at(-1)?.split('\x1b[?2026l') ?? []
  return Bun.stripANSI(view).split(/\r+\n/)
}

describe('status --watch', () => {
  test('--json is a line for each look and environment, and ends quietly with its reader', async () => {
    folder = scratch(TWO)
    const { stdout, stderr } = await piped('head -4')
    expect(stderr).toBe('exit 141\n')
    checkContract([...WATCH, '--json'], stdout)
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ type, environment }) => `${type} ${environment}`)).toEqual([
      ...['status live', 'status test', 'status live', 'status test'],
    ])
    const at = lines.map((line) => Date.parse(line.at))
    expect((at[2] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(500)
    expect(await piped(':')).toEqual({ stdout: '', stderr: 'exit 141\n' })
  })

  test('without a terminal prints a view at first, and again only after a change', async () => {
    folder = scratch({ 'stagecraft.yml': 'environments: {test: {}}' })
    const child = Bun.spawn([process.execPath, CLI, ...WATCH], { cwd: folder.path, stdout: 'pipe', stderr: 'pipe' })
    let printed = ''
    const decoder = new TextDecoder()
    let changed = false
    for await (const chunk of child.stdout) {
      printed += decoder.decode(chunk)
      if (!changed && printed.endsWith('nothing has been deployed to test yet\n\n')) {
        changed = true
        await Bun.sleep(1200) // two more looks, which find the same
        const phases = Object.fromEntries(PHASES.map((phase) => [phase, 'pending']))
        const release = { id: 'rel-20261122-080225643', environment: 'test', version: 'v1', commit_sha: '' }
        const releases = [{ ...release, timestamp: '2026-11-22T08:02:25.643Z', phases }]
        await Bun.write(join(folder.path, '.stagecraft/releases.json'), JSON.stringify({ releases }, null, 2))
      }
      if (printed.includes('interrupted')) child.kill('SIGTERM')
    }
    expect(await child.exited).toBe(143)
    const blocks = printed.split(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/m).slice(1)
    expect(blocks).toEqual([
      '\n\nnothing has been deployed to test yet\n\n',
      '\n\ntest: no release is live yet\nv1 (rel-20261122-080225643) was interrupted in build: the next deploy, rollback or prune undoes it\n\n',
    ])
  })

  test('on a terminal shows it in place, fits it, and gives the terminal back at Ctrl-C', async () => {
    folder = scratch(TWO)
    const terminal = onTerminal(80, 24)
    await terminal.shows('every 0.5 s, Ctrl-C ends')
    await terminal.shows('deployed to test yet')
    const from = terminal.output().length
    terminal.resize(20, 4)
    await terminal.shows('2 more lines', from)
    expect(lastView(terminal.output()).every((line) => line.length <= 20)).toBe(true)
    terminal.press('\x03')
    expect(await terminal.child.exited).toBe(130)
    const [screen = '', after = ''] = terminal.output().split('\x1b[?25h\x1b[?1049l')
    expect(screen).toStartWith('\x1b[?1049h\x1b[?25l')
    expect(after).toMatch(/^\d{4}-\S+ \S+\r\n\r\nnothing has been deployed to live yet\r\n\r\nnothing has been/)
  })

  test('Ctrl-Z restores the terminal too, and it continues after fg', async () => {
    folder = scratch(TWO)
    const terminal = onTerminal(80, 24)
    await terminal.shows('deployed to test yet')
    terminal.child.kill('SIGTSTP')
    await terminal.shows('\x1b[?25h\x1b[?1049l')
    const from = terminal.output().length
    await untilStopped(terminal.child.pid)
    terminal.child.kill('SIGCONT')
    await terminal.shows('\x1b[?1049h', from)
    terminal.child.kill('SIGTERM')
    expect(await terminal.child.exited).toBe(143)
  })

  test('is refused with an interval that is none', async () => {
    folder = scratch(TWO)
    const run = (...args: string[]) => stagecraftHere(['status', ...args], { cwd: folder.path })
    const [alone, short] = [await run('--interval', '2s'), await run('-w', '--interval', '499ms')]
    expect([alone.exit, alone.stderr.split('\n')[0]]).toEqual([2, 'Cannot run "status": "--interval" is for --watch'])
    expect([short.exit, short.stderr.split('\n')[0]]).toEqual([
      2,
      'Cannot run "status": "--interval 499ms" is not a duration of at least 500ms',
    ])
    folder.remove()
    folder = scratch({ 'stagecraft.yml': 'environment: {}' })
    expect((await run('--watch')).exit).toBe(3)
  })
})

/** It gives the terminal back an instant before it stops: a SIGCONT in between would be lost. */
async function untilStopped(pid: number): Promise<void> {
  const state = () => /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  for (let tries = 0; state() !== 'T' && tries < 600; tries++) await Bun.sleep(50)
}
