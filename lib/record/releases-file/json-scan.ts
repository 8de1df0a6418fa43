/** A position in the bytes of a JSON text. `end` is the byte after it. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** A member of a JSON object: its key, decoded and as written, and the span of its value. */
export interface Member extends Span {
  readonly key: string
  readonly keyText: string
}

/** Thrown with the first place where a text is not JSON. */
export class JsonSyntaxError extends Error {
  readonly offset: number

  constructor(offset: number, problem: string) {
    super(problem)
    this.name = 'JsonSyntaxError'
    this.offset = offset
  }
}

const QUOTE = 34
const COMMA = 44
const COLON = 58
const OPEN_LIST = 91
const BACKSLASH = 92
const CLOSE_LIST = 93
const OPEN_OBJECT = 123
const CLOSE_OBJECT = 125

/** Deeper than any record is nested, and far from exhausting the call stack. */
const MAX_DEPTH = 1000

const ESCAPE = /^(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/
const SCALAR = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/
const SCALAR_BYTE = /[\w+.-]/

/** Checks a whole JSON text (RFC 8259). @throws JsonSyntaxError */
export function scanText(bytes: Uint8Array): void {
  const end = skipSpace(bytes, skipValue(bytes, skipSpace(bytes, 0)))
  if (end < bytes.length) throw unexpected(bytes, end, 'the end of the file')
}

/**
 * @param skip called for each value in order. It returns the value's end, or undefined to have the value skipped here.
 * @returns the members of the object that opens at `open`, in order. @throws JsonSyntaxError
 */
export function membersOf(
  bytes: Uint8Array,
  open: number,
  skip: (key: string, start: number) => number | undefined = () => undefined,
): Member[] {
  const members: Member[] = []
  skipContainer(bytes, open, CLOSE_OBJECT, (at) => {
    const keyEnd = skipString(bytes, at)
    const keyText = textOf(bytes, { start: at, end: keyEnd })
    const key: string = JSON.parse(keyText)
    const start = skipSpace(bytes, skipByte(bytes, skipSpace(bytes, keyEnd), COLON))
    const end = skip(key, start) ?? skipValue(bytes, start)
    members.push({ key, keyText, start, end })
    return end
  })
  return members
}

/**
 * Calls `each` with every object of the list of objects that opens at `open`. Only for a text that JSON.parse has accepted:
 * counting brackets takes a third of the time of a scan that checks. @returns the list's end
 */
export function scanObjects(bytes: Uint8Array, open: number, each: (object: Span) => void): number {
  let depth = 0
  let start = open
  for (let at = open + 1; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) at = closingQuote(bytes, at)
    else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      if (depth++ === 0) start = at
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
      if (depth === 0) return at + 1
      if (--depth === 0) each({ start, end: at + 1 })
    }
  }
  throw unexpected(bytes, bytes.length, '"]"')
}

function closingQuote(bytes: Uint8Array, open: number): number {
  let at = open + 1
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at
}

/** @returns the text of a span of UTF-8 bytes */
export function textOf(bytes: Uint8Array, span: Span): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + span.start, span.end - span.start).toString()
}

/** @returns the position of the first byte at or after `at` that is not white space */
export function skipSpace(bytes: Uint8Array, at: number): number {
  let next = at
  for (; ; next++) {
    const byte = bytes[next]
    if (byte !== 32 && byte !== 10 && byte !== 13 && byte !== 9) return next
  }
}

function skipValue(bytes: Uint8Array, at: number, depth = 0): number {
  if (depth > MAX_DEPTH) throw new JsonSyntaxError(at, `more than ${MAX_DEPTH} levels of nesting`)
  switch (bytes[at]) {
    case QUOTE:
      return skipString(bytes, at)
    case OPEN_LIST:
      return skipContainer(bytes, at, CLOSE_LIST, (start) => skipValue(bytes, start, depth + 1))
    case OPEN_OBJECT:
      return skipContainer(bytes, at, CLOSE_OBJECT, (start) => {
        const colon = skipSpace(bytes, skipString(bytes, start))
        return skipValue(bytes, skipSpace(bytes, skipByte(bytes, colon, COLON)), depth + 1)
      })
    default:
      return skipScalar(bytes, at)
  }
}

function skipContainer(bytes: Uint8Array, open: number, close: number, skipItem: (start: number) => number): number {
  let at = skipSpace(bytes, open + 1)
  if (bytes[at] === close) return at + 1
  for (;;) {
    at = skipSpace(bytes, skipItem(at))
    if (bytes[at] === close) return at + 1
    if (bytes[at] !== COMMA) throw unexpected(bytes, at, `"," or "${String.fromCharCode(close)}"`)
    at = skipSpace(bytes, at + 1)
  }
}

function skipString(bytes: Uint8Array, open: number): number {
  if (bytes[open] !== QUOTE) throw unexpected(bytes, open, 'a string')
  for (let at = open + 1; ; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH) at += escapeLength(bytes, at)
    else if (byte === undefined) throw unexpected(bytes, at, 'the end of the string')
    else if (byte < 32) throw new JsonSyntaxError(at, 'an unescaped control character in a string')
  }
}

function escapeLength(bytes: Uint8Array, at: number): number {
  const sequence = ESCAPE.exec(String.fromCharCode(...bytes.subarray(at + 1, at + 6)))
  if (!sequence) throw new JsonSyntaxError(at, 'an unknown escape in a string')
  return sequence[0].length
}

function skipScalar(bytes: Uint8Array, start: number): number {
  let end = start
  let text = ''
  for (;;) {
    const byte = bytes[end]
    const char = byte === undefined ? '' : String.fromCharCode(byte)
    if (!SCALAR_BYTE.test(char)) break
    text += char
    end++
  }
  if (!SCALAR.test(text)) throw unexpected(bytes, start, 'a value')
  return end
}

function skipByte(bytes: Uint8Array, at: number, byte: number): number {
  if (bytes[at] !== byte) throw unexpected(bytes, at, `"${String.fromCharCode(byte)}"`)
  return at + 1
}

function unexpected(bytes: Uint8Array, at: number, expected: string): JsonSyntaxError {
  const found = at < bytes.length ? '' : ', found the end of the file'
  return new JsonSyntaxError(at, `expected ${expected}${found}`)
}
