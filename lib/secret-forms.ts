/** Longer values have no other forms: nobody prints a file of that size in an URL. */
const MOST = 8 * 1024

/** Shorter forms would be found anywhere. */
const SHORTEST = 8

/** @returns how else programs print a value: escaped for JSON, Compose, a shell, HTML or an URL, in base64, in hex. */
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

/** As `%q` of Go prints it: docker and Compose quote so. */
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

/** Percent-encoded as a component, as a whole, as a form; a URL's own encoding undone. */
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

/** By itself, and in the midst of something else: what `user:password` becomes depends on the length of the user. */
function base64(value: string): string[] {
  const bytes = Buffer.from(value)
  const inner = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    const whole = Math.floor(((before + bytes.length) * 8) / 6) // what comes behind changes the character after it
    return text.slice(Math.ceil((before * 8) / 6), whole)
  })
  const all = [bytes.toString('base64'), ...inner]
  return [...all, ...all.map((text) => text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''))]
}

/** @returns the value as a terminal is given it: escape sequences and control characters are taken out there. */
export function withoutControls(value: string): string {
  return Bun.stripANSI(value).replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '')
}

/** One word or number, as our sentences have them. */
export function isWord(text: string): boolean {
  return /^\d+$/.test(text) || (text.length <= LONGEST_WORD && /^([a-z]+|[A-Z]+|[A-Z][a-z]+)$/.test(text))
}

const LONGEST_WORD = 16

/** Words with something between them, in any number: `my-database`, `correct horse`. */
export function isWordy(text: string): boolean {
  return /[A-Za-z0-9]/.test(text) && text.split(/[^A-Za-z0-9]+/).every((part) => part === '' || isWord(part))
}

/** @returns whether it looks like what a generator of keys made: long, without words, and little of it twice. */
export function looksRandom(value: string): boolean {
  if (value.length < 12 || /\s/.test(value) || !/^[\x21-\x7e]+$/.test(value) || isWordy(value)) return false
  const runs = value.match(/[A-Za-z0-9+/=]{12,}/g) ?? []
  return runs.some((run) => isMixture(run) && entropy(run) >= (/^[0-9a-f]+$/i.test(run) ? 2.6 : 3))
}

/** @returns whether letters, digits and other characters take turns, as in a password that was made. */
export function isScrambled(value: string): boolean {
  const others = value.match(/[^A-Za-z0-9]/g) ?? []
  return value.length >= 8 && !/\s/.test(value) && others.length * 4 >= value.length && new Set(others).size >= 3
}

/** A word has its capital in front and its number behind: `Production2024`. */
function isMixture(run: string): boolean {
  if (/^\d+$/.test(run) || isWord(run)) return false
  return /\d/.test(run) ? !/^[A-Za-z][a-z]+\d{1,6}$/.test(run) : changes(run) >= 3 || run.length > 2 * LONGEST_WORD
}

/** How often small letters and capitals, or letters and other characters, take turns. */
function changes(run: string): number {
  return (run.match(/[a-z](?=[A-Z])|[A-Z](?=[A-Z][a-z])/g) ?? []).length
}

/** Bits a character (Shannon). */
function entropy(text: string): number {
  const counts = new Map<string, number>()
  for (const one of text) counts.set(one, (counts.get(one) ?? 0) + 1)
  return [...counts.values()].reduce((sum, count) => sum - (count / text.length) * Math.log2(count / text.length), 0)
}
