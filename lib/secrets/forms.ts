/** Longer values have no other forms: no program prints so large a file in a URL. */
const MOST = 8 * 1024

/** Shorter forms would match too much. */
const SHORTEST = 8

/** @returns other forms in which programs print a value: escaped for JSON, Compose, a shell, HTML or a URL, in base64, in hex. */
export function formsOf(value: string): string[] {
  if (value.length > MOST) return []
  const json = JSON.stringify(value).slice(1, -1)
  const url = urlEncoded(value)
  const forms = [
    json,
    JSON.stringify(json).slice(1, -1),
    json.replace(/[<>&]/g, (one) => `\\u00${hex(one)}`), // as Go does
    goQuoted(value),
    value.replaceAll('$', '$$$$'),
    value.replaceAll("'", "'\\''"),
    value.replaceAll("'", "'\"'\"'"),
    value.replaceAll(/["\\$`]/g, (one) => `\\${one}`),
    value.replaceAll(/[^A-Za-z0-9_/:=.,@%+-]/g, (one) => `\\${one}`),
    value.replace(/[&<>"']/g, (one) => HTML[one] ?? one),
    ...url,
    ...base64(value),
    Buffer.from(value).toString('hex'),
  ]
  return [...new Set(forms)].filter((form) => form !== value && form.length >= SHORTEST)
}

const HTML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' }

function hex(character: string): string {
  return character.charCodeAt(0).toString(16).padStart(2, '0')
}

/** As Go's `%q` prints it: docker and Compose use it. */
function goQuoted(value: string): string {
  return value.replace(/[\p{Cc}"\\]/gu, (one) => GO[one] ?? (/["\\]/.test(one) ? `\\${one}` : `\\x${hex(one)}`))
}

const GO: Readonly<Record<string, string>> = {
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\v': '\\v',
}

/** Percent-encoded as a component, strictly, as a form; and decoded. */
function urlEncoded(value: string): string[] {
  const whole = value.isWellFormed() ? encodeURIComponent(value) : value
  const strict = whole.replace(/[!'()*~]/g, (one) => `%${hex(one).toUpperCase()}`)
  const form = strict.replaceAll('%20', '+')
  const lower = (text: string) => text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())
  const user = whole.replace(/%(24|26|2B|2C|3B|3D)/g, (code) => decodeURIComponent(code)) // as Go does between : and @
  return [whole, strict, form, user, lower(whole), lower(strict), lower(form), decoded(value)]
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

/** Alone, and inside a longer text: the base64 of `user:password` depends on the length of the user. */
function base64(value: string): string[] {
  const bytes = Buffer.from(value)
  const inner = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    const whole = Math.floor(((before + bytes.length) * 8) / 6) // the next character depends on what follows
    return text.slice(Math.ceil((before * 8) / 6), whole)
  })
  const all = [bytes.toString('base64'), ...inner]
  return [...all, ...all.map((text) => text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''))]
}

/** @returns the value as it is printed: without escape sequences and control characters. */
export function withoutControls(value: string): string {
  return Bun.stripANSI(value).replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '')
}

/** One word or number, as in Stagecraft's sentences. */
export function isWord(text: string): boolean {
  return /^\d+$/.test(text) || (text.length <= LONGEST_WORD && /^([a-z]+|[A-Z]+|[A-Z][a-z]+)$/.test(text))
}

const LONGEST_WORD = 16

/** Any number of words with separators: `my-database`, `correct horse`. */
export function isWordy(text: string): boolean {
  return /[A-Za-z0-9]/.test(text) && text.split(/[^A-Za-z0-9]+/).every((part) => part === '' || isWord(part))
}

/** @returns whether it looks like a generated key: long, without words, and with little repetition. */
export function looksRandom(value: string): boolean {
  if (value.length < 12 || /\s/.test(value) || !/^[\x21-\x7e]+$/.test(value) || isWordy(value)) return false
  const runs = value.match(/[A-Za-z0-9+/=]{12,}/g) ?? []
  return runs.some((run) => isMixture(run) && entropy(run) >= (/^[0-9a-f]+$/i.test(run) ? 2.6 : 3))
}

/** @returns whether letters, digits and other characters are mixed, as in a generated password. */
export function isScrambled(value: string): boolean {
  const others = value.match(/[^A-Za-z0-9]/g) ?? []
  return value.length >= 8 && !/\s/.test(value) && others.length * 4 >= value.length && new Set(others).size >= 3
}

/** A word has its capital first and its number last, and is no mixture: `Production2024`. */
function isMixture(run: string): boolean {
  if (/^\d+$/.test(run) || isWord(run)) return false
  return /\d/.test(run) ? !/^[A-Za-z][a-z]+\d{1,6}$/.test(run) : changes(run) >= 3 || run.length > 2 * LONGEST_WORD
}

/** How often small letters and capitals alternate. */
function changes(run: string): number {
  return (run.match(/[a-z](?=[A-Z])|[A-Z](?=[A-Z][a-z])/g) ?? []).length
}

/** Bits per character (Shannon). */
function entropy(text: string): number {
  const counts = new Map<string, number>()
  for (const one of text) counts.set(one, (counts.get(one) ?? 0) + 1)
  return [...counts.values()].reduce((sum, count) => sum - (count / text.length) * Math.log2(count / text.length), 0)
}
