import * as v from 'valibot'
import { lineShapes } from '../../lib/output/contract/lines.ts'

const SHAPES = lineShapes()

/** @returns what is wrong with one object of `--json`: an unknown type or field, a missing one, another value */
export function lineProblem(line: unknown): string | undefined {
  const type = typeof line === 'object' && line !== null && 'type' in line ? String(line.type) : ''
  const shapes = SHAPES.get(type) ?? []
  if (shapes.length === 0) return `its type ${JSON.stringify(type)} is not in lib/output/contract/`
  const problems = shapes.map((shape) => v.safeParse(shape, line).issues ?? [])
  const nearest = problems.toSorted((a, b) => a.length - b.length)[0] ?? []
  return nearest.length === 0 ? undefined : nearest.slice(0, 3).map(issueText).join('; ')
}

function issueText(issue: v.BaseIssue<unknown>): string {
  return `${v.getDotPath(issue) ?? 'it'}: ${issue.message}`
}

/**
 * Every run of the program in a test passes through here: what it printed with `--json` has the form that is promised. The
 * last line may have been cut off, by the test or by the reader.
 * @throws with the path and the object
 */
export function checkContract(args: readonly string[], stdout: string): void {
  const own = args.includes('--') ? args.slice(0, args.indexOf('--')) : args
  if (!own.includes('--json') || !stdout.startsWith('{"v":1,')) return
  for (const line of stdout.split('\n').slice(0, -1)) {
    const problem = lineProblem(JSON.parse(line))
    if (problem !== undefined) throw new Error(`${own.join(' ')}: ${problem}\n${line.slice(0, 2_000)}`)
  }
}
