import { formsOf, isScrambled, isWord, isWordy, looksRandom, withoutControls } from './secret-forms.ts'

/** What stands in the place of a secret. */
export const MASK = '•••'

/** Hides secrets. Called by itself: in what docker, containers and Compose print (spec/core/secrets.md). */
export interface Mask {
  (text: string): string
  /** in our own sentences, which are made of words: what is a word there is none of a secret */
  ours(text: string): string
  /** where in a text a secret is: from, to */
  find(text: string): Span[]
}

type Span = readonly [from: number, to: number]

/** The secrets that are known so far, and the names that are none: more of both become known as a command goes on. */
export interface SecretSet {
  add(values: Iterable<string>): void
  /** names of the project, its services, images, hosts and paths */
  addNames(names: Iterable<string>): void
  /** hides what is known when it is called */
  readonly mask: Mask
  /** nothing is known yet */
  readonly isEmpty: boolean
}

/** Shorter values are words and numbers: masking them would hide what is said, and hide nothing. */
const SHORTEST = 8

/** Shorter ones count only where they have letters and something else. */
const SHORTEST_MIXED = 6

/** Pieces of that many characters are looked up; it is also the shortest piece of a secret that is hidden at the edge of a line. */
const GRAM = 6

/** The shortest piece that is hidden in the midst of a line. */
const PIECE = 8

/** The longest part of which every piece counts; of a longer one its lines do. */
const MOST = 64 * 1024

interface Pattern {
  readonly text: string
  /** it counts only between characters that are neither letters nor digits */
  readonly token: boolean
  /** it is one of our own words, too */
  readonly word: boolean
  /** any piece of it of `PIECE` characters counts, also one that is made of words */
  readonly random: boolean
  /** pieces of it are found as those of its lines */
  readonly whole: boolean
}

interface Compiled {
  readonly patterns: readonly Pattern[]
  /** by piece: pattern, place, pattern, place … */
  readonly grams: ReadonlyMap<string, readonly number[]>
  /** which hashes of the first characters there are */
  readonly known: Uint8Array
  readonly names: readonly string[]
}

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
    const text = raw.includes('\u001b') ? Bun.stripANSI(raw) : raw // a secret with a colour in its midst is still one
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

/** @returns a mask of one's own, that knows no difference */
export function maskOf(hide: (text: string) => string): Mask {
  return Object.assign((text: string) => hide(text), { ours: hide, find: () => [] })
}

/** @returns what hides these values, but where they are `names` */
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

/** @returns the value, and its lines where it has several, as far as they are long enough. */
function partsOf(value: string): string[] {
  const lines = value.split(/\r\n|\n|\r/).map((line) => line.trim())
  const parts = lines.length > 1 ? [value, value.trim(), ...lines.filter((line) => !PEM_BORDER.test(line))] : [value]
  const all = parts.flatMap((part) => [part, part.trim(), withoutControls(part)])
  return [...new Set(all)].filter((part) => isLong(part) && !/^(.)\1*$/.test(part))
}

/** @returns whether a line of a value of several stands in another form of it as it is */
function holdsLine(value: string, form: string): boolean {
  const lines = value.includes('\n') ? value.split('\n') : []
  return lines.some((line) => line.length >= SHORTEST && !PEM_BORDER.test(line) && form.includes(line))
}

const PEM_BORDER = /^-----(BEGIN|END) [A-Z ]+-----$/

function isLong(part: string): boolean {
  const { length } = part
  return length >= SHORTEST || (length >= SHORTEST_MIXED && /[a-z]/i.test(part) && /[^a-z]/i.test(part))
}

/** @returns whether it is a name of the project, or words of one. What looks random is none: a token in a path is one all the same. */
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

/** Of four characters. It runs for every character that is printed. */
function hash(text: string, at: number): number {
  const first = text.charCodeAt(at) * 7919 + text.charCodeAt(at + 1) * 104729
  return (first + text.charCodeAt(at + 2) * 1299709 + text.charCodeAt(at + 3) * 611953) & (HASHES - 1)
}

/** @returns what is to be hidden, in order; what overlaps or touches is one. */
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

/** @returns where what is to be hidden of a pattern ends, if it is found at `at` from its `place` on; 0: nothing is */
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
  const piece = text.slice(at, to)
  const isOther =
    isWordy(piece) && (!random || (/[A-Za-z]{6}/.test(piece) && isBetweenWords(secret, place, place + length)))
  return isOther || names.some((name) => name.includes(piece.toLowerCase())) ? 0 : to
}

function isLineEnd(character: string | undefined): boolean {
  return character === undefined || character === '\n' || character === '\r' || character === '…'
}

/** What others say stands under these keys of events, results and errors; anything else is ours. */
const OTHERS: ReadonlySet<string> = new Set(['line', 'lines', 'detail'])

/** The same over every string in a JSON object, keys left alone. */
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
