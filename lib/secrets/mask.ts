import { formsOf, isScrambled, isWord, isWordy, looksRandom, withoutControls } from './forms.ts'

/** Printed in place of a secret. */
export const MASK = '•••'

/** Hides secrets. The function itself is for output of docker, containers and Compose (spec/core/secrets.md). */
export interface Mask {
  (text: string): string
  /** for Stagecraft's own sentences, in which a secret that is one word is not hidden */
  ours(text: string): string
  /** @returns the positions of secrets in a text */
  find(text: string): Span[]
}

type Span = readonly [from: number, to: number]

/** The known secrets, and names that are not secret: both grow as a command goes on. */
export interface SecretSet {
  add(values: Iterable<string>): void
  /** names of the project, its services, images, hosts and paths */
  addNames(names: Iterable<string>): void
  /** hides the secrets that are known when it is called */
  readonly mask: Mask
  /** no secret is known yet */
  readonly isEmpty: boolean
}

/** Shorter values are mostly words and numbers: masking them would make the output unreadable, and protect nothing. */
const SHORTEST = 8

/** The shortest value that counts if it has letters and something else. */
const SHORTEST_MIXED = 6

/** The length of the pieces in the index; also the shortest piece of a secret that is hidden at the edge of a line. */
const GRAM = 6

/** The shortest piece that is hidden inside a line. */
const PIECE = 8

/** The longest part whose pieces are all indexed; of a longer one, only its lines. */
const MOST = 64 * 1024

interface Pattern {
  readonly text: string
  /** it counts only between characters that are neither letters nor digits */
  readonly token: boolean
  /** it is one word, which Stagecraft's sentences may contain */
  readonly word: boolean
  /** any piece of `PIECE` characters counts, even one made of words */
  readonly random: boolean
  /** its pieces are found as those of its lines */
  readonly whole: boolean
}

interface Compiled {
  readonly patterns: readonly Pattern[]
  /** by piece: pattern, place, pattern, place … */
  readonly grams: ReadonlyMap<string, readonly number[]>
  /** 1 for each hash of a piece's first four characters */
  readonly known: Uint8Array
  readonly names: readonly string[]
}

/** @returns an empty set of secrets */
export function createSecrets(): SecretSet {
  const values = new Set<string>()
  const names = new Set<string>()
  let compiled: Compiled | undefined
  const find = (text: string, ours = false) => {
    if (values.size === 0) return []
    compiled ??= compile(values, names)
    return findIn(text, compiled, ours)
  }
  const hide = (raw: string, ours = false) => {
    const text = raw.includes('\u001b') ? Bun.stripANSI(raw) : raw // a secret may have a colour inside
    const found = find(text, ours)
    return found.length === 0 ? raw : cover(text, found)
  }
  const grow = (set: Set<string>, more: Iterable<string>) => {
    const before = set.size
    for (const each of more) if (each !== '') set.add(each)
    if (set.size > before) compiled = undefined
  }
  return {
    add: (more) => grow(values, more),
    addNames: (more) => grow(names, more),
    get isEmpty() {
      return values.size === 0
    },
    mask: Object.assign((text: string) => hide(text), { ours: (text: string) => hide(text, true), find }),
  }
}

/** @returns a mask that uses `hide` for all kinds of text */
export function maskOf(hide: (text: string) => string): Mask {
  return Object.assign((text: string) => hide(text), { ours: hide, find: () => [] })
}

/** @returns a mask that hides these values, except those that are `names` */
export function createMask(values: Iterable<string>, names: Iterable<string> = []): Mask {
  const secrets = createSecrets()
  secrets.add(values)
  secrets.addNames(names)
  return secrets.mask
}

function compile(values: ReadonlySet<string>, names: ReadonlySet<string>): Compiled {
  const patterns = new Map<string, Pattern>()
  const all = [...names].map((name) => name.toLowerCase())
  for (const value of values)
    for (const part of partsOf(value)) {
      if (isName(part, all)) continue
      const random = looksRandom(part) || isScrambled(part)
      const [word, token] = [isWord(part), !random && (isWord(part) || part.length < SHORTEST)]
      patterns.set(part, { text: part, token, word, random, whole: part.includes('\n') })
      if (part.length > MOST) continue
      for (const form of formsOf(part))
        if (!patterns.has(form))
          patterns.set(form, { text: form, token: false, word: false, random, whole: holdsLine(part, form) })
    }
  const list = [...patterns.values()]
  return { patterns: list, names: all, ...indexOf(list) }
}

/** @returns the value, and its lines if it has several: those that are long enough. */
function partsOf(value: string): string[] {
  const lines = value.split(/\r\n|\n|\r/).map((line) => line.trim())
  const parts = lines.length > 1 ? [value, value.trim(), ...lines.filter((line) => !PEM_BORDER.test(line))] : [value]
  const all = parts.flatMap((part) => [part, part.trim(), withoutControls(part)])
  return [...new Set(all)].filter((part) => isLong(part) && !/^(.)\1*$/.test(part))
}

/** @returns whether another form of a value contains one of its lines unchanged */
function holdsLine(value: string, form: string): boolean {
  const lines = value.includes('\n') ? value.split('\n') : []
  return lines.some((line) => line.length >= SHORTEST && !PEM_BORDER.test(line) && form.includes(line))
}

