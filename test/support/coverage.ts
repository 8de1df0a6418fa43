import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Lines that hold code, and those of them that ran, of one file. */
export type FileCoverage = { file: string; lines: number; hit: number }

/**
 * @returns one entry per file of `lib/`, from an lcov report. A file that no test imports is not in the report: all its
 * lines count as not run. One that holds only types has no lines.
 */
export function coverageOf(root: string, lcov: string): FileCoverage[] {
  const reported = parseLcov(readFileSync(lcov, 'utf8'))
  const files = [...new Bun.Glob('lib/**/*.ts').scanSync(root)].sort()
  return files.map((file) => reported.get(file) ?? { file, lines: codeLines(join(root, file)), hit: 0 })
}

export function parseLcov(text: string): Map<string, FileCoverage> {
  const files = new Map<string, FileCoverage>()
  for (const record of text.split('end_of_record')) {
    const field = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(record)?.[1]
    const file = field('SF')
    if (file !== undefined) files.set(file, { file, lines: Number(field('LF') ?? 0), hit: Number(field('LH') ?? 0) })
  }
  return files
}

function codeLines(path: string): number {
  const code = new Bun.Transpiler({ loader: 'ts' }).transformSync(readFileSync(path, 'utf8'))
  return code.split('\n').filter((line) => line.trim() !== '').length
}

/** @returns what to print: the share of all lines, and the files that keep it down. Throws below `least` per cent. */
export function judgeCoverage(files: readonly FileCoverage[], least: number): string {
  const sum = (of: (file: FileCoverage) => number) => files.reduce((total, file) => total + of(file), 0)
  const [hit, lines] = [sum((file) => file.hit), sum((file) => file.lines)]
  const percent = lines === 0 ? 0 : (100 * hit) / lines
  const total = `${percent.toFixed(1)} % of the ${lines} lines of lib/ ran, at least ${least} % must`
  if (percent >= least) return total
  const worst = files.toSorted((a, b) => b.lines - b.hit - (a.lines - a.hit)).slice(0, 10)
  throw new Error(
    [total, ...worst.map(({ file, lines, hit }) => `  ${file}: ${lines - hit} of ${lines} did not`)].join('\n'),
  )
}
