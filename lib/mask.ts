/** What stands in the place of a secret. */
export const MASK = '•••'

/** Shorter values are words and numbers: masking them would hide what is said, and hide nothing. */
const SHORTEST = 8

/**
 * @returns a function that replaces every exact occurrence of the values of 8 or more characters by `•••`. Of a value of
 * several lines its lines count too, because what programs print comes line by line. Occurrences that overlap or touch
 * become one.
 */
export function createMask(values: Iterable<string>): (text: string) => string {
  const secrets = [...new Set([...values].flatMap(parts))].toSorted((a, b) => b.length - a.length)
  if (secrets.length === 0) return (text) => text
  return (text) => {
    const hidden = occurrences(text, secrets)
    return hidden.length === 0 ? text : cover(text, hidden)
  }
}

function parts(value: string): string[] {
  const lines = value.split(/\r\n|\n|\r/)
  return [value, value.trim(), ...lines, ...lines.map((line) => line.trim())].filter((part) => part.length >= SHORTEST)
}

type Span = readonly [from: number, to: number]

function occurrences(text: string, secrets: readonly string[]): Span[] {
  const spans: Span[] = []
  for (const secret of secrets) {
    for (let at = text.indexOf(secret); at >= 0; at = text.indexOf(secret, at + 1)) spans.push([at, at + secret.length])
  }
  return spans.sort((a, b) => a[0] - b[0])
}

function cover(text: string, spans: readonly Span[]): string {
  let masked = ''
  let end = 0
  for (const [from, to] of spans) {
    if (from > end || masked === '') masked += text.slice(end, from) + MASK
    end = Math.max(end, to)
  }
  return masked + text.slice(end)
}

/** The same text masking over every string in a JSON object, keys left alone. */
export function maskJson(value: object, mask: (text: string) => string): object {
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, maskValue(item, mask)]))
}

function maskValue(value: unknown, mask: (text: string) => string): unknown {
  if (typeof value === 'string') return mask(value)
  if (Array.isArray(value)) return value.map((item) => maskValue(item, mask))
  return typeof value === 'object' && value !== null ? maskJson(value, mask) : value
}