const PEM_BORDER = /^-----(BEGIN|END) [A-Z ]+-----$/

function isLong(part: string): boolean {
  const { length } = part
  return length >= SHORTEST || (length >= SHORTEST_MIXED && /[a-z]/i.test(part) && /[^a-z]/i.test(part))
}

/** @returns whether it is a name of the project, or words of one. What looks random is not: a token in a path stays secret. */
function isName(part: string, names: readonly string[]): boolean {
  if (looksRandom(part)) return false
  const low = part.toLowerCase()
  return names.some((name) => {
    for (let at = name.indexOf(low); at >= 0; at = name.indexOf(low, at + 1))
      if (isBetweenWords(name, at, at + low.length)) return true
    return false
  })
}

function isBetweenWords(text: string, from: number, to: number): boolean {
  return !/[a-z0-9]/i.test(text[from - 1] ?? ' ') && !/[a-z0-9]/i.test(text[to] ?? ' ')
}

function indexOf(patterns: readonly Pattern[]): Pick<Compiled, 'grams' | 'known'> {
  const grams = new Map<string, number[]>()
  const known = new Uint8Array(HASHES)
  for (const [at, { text, token, whole }] of patterns.entries()) {
    const last = token || whole || text.length > MOST ? 0 : text.length - GRAM
    for (let place = 0; place <= last; place++) {
      const gram = text.slice(place, place + GRAM)
      const places = grams.get(gram)
      if (places) places.push(at, place)
      else grams.set(gram, [at, place])
      known[hash(text, place)] = 1
    }
  }
  return { grams, known }
}

const HASHES = 1 << 20

/** Hashes four characters. It runs for every printed character. */
function hash(text: string, at: number): number {
  const first = text.charCodeAt(at) * 7919 + text.charCodeAt(at + 1) * 104729
  return (first + text.charCodeAt(at + 2) * 1299709 + text.charCodeAt(at + 3) * 611953) & (HASHES - 1)
}

/** @returns the spans to hide, in order; overlapping and adjacent ones are merged. */
function findIn(text: string, { patterns, grams, known, names }: Compiled, ours: boolean): Span[] {
  const spans: [from: number, to: number][] = []
  for (let at = 0; at + GRAM <= text.length; at++) {
    if (known[hash(text, at)] === 0) continue
    const places = grams.get(text.slice(at, at + GRAM))
    if (places === undefined) continue
    let to = 0
    for (let each = 0; each < places.length; each += 2) {
      const pattern = patterns[places[each] ?? 0]
      if (pattern && !(ours && pattern.word)) to = Math.max(to, endOf(pattern, places[each + 1] ?? 0, text, at, names))
    }
    const last = spans.at(-1)
    if (last && at <= last[1]) last[1] = Math.max(last[1], to)
    else if (to > 0) spans.push([at, to])
  }
  return spans
}

function cover(text: string, spans: readonly Span[]): string {
  let [shown, end] = ['', 0]
  for (const [from, to] of spans) {
    shown += text.slice(end, from) + MASK
    end = to
  }
  return shown + text.slice(end)
}

/** @returns the end of the span to hide if a pattern, from its `place` on, is found at `at`; 0: nothing to hide */
function endOf(pattern: Pattern, place: number, text: string, at: number, names: readonly string[]): number {
  const { text: secret, token, random } = pattern
  let length = GRAM
  while (place + length < secret.length && secret[place + length] === text[at + length]) length++
  const to = at + length
  if (place + length === secret.length && place === 0) return token && !isBetweenWords(text, at, to) ? 0 : to
  if (token) return 0
  const [starts, ends] = [isLineEnd(text[at - 1]), isLineEnd(text[to])]
  const atEdge = (starts && (place + length === secret.length || ends)) || (ends && place === 0)
  if (!atEdge && length < PIECE) return 0
  const piece = text.slice(at, to).trim() // blanks are no piece of a secret: they stand between any two columns
  if (piece.length < (atEdge ? GRAM : PIECE)) return 0
  const isOther =
    isWordy(piece) && (!random || (/[A-Za-z]{6}/.test(piece) && isBetweenWords(secret, place, place + length)))
  return isOther || names.some((name) => name.includes(piece.toLowerCase())) ? 0 : to
}

function isLineEnd(character: string | undefined): boolean {
  return character === undefined || character === '\n' || character === '\r' || character === '…'
}

/** The keys of events, results and errors with foreign text; all other text is Stagecraft's own. */
const OTHERS: ReadonlySet<string> = new Set(['line', 'lines', 'detail'])

/** @returns a JSON object with the secrets in its strings hidden. Keys stay. */
export function maskJson(value: object, mask: Mask): object {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, maskValue(item, OTHERS.has(key) ? mask : mask.ours, mask)]),
  )
}

function maskValue(value: unknown, hide: (text: string) => string, mask: Mask): unknown {
  if (typeof value === 'string') return hide(value)
  if (Array.isArray(value)) return value.map((item) => maskValue(item, hide, mask))
  return typeof value === 'object' && value !== null ? maskJson(value, mask) : value
}
