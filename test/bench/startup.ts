import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { historyOf } from './history.ts'
import { type Row, ratioRow } from './row.ts'

const BINARY = join(import.meta.dir, '../../dist/stagecraft')
const PAIRS = 25
const RELEASES = 10_000

/** What starting the binary costs, against an empty program compiled in the same way. */
export async function startupRows(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'stagecraft-bench-'))
  try {
    const empty = await compileEmpty(folder)
    writeHistory(folder, RELEASES)
    const list = [BINARY, 'releases', 'list']
    const all = [...list, '--limit', '10000']
    const rows = [
      ratioRow('`--version`, against an empty compiled program', pairs(folder, [BINARY, '--version'], [empty]), 1.5),
      ratioRow('`releases list` with 10,000, against the same', pairs(folder, list, [empty]), 8),
      ratioRow('the same, all rows printed (--limit 10000)', pairs(folder, all, [empty])),
    ]
    return [...rows, ...stdoutRow(folder, all)]
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function compileEmpty(folder: string): Promise<string> {
  const [source, outfile] = [join(folder, 'empty.ts'), join(folder, 'empty')]
  writeFileSync(source, 'export {}\n')
  const compile = { outfile, autoloadDotenv: false, autoloadBunfig: false }
  await Bun.build({ entrypoints: [source], minify: true, bytecode: true, format: 'esm', splitting: true, compile })
  return outfile
}

/** A project whose environment `prod` has had that many releases. */
function writeHistory(folder: string, count: number): void {
  mkdirSync(join(folder, '.stagecraft'), { recursive: true })
  writeFileSync(join(folder, 'compose.yaml'), 'services: {web: {image: "busybox:1"}}\n')
  writeFileSync(join(folder, 'stagecraft.yml'), 'project: {name: bench}\nenvironments: {prod: {}}\n')
  writeFileSync(join(folder, '.stagecraft/releases.json'), historyOf(count), { mode: 0o600 })
}

function pairs(cwd: string, ours: string[], theirs: string[]): { ours: number; theirs: number }[] {
  for (const argv of [ours, theirs]) milliseconds(cwd, argv)
  return Array.from({ length: PAIRS }, () => ({ theirs: milliseconds(cwd, theirs), ours: milliseconds(cwd, ours) }))
}

function milliseconds(cwd: string, argv: string[]): number {
  const began = performance.now()
  const { exitCode, stderr } = Bun.spawnSync(argv, { cwd, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  if (exitCode !== 0) throw new Error(`Cannot measure ${argv.join(' ')}: exit ${exitCode}\n${stderr}`)
  return performance.now() - began
}

/** How many system calls write to stdout, as strace counts them. */
function stdoutRow(cwd: string, argv: string[]): Row[] {
  const what = '`releases list` of all 10,000: writes to stdout'
  if (!Bun.which('strace')) return [{ what, measured: 'strace is not installed', limit: '1', ok: false }]
  const trace = join(cwd, 'strace.txt')
  const strace = ['strace', '-f', '-qq', '-e', 'trace=write,writev,pwrite64,sendto,splice,sendfile', '-o', trace]
  // The output goes to a pipe, which takes a big write in parts if no one reads it: spawnSync reads.
  Bun.spawnSync([...strace, ...argv], { cwd, stdin: 'ignore' })
  const calls = Bun.spawnSync(['grep', '-cE', '^[0-9]+ +(write|writev|pwrite64|sendto)\\(1,', trace]).stdout
  const count = Number(calls.toString())
  return [{ what, measured: String(count), limit: '1', ok: count === 1 }]
}
