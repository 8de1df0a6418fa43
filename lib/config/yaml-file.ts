import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
  visit,
} from 'yaml'

/** Line and column, counted from 1 as in editors. */
interface Position {
  readonly line: number
  readonly column: number
}

export interface Problem extends Position {
  readonly message: string
}

export type YamlPath = readonly (string | number)[]

/** A parsed YAML file that knows the positions of its values. */
export interface YamlFile {
  readonly value: unknown
  /** The position of the value at a path, or of its key. A value that is not in the file has the position of its parent. */
  locate(path: YamlPath, part: 'key' | 'value'): Position
}

interface Fault {
  readonly pos: readonly [number, ...number[]]
  readonly message: string
}

/** More than any person writes; nested aliases beyond it would fill the memory. */
const MAX_ALIASES = 1000

/** Parses one YAML document, with anchors and `<<`. @returns the file, or all its syntax errors. */
export function parseYaml(text: string): YamlFile | readonly Problem[] {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true, uniqueKeys: true })
  const position = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  // A warning is an unknown tag, whose value would be misread.
  const faults: Fault[] = [...document.errors, ...document.warnings]
  visit(document, {
    Alias: (_key, alias) => {
      if (alias.resolve(document) === undefined) {
        faults.push({ pos: [alias.range?.[0] ?? 0], message: `Unresolved alias: ${alias.source}` })
      }
    },
  })
  if (faults.length > 0) return faults.map((fault) => ({ ...position(fault.pos[0]), message: fault.message }))
  try {
    const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES })
    return { value, locate: (path, part) => position(offsetOf(document, path, part)) }
  } catch (error) {
    return [{ line: 1, column: 1, message: error instanceof Error ? error.message : String(error) }]
  }
}

function offsetOf(document: Document, path: YamlPath, part: 'key' | 'value'): number {
  let node: unknown = document.contents
  let offset = startOf(node) ?? 0
  for (const [depth, step] of path.entries()) {
    const next = child(document, node, step)
    const last = depth === path.length - 1
    const preferred = last && part === 'key' ? next.key : next.value
    offset = startOf(preferred) ?? startOf(next.key) ?? offset
    node = next.value
  }
  return offset
}

interface Child {
  readonly key?: unknown
  readonly value?: unknown
}

function child(document: Document, parent: unknown, step: string | number): Child {
  const node = resolve(document, parent)
  if (isSeq(node)) return { value: node.items[Number(step)] }
  if (!isMap(node)) return {}
  const pairs = node.items.filter(isPair)
  const own = pairs.find((pair) => keyOf(pair) === String(step))
  return own ?? merged(document, pairs, step)
}

/** A key that comes from `<<` is in the merged mapping. */
function merged(document: Document, pairs: readonly Pair[], step: string | number): Child {
  for (const pair of pairs.filter((candidate) => keyOf(candidate) === '<<')) {
    const source = resolve(document, pair.value)
    for (const mapping of isSeq(source) ? source.items : [source]) {
      const found = child(document, mapping, step)
      if (found.key !== undefined || found.value !== undefined) return found
    }
  }
  return {}
}

function resolve(document: Document, node: unknown): unknown {
  return isAlias(node) ? node.resolve(document) : node
}

function keyOf(pair: Pair): string {
  const key = isScalar(pair.key) ? pair.key.value : pair.key
  // With `merge`, `<<` is a symbol of that name.
  return typeof key === 'symbol' ? (key.description ?? '') : String(key)
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node.range?.[0] ?? undefined) : undefined
}
