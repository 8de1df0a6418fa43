import type { Dialect } from './dialect.ts'

/** One piece of SQL. `end` is the offset after it; `open` says that a quote or comment is not closed. */
export interface Token {
  readonly kind: 'space' | 'comment' | 'word' | 'text' | 'name' | 'number' | 'other'
  readonly start: number
  readonly end: number
  readonly open?: string
}

const SPACE = /\s+/y
const WORD = /[\p{L}_][\p{L}\p{N}_$]*/uy
const NUMBER = /(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)/y
const LINE = /[^\n]*/y
const DOLLAR_QUOTE = /\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy
const COMMENT_EDGE = /\/\*|\*\//g

/**
 * @param from an offset outside of quotes and comments
 * @returns the token that starts there
 */
export function tokenAt(sql: string, from: number, dialect: Dialect): Token {
  const char = sql[from] ?? ''
  const spaceEnd = match(SPACE, sql, from)
  if (spaceEnd > from) return { kind: 'space', start: from, end: spaceEnd }
  if (startsLineComment(sql, from, dialect)) return { kind: 'comment', start: from, end: match(LINE, sql, from) }
  if (sql.startsWith('/*', from)) return comment(sql, from, dialect)
  if (char === "'") return quoted(sql, from, from, { kind: 'text', backslash: dialect === 'mysql' })
  if (char === '"') {
    const kind = dialect === 'mysql' ? 'text' : 'name'
    return quoted(sql, from, from, { kind, backslash: dialect === 'mysql' })
  }
  if (char === '`' && dialect !== 'postgres') return quoted(sql, from, from, { kind: 'name', backslash: false })
  if (char === '[' && dialect === 'sqlite') return closedBy(sql, from, ']', 'name')
  if (char === '$' && dialect === 'postgres') return dollarQuoted(sql, from)
  const wordEnd = match(WORD, sql, from)
  if (wordEnd > from) return word(sql, from, wordEnd, dialect)
  const numberEnd = match(NUMBER, sql, from)
  if (numberEnd > from) return { kind: 'number', start: from, end: numberEnd }
  return { kind: 'other', start: from, end: from + 1 }
}

/** @returns all tokens of a statement, in order */
export function* tokensOf(sql: string, dialect: Dialect): Generator<Token> {
  for (let at = 0; at < sql.length; ) {
    const token = tokenAt(sql, at, dialect)
    yield token
    at = token.end
  }
}

/** A string with a prefix is one token: `E'…'` in PostgreSQL (with backslashes), `N'…'`, `X'…'` and `B'…'` everywhere. */
function word(sql: string, start: number, end: number, dialect: Dialect): Token {
  if (sql[end] === "'" && end - start === 1) {
    const prefix = sql[start]?.toUpperCase() ?? ''
    const backslash = dialect === 'mysql' || (dialect === 'postgres' && prefix === 'E')
    if ('ENXB'.includes(prefix)) return quoted(sql, start, end, { kind: 'text', backslash })
  }
  return { kind: 'word', start, end }
}

/** MySQL takes `--` for a comment only before a space or the end of the line. */
function startsLineComment(sql: string, from: number, dialect: Dialect): boolean {
  if (dialect === 'mysql')
    return sql[from] === '#' || (sql.startsWith('--', from) && !/[^\s]/.test(sql[from + 2] ?? ' '))
  return sql.startsWith('--', from)
}

// PostgreSQL's comments nest. A comment that MySQL runs (it begins with /*! or /*M!) is not one.
function comment(sql: string, start: number, dialect: Dialect): Token {
  const kind = dialect === 'mysql' && /[!M]/.test(sql[start + 2] ?? '') ? 'other' : 'comment'
  if (dialect !== 'postgres') return { ...closedBy(sql, start, '*/', kind, 2) }
  COMMENT_EDGE.lastIndex = start
  for (let depth = 0, edge = COMMENT_EDGE.exec(sql); edge; edge = COMMENT_EDGE.exec(sql)) {
    depth += edge[0] === '/*' ? 1 : -1
    if (depth === 0) return { kind, start, end: COMMENT_EDGE.lastIndex }
  }
  return { kind, start, end: sql.length, open: 'a comment' }
}

/** A doubled quote is part of the text. */
function quoted(
  sql: string,
  start: number,
  quoteAt: number,
  { kind, backslash }: { kind: 'text' | 'name'; backslash: boolean },
): Token {
  const quote = sql[quoteAt] ?? ''
  for (let at = quoteAt + 1; at < sql.length; at++) {
    if (backslash && sql[at] === '\\') at++
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return { kind, start, end: at + 1 }
      at++
    }
  }
  return { kind, start, end: sql.length, open: `a text or name in ${quote}` }
}

function dollarQuoted(sql: string, start: number): Token {
  const end = match(DOLLAR_QUOTE, sql, start)
  if (end === start) return { kind: 'other', start, end: start + 1 }
  return closedBy(sql, start, sql.slice(start, end), 'text', end - start)
}

function closedBy(sql: string, start: number, close: string, kind: Token['kind'], skip = 1): Token {
  const at = sql.indexOf(close, start + skip)
  if (at !== -1) return { kind, start, end: at + close.length }
  return { kind, start, end: sql.length, open: kind === 'comment' ? 'a comment' : `what begins with ${close}` }
}

/** @returns the end of what the sticky expression matches at an offset, or the offset */
function match(expression: RegExp, sql: string, from: number): number {
  expression.lastIndex = from
  return expression.test(sql) ? expression.lastIndex : from
}
