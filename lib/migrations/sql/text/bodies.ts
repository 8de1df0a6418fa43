import type { Dialect } from './dialect.ts'

type Block = 'begin' | 'if' | 'case statement' | 'case' | 'loop'

/**
 * Follows the words of one statement, and knows whether a semicolon ends it or is within the body of a routine, trigger or
 * event: between BEGIN and its END.
 */
export interface Body {
  /** @param next the character after the word, without spaces in between */
  word(word: string, next: string): void
  /** any other character that counts: `;`, `)`, `:` */
  sign(sign: string): void
  /** Whether a semicolon here is part of the body. */
  isOpen(): boolean
}

const HEADS: Readonly<Record<Dialect, RegExp>> = {
  postgres: /^create (or replace )?(function|procedure)$/,
  sqlite: /^create (temp |temporary )?trigger$/,
  // A quoted definer has no words; one without quotes has up to two.
  mysql:
    /^(create (or replace )?(definer (\S+ ){0,2}?)?(aggregate )?(procedure|function|trigger|event|package)|alter (definer (\S+ ){0,2}?)?event|begin not atomic)$/,
}
/** How many words of a statement are looked at for its head. */
const HEAD_WORDS = 8
const LOOPS = new Set(['loop', 'while', 'repeat', 'for'])

/** @returns what follows the words of a statement, from its first one */
export function openBody(dialect: Dialect): Body {
  return dialect === 'mysql' ? mysqlBody() : plainBody(HEADS[dialect])
}

/** Standard SQL and SQLite: only BEGIN and CASE have an END. */
function plainBody(head: RegExp): Body {
  let words = ''
  let read = 0
  let hasBody = false
  let depth = 0
  return {
    word(word) {
      if (!hasBody && read < HEAD_WORDS) {
        words += (read++ ? ' ' : '') + word
        hasBody = head.test(words)
      }
      if (!hasBody) return
      if (word === 'begin' || (depth > 0 && word === 'case')) depth++
      else if (depth > 0 && word === 'end') depth--
    },
    sign() {},
    isOpen: () => depth > 0,
  }
}

/** MySQL's blocks all have an END; IF, LOOP, WHILE, REPEAT and FOR begin one only where a statement begins. */
function mysqlBody(): Body {
  const blocks: Block[] = []
  let words = ''
  let read = 0
  let hasBody = false
  let statementBegins = false
  let afterEnd = false
  const begin = (word: string, next: string): Block | undefined => {
    if (word === 'begin') return 'begin'
    if (word === 'case') return statementBegins ? 'case statement' : 'case'
    if (!statementBegins) return undefined
    if (word === 'if') return 'if'
    return LOOPS.has(word) && !(word === 'repeat' && next === '(') ? 'loop' : undefined
  }
  const beginsStatement = (word: string) => {
    const top = blocks.at(-1)
    if (word === 'then' || word === 'else') return top === 'if' || top === 'case statement'
    if (blocks.length === 0) return word === 'row' || word === 'do'
    return ['begin', 'loop', 'repeat', 'do'].includes(word)
  }
  return {
    word(word, next) {
      if (!hasBody && read < HEAD_WORDS) {
        words += (read++ ? ' ' : '') + word
        hasBody = HEADS.mysql.test(words)
        if (words === 'begin not atomic') blocks.push('begin')
        statementBegins = hasBody && blocks.length > 0
        return
      }
      if (!hasBody) return
      if (afterEnd && (word === 'if' || word === 'case' || LOOPS.has(word))) {
        afterEnd = false
        return
      }
      afterEnd = word === 'end' && blocks.length > 0
      if (afterEnd) blocks.pop()
      else {
        const block = begin(word, next)
        if (block) blocks.push(block)
      }
      statementBegins = !afterEnd && beginsStatement(word)
    },
    sign(sign) {
      afterEnd = false
      statementBegins = hasBody && ((sign === ';' && blocks.length > 0) || sign === ':')
    },
    isOpen: () => blocks.length > 0,
  }
}
