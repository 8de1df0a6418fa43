import { expect } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const SPEC = join(import.meta.dir, '../../spec')
const FIXTURES = join(import.meta.dir, '../fixtures')

/** A fenced block of a spec file. Its content is the `length` lines below line number `line` (from 1). */
export type Fence = { language: string; golden: string | undefined; line: number; length: number; content: string }

/** @returns every fenced block of a Markdown text, in order. Throws on one that is never closed. */
export function fencesOf(markdown: string): Fence[] {
  const fences: Fence[] = []
  const lines = markdown.split('\n')
  for (let at = 0; at < lines.length; at++) {
    const open = /^(`{3,})([\w-]*)\s*(.*)$/.exec(lines[at] ?? '')
    if (!open) continue
    const end = lines.indexOf(open[1] ?? '', at + 1)
    if (end < 0) throw new Error(`the block that line ${at + 1} opens is never closed`)
    const golden = /(?:^|\s)golden=([\w-]+)/.exec(open[3] ?? '')?.[1]
    const content = lines.slice(at + 1, end).join('\n')
    fences.push({ language: open[2] ?? '', golden, line: at + 1, length: end - at - 1, content })
    at = end
  }
  return fences
}

/**
 * Compares what a command or function printed with the block of a spec file that shows it:
 * ```` ```text golden=<name> ````. Only the final newline is left out of the comparison; what differs from run to run
 * (ids, times) the caller replaces first, by what the spec says (`<id>`, `0.0s`).
 * `UPDATE_GOLDEN=1` writes `actual` into the spec instead, for a reader to judge in the diff.
 */
export function expectGolden(spec: string, name: string, actual: string): void {
  const path = join(SPEC, spec)
  const markdown = readFileSync(path, 'utf8')
  const found = fencesOf(markdown).filter((fence) => fence.golden === name)
  const [fence] = found
  if (!fence || found.length > 1) throw new Error(`spec/${spec} has ${found.length} blocks golden=${name}, not one`)
  const printed = actual.replace(/\n$/, '')
  if (process.env['UPDATE_GOLDEN'] === '1') replaceBlock(path, markdown, fence, printed)
  else expect(printed).toBe(fence.content)
}

/**
 * Compares a text, byte by byte, with a whole file of test/fixtures.
 * `UPDATE_GOLDEN=1` writes the file instead, for a reader to judge in the diff.
 */
export function expectGoldenFile(name: string, actual: string): void {
  const path = join(FIXTURES, name)
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, actual)
  else expect(actual).toBe(readFileSync(path, 'utf8'))
}

function replaceBlock(path: string, markdown: string, fence: Fence, printed: string): void {
  const lines = markdown.split('\n')
  lines.splice(fence.line, fence.length, ...printed.split('\n'))
  writeFileSync(path, lines.join('\n'))
}
