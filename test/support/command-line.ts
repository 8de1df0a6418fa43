import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { COMMANDS } from '../../lib/cli/commands/table.ts'
import { dispatch } from '../../lib/cli/dispatch.ts'
import { checkContract } from './contract.ts'

const ROOT = join(import.meta.dir, '../..')

export type Printed = { exit: number; stdout: string; stderr: string }

/** An environment without the caller's own STAGECRAFT_* variables, in UTC, plain. */
const CLEAN = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STAGECRAFT_')))

/** Runs the command line from source as a process of its own, without a terminal. */
export async function stagecraft(
  args: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string>>; shell?: string } = {},
): Promise<Printed> {
  const command = [process.execPath, join(ROOT, 'cli.ts'), ...args]
  // `shell` is what follows the command in sh: a redirection or a pipe.
  const argv = options.shell === undefined ? command : ['sh', '-c', `"$@" ${options.shell}`, 'sh', ...command]
  const child = Bun.spawn(argv, {
    cwd: options.cwd ?? ROOT,
    env: { ...CLEAN, TZ: 'UTC', ...options.env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [stdout, stderr, exit] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  checkContract(args, stdout)
  return { exit, stdout, stderr }
}

/**
 * The same in this process: faster, and what it runs counts as covered. It has no streams of its own to lose.
 * `said` gets what it says on stderr, as it comes.
 */
export async function stagecraftHere(
  args: readonly string[],
  options: { cwd: string; env?: Readonly<Record<string, string>>; said?: string[] },
): Promise<Printed> {
  const [out, err]: [string[], string[]] = [[], options.said ?? []]
  const stream = (to: string[]) => ({ failure: undefined, write: (text: string) => void to.push(text) })
  const argv = [...args, '--directory', options.cwd]
  const env = { ...CLEAN, ...options.env }
  const exit = await dispatch({ argv, env, commands: COMMANDS, streams: { stdout: stream(out), stderr: stream(err) } })
  checkContract(args, out.join(''))
  return { exit, stdout: out.join(''), stderr: err.join('') }
}

/** A folder of the test's own, with these files, removed with `remove()`. */
export function scratch(files: Readonly<Record<string, string>> = {}): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'stagecraft-test-'))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), content)
  }
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}
