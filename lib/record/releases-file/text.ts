import { StateFormatError } from './format.ts'
import { type Member, membersOf, type Span, scanObjects, skipSpace, textOf } from './json-scan.ts'

const OPEN_LIST = 91
const NO_RELEASES = Buffer.from('{"releases": []}')
const FIRST_INDENT = Buffer.from('\n    ')
const INDENT = Buffer.from(',\n    ')

/**
 * The text of a state file. It knows the position of each record, so that one can be changed without printing the others.
 * Records keep their bytes; the text around them is brought into the format's layout at the start.
 */
export class StateText {
  /** longer than the text: records grow by a few bytes at a time */
  #buffer: Buffer
  #length: number
  readonly #records: Span[]
  /** the position of the first record */
  readonly #open: number

  /**
   * @param bytes accepted by `parseReleases`; default: a file without releases
   * @throws StateFormatError if a key of the top level occurs twice
   */
  constructor(bytes: Uint8Array = NO_RELEASES) {
    const records: Span[] = []
    const members = membersOf(bytes, skipSpace(bytes, 0), (key, start) =>
      key === 'releases' && bytes[start] === OPEN_LIST
        ? scanObjects(bytes, start, (record) => records.push(record))
        : undefined,
    )
    refuseRepeatedKeys(members, 'the top level')
    const { head, tail } = frameOf(bytes, members)
    this.#open = head.length
    this.#records = spansFrom(head.length, records)
    const separated = records.flatMap(({ start, end }, index) => [indentOf(index), bytes.subarray(start, end)])
    this.#buffer = Buffer.concat([head, ...separated, tail])
    this.#length = this.#buffer.length
  }

  /** The whole text: a view that the next change invalidates. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  /** The text of a record: a view that the next change invalidates. */
  record(index: number): Uint8Array {
    const { start, end } = this.#span(index)
    return this.#buffer.subarray(start, end)
  }

  /** Adds a record after the last one. */
  append(record: Uint8Array): void {
    const at = this.#records.at(-1)?.end ?? this.#open
    const indent = indentOf(this.#records.length)
    this.#splice({ start: at, end: at }, Buffer.concat([indent, record]))
    this.#records.push({ start: at + indent.length, end: at + indent.length + record.length })
  }

  /** Replaces the text of a record. */
  replace(index: number, record: Uint8Array): void {
    const { start, end } = this.#span(index)
    this.#splice({ start, end }, record)
    const shift = record.length - (end - start)
    this.#records[index] = { start, end: end + shift }
    for (let later = index + 1; later < this.#records.length; later++) {
      const span = this.#span(later)
      this.#records[later] = { start: span.start + shift, end: span.end + shift }
    }
  }

  /** @returns the text with only these records */
  only(isKept: (index: number) => boolean): StateText {
    const kept = this.#records.flatMap((_, index) => (isKept(index) ? [this.record(index)] : []))
    const tail = this.bytes.subarray(this.#records.at(-1)?.end ?? this.#open)
    const separated = kept.flatMap((record, index) => [indentOf(index), record])
    return new StateText(Buffer.concat([this.bytes.subarray(0, this.#open), ...separated, tail]))
  }

  #span(index: number): Span {
    const span = this.#records[index]
    if (!span) throw new RangeError(`no record ${index}`)
    return span
  }

  #splice({ start, end }: Span, text: Uint8Array): void {
    const length = this.#length - (end - start) + text.length
    if (length > this.#buffer.length) this.#grow(length)
    this.#buffer.copyWithin(start + text.length, end, this.#length)
    this.#buffer.set(text, start)
    this.#length = length
  }

  #grow(length: number): void {
    const grown = Buffer.alloc(length + (length >> 3) + 4096)
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}

function indentOf(index: number): Buffer {
  return index === 0 ? FIRST_INDENT : INDENT
}

/** @returns the positions of the records when they follow each other from `open` on */
function spansFrom(open: number, records: readonly Span[]): Span[] {
  let at = open
  return records.map(({ start, end }, index) => {
    at += indentOf(index).length
    const span = { start: at, end: at + end - start }
    at = span.end
    return span
  })
}

/**
 * @param place what to call the object in an error
 * @returns the members of the object that opens at `open`
 * @throws StateFormatError if a key occurs twice: a parser uses the last one, and a rewrite would lose the other
 */
export function uniqueMembersOf(bytes: Uint8Array, open: number, place: string): Member[] {
  const members = membersOf(bytes, open)
  refuseRepeatedKeys(members, place)
  return members
}

function refuseRepeatedKeys(members: readonly Member[], place: string): void {
  const keys = new Set<string>()
  for (const { key } of members) {
    if (keys.has(key)) throw new StateFormatError(`${place} has the key ${JSON.stringify(key)} twice`)
    keys.add(key)
  }
}

/** @returns the text before and after the records, with the fields of other tools */
function frameOf(bytes: Uint8Array, members: readonly Member[]): { head: Buffer; tail: Buffer } {
  const at = members.findIndex(({ key }) => key === 'releases')
  const field = (member: Member) => `\n  ${member.keyText}: ${textOf(bytes, member)}`
  const before = members.slice(0, at).map((member) => `${field(member)},`)
  const after = members.slice(at + 1).map((member) => `,${field(member)}`)
  return {
    head: Buffer.from(`{${before.join('')}\n  "releases": [`),
    tail: Buffer.from(`\n  ]${after.join('')}\n}`),
  }
}
