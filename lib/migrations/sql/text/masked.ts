import type { Dialect } from './dialect.ts'
import { tokensOf } from './tokens.ts'

const MOST_WORDS = 80

/** @returns the SQL with `?` for each text and number, without comments, in one line. Never throws. */
export function maskLiterals(sql: string, dialect: Dialect): string {
  let masked = ''
  for (const { kind, start, end, open } of tokensOf(sql, dialect)) {
    if (kind === 'space' || kind === 'comment') masked += ' '
    else if (kind === 'text' || kind === 'number' || open) masked += '?'
    else if (kind === 'name' && !isPlainName(sql.slice(start + 1, end - 1))) masked += '"?"'
    // A comment that MySQL runs is a token, whatever it holds.
    else masked += end - start > 1 && sql.startsWith('/*', start) ? '/*! ? */' : sql.slice(start, end)
  }
  return masked.replace(/\s+/g, ' ').trim()
}

/** Whether what is quoted as a name can be one: people quote values so by mistake. */
export const isPlainName = (name: string): boolean => /^[\p{L}\p{N}_ $.-]+$/u.test(name)

/** @returns the first words of a statement, without its literals: what may be shown of it */
export function firstWords(sql: string, dialect: Dialect): string {
  const masked = maskLiterals(sql.slice(0, 2000), dialect)
  return masked.length <= MOST_WORDS ? masked : `${masked.slice(0, MOST_WORDS).replace(/\s\S*$/, '')} …`
}
