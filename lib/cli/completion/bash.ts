/** A command line as bash has it, up to the cursor. */
interface Line {
  /** without quotes; the last one is being typed */
  readonly words: readonly string[]
  /** the last one as it is written */
  readonly written: string
  /** the last one contains quotes, or what bash would expand */
  readonly isQuoted: boolean
}

/** Splits a line into words as a shell does, but expands nothing. */
export function splitLine(line: string): Line {
  let [words, word, written, isQuoted]: [string[], string, string, boolean] = [[], '', '', false]
  let quote = ''
  for (let at = 0; at < line.length; at++) {
    const character = line[at] ?? ''
    if (quote === '' && /\s/.test(character)) {
      if (written !== '') words.push(word)
      ;[word, written, isQuoted] = ['', '', false]
      continue
    }
    written += character
    if (character === quote) quote = ''
    else if (quote === '' && (character === '"' || character === "'")) [quote, isQuoted] = [character, true]
    else if (character === '\\' && quote !== "'") {
      written += line[++at] ?? ''
      word += line[at] ?? ''
    } else {
      isQuoted ||= /[$`~]/.test(character)
      word += character
    }
  }
  return { words: [...words, word], written, isQuoted }
}

/** Characters that bash takes as they are, wherever they stand. */
const PLAIN = /[A-Za-z0-9_./:=@%+,-]/

/** @returns a value as one word of a bash command line */
export function escapeWord(value: string): string {
  return [...value].map((character) => (PLAIN.test(character) ? character : `\\${character}`)).join('')
}

/**
 * @param written the word that is being typed
 * @param piece the end of it that bash replaces: bash begins a new one at `=`, `:` and `@` (COMP_WORDBREAKS)
 * @returns what bash shall put in place of `piece` for a value; undefined: it cannot be written there safely
 */
export function replacementFor(value: string, { written, words, isQuoted }: Line, piece: string): string | undefined {
  const escaped = escapeWord(value)
  if (isQuoted) return undefined
  if (escapeWord(words.at(-1) ?? '') !== written || !written.endsWith(piece)) return undefined
  return escaped.slice(written.length - piece.length)
}
