import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { markdownTable } from '../support/markdown.ts'
import type { Kill } from './kills.ts'
import type { Load } from './load.ts'
import type { Cell } from './matrix.ts'

/** In the order in which a run reaches them. */
const MOMENTS = [
  'before the release',
  ...['build', 'push', 'migrate_pre', 'rollout: plan', 'rollout: prepare', 'rollout: switch', 'rollout: retire'],
  ...['migrate_post', 'finalize', 'after its end', 'unknown'],
]

/** The results of the killed runs, by where they were killed. */
export function killTable(kills: readonly Kill[], load?: Load): string {
  const head = [
    'killed in',
    'kills',
    'undone',
    'finished',
    'nothing to undo',
    'answered before the next command',
    'failed checks',
  ]
  const rows = MOMENTS.flatMap((at) => {
    const here = kills.filter(({ moment }) => moment.at === at)
    return here.length > 0 ? [[at, ...counts(here)]] : []
  })
  const table = markdownTable([head, ...rows, ['all', ...counts(kills)]])
  if (load === undefined) return table
  const gap = (load.longestGap / 1000).toFixed(1)
  return `${table}\n${load.requests} requests, ${load.failures} without an answer; the longest time without one was ${gap} s.\n`
}

/** The result of each fault at each step. */
export function matrixTable(cells: readonly Cell[]): string {
  const head = ['fault', 'while', 'exit', 'what serves right afterwards', 'the next deploy finds']
  return markdownTable([head, ...cells.map(rowOf)])
}

/** One row of that table: all of it is the same in every repetition. */
export function rowOf({ fault, step, exit, serves, found }: Cell): string[] {
  return [fault, step, String(exit), serves, found]
}

function counts(kills: readonly Kill[]): string[] {
  const count = (is: (kill: Kill) => boolean) => String(kills.filter(is).length)
  return [
    String(kills.length),
    count(({ outcome }) => outcome === 'undone'),
    count(({ outcome }) => outcome === 'finished'),
    count(({ outcome }) => outcome === 'nothing' || outcome === undefined),
    count(({ answered }) => answered),
    count(({ failures }) => failures.length > 0),
  ]
}

const SPEC = join(import.meta.dir, '../../spec/core/faults.md')

/** Puts tables where the spec has `<!-- <name> -->`; the text between that and `<!-- end -->` is replaced. */
export function writeTables(tables: Readonly<Record<string, string>>): void {
  let text = readFileSync(SPEC, 'utf8')
  for (const [name, table] of Object.entries(tables)) {
    const place = new RegExp(`(<!-- ${name} -->\\n)[^]*?(\\n<!-- end -->)`)
    if (!place.test(text)) throw new Error(`Cannot write the table of ${name}: ${SPEC} has no place for it`)
    text = text.replace(place, (_, begin, end) => `${begin}\n${table}${end}`)
  }
  writeFileSync(SPEC, text)
}

/** @returns the rows of a table of the spec, without its head. */
export function writtenRows(name: string): string[][] {
  const [, table = ''] = new RegExp(`<!-- ${name} -->\\n([^]*?)<!-- end -->`).exec(readFileSync(SPEC, 'utf8')) ?? []
  const lines = table.split('\n').filter((line) => line.startsWith('|'))
  return lines.slice(2).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}
