import { StagecraftError } from '../../../util/errors.ts'
import { type Body, openBody } from './bodies.ts'
import type { Dialect } from './dialect.ts'
import { type Token, tokenAt } from './tokens.ts'

/** One statement of a file, without what ends it. `line` is that of its first word, from 1. */
export interface Statement {
  readonly sql: string
  readonly line: number
}

const DELIMITER = /delimiter\b[ \t]*([^\r\n]*)/iy
const CLIENT_LINE = /(source[ \t]|\.[a-z])/iy
const COPY = /^copy\b[\s\S]*\b(from\s+stdin|to\s+stdout)\b/i

/**
 * Splits a file as the client program of the database does. Linear in the length of the text.
 * @returns the statements, in order; none for a file of comments
 * @throws config (3), with file and line: a quote or comment that is not closed, a command of the client program,
 * `COPY` from or to the client
 */
export function splitStatements(file: { readonly name: string; readonly text: string }, dialect: Dialect): Statement[] {
  return new Splitter(file, dialect).split()
}

class Splitter {
  private readonly found: Statement[] = []
  private readonly text: string
  private at = 0
  private line = 1
  private delimiter = ';'
  /** where the statement begins, and where its last token that counts ends */
  private start = -1
  private startLine = 0
  private end = 0
  private body: Body
  private parentheses = 0
  /** the statement without comments and texts, where its kind needs it */
  private words = ''

  constructor(
    private readonly file: { readonly name: string; readonly text: string },
    private readonly dialect: Dialect,
  ) {
    this.text = file.text
    this.body = openBody(dialect)
  }

  split(): Statement[] {
    while (this.at < this.text.length) {
      if (this.start === -1 && this.takeClientCommand()) continue
      if (this.takeDelimiter()) continue
      this.take(this.untilDelimiter(tokenAt(this.text, this.at, this.dialect)))
    }
    this.finish()
    return this.found
  }

  private take(token: Token): void {
    const { kind, start, end, open } = token
    const text = this.text.slice(start, end)
    if (open) throw this.refuse(`${open} is not closed`, 'The line is the one where it begins.')
    if (kind !== 'space' && kind !== 'comment') {
      if (this.start === -1) {
        this.start = start
        this.startLine = this.line
      }
      this.end = end
      if (kind === 'word') this.takeWord(text, end)
      else if (kind === 'other') this.takeSign(text, end)
      else if (this.words.length < 200) this.words += ' ?'
    }
    this.line += newlines(text)
    this.at = end
  }

  /** A delimiter such as $$ ends a word also where it could be part of it. */
  private untilDelimiter(token: Token): Token {
    if (this.delimiter === ';' || token.kind !== 'word') return token
    const at = this.text.slice(token.start, token.end).indexOf(this.delimiter)
    return at > 0 ? { ...token, end: token.start + at } : token
  }

  private takeWord(text: string, end: number): void {
    if (this.words.length < 200) this.words += ` ${text}`
    this.body.word(text.toLowerCase(), /^\s*(\S?)/.exec(this.text.slice(end, end + 20))?.[1] ?? '')
  }

  private takeSign(sign: string, end: number): void {
    if (sign === '\\' && !(this.dialect === 'mysql' && this.text[end] === 'N')) {
      const [command = '\\'] = /^\\\S{0,20}/.exec(this.text.slice(end - 1, end + 20)) ?? []
      const client = this.dialect === 'postgres' ? 'psql' : 'the client program'
      throw this.refuse(`${command} is a command of ${client}, not SQL`, 'Remove it: only SQL reaches the database.')
    }
    if (sign === '(') this.parentheses++
    else if (sign === ')') this.parentheses--
    if (this.words.length < 200) this.words += sign
    this.body.sign(sign)
  }

  /** Takes what ends a statement, here and now. */
  private takeDelimiter(): boolean {
    if (!this.text.startsWith(this.delimiter, this.at)) return false
    const within =
      this.delimiter === ';' && (this.body.isOpen() || (this.dialect === 'postgres' && this.parentheses > 0))
    if (within) return false
    this.at += this.delimiter.length
    this.finish()
    return true
  }

  /** Takes a line that the client program of the database would take: `DELIMITER //`. */
  private takeClientCommand(): boolean {
    if (this.dialect === 'mysql' && this.atLineStart()) {
      DELIMITER.lastIndex = this.at
      const [line, delimiter] = DELIMITER.exec(this.text) ?? []
      if (line !== undefined) {
        const [word] = delimiter?.trim().split(/\s/) ?? []
        if (!word || /[\\'"`]/.test(word)) throw this.refuse('DELIMITER needs one, such as //', 'Write: DELIMITER //')
        this.delimiter = word
        this.at += line.length
        return true
      }
    }
    CLIENT_LINE.lastIndex = this.at
    if (this.dialect === 'postgres' || !this.atLineStart() || !CLIENT_LINE.test(this.text)) return false
    const [command = ''] = /^\S+/.exec(this.text.slice(this.at, this.at + 20)) ?? []
    throw this.refuse(
      `${command} is a command of the client program, not SQL`,
      'Remove it: only SQL reaches the database.',
    )
  }

  private atLineStart(): boolean {
    for (let at = this.at - 1; at >= 0 && this.text[at] !== '\n'; at--)
      if (!/\s/.test(this.text[at] ?? '')) return false
    return true
  }

  private finish(): void {
    if (this.start !== -1) {
      if (this.dialect === 'postgres' && COPY.test(this.words.trimStart()))
        throw this.refuse(
          'COPY from or to the client is not possible',
          'Write INSERT (pg_dump --inserts does).',
          this.startLine,
        )
      const sql = this.text.slice(this.start, this.end).replace(/[;\s]+$/, '')
      if (sql !== '') this.found.push({ sql, line: this.startLine })
    }
    this.start = -1
    this.parentheses = 0
    this.words = ''
    this.body = openBody(this.dialect)
  }

  private refuse(reason: string, hint: string, line = this.line): StagecraftError {
    return new StagecraftError('config', `Cannot use ${this.file.name}:${line}: ${reason}`, { hint })
  }
}

function newlines(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count++
  return count
}
