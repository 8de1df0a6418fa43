import { describe, expect, test } from 'bun:test'
import { JsonSyntaxError, membersOf, scanObjects, scanText, textOf } from '../../lib/record/releases-file/json-scan.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

/** Where the scan of a text stopped, and why; undefined if it is JSON. */
function problemOf(text: string): [offset: number, problem: string] | undefined {
  try {
    scanText(bytes(text))
    return undefined
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    return [error.offset, error.message]
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const EOF = ', found the end of the file'

describe('scanText()', () => {
  test.each([
    ['', [0, `expected a value${EOF}`]],
    ['{"a": 1', [7, `expected "," or "}"${EOF}`]],
    ['[1, 2', [5, `expected "," or "]"${EOF}`]],
    ['"abc', [4, `expected the end of the string${EOF}`]],
    ['"a\\', [2, 'an unknown escape in a string']],
    ['"a\\q"', [2, 'an unknown escape in a string']],
    ['"\\u00g0"', [1, 'an unknown escape in a string']],
    ['"a\nb"', [2, 'an unescaped control character in a string']],
    ['{"a" 1}', [5, 'expected ":"']],
    ['{a: 1}', [1, 'expected a string']],
    ['{"a": 1,}', [8, 'expected a string']],
    ['[1,]', [3, 'expected a value']],
    ['[01]', [1, 'expected a value']],
    ['[+1]', [1, 'expected a value']],
    ['[1.]', [1, 'expected a value']],
    ['[nul]', [1, 'expected a value']],
    ['{} {}', [3, 'expected the end of the file']],
    ['\ufeff{}', [0, 'expected a value']],
    ['[1 2]', [3, 'expected "," or "]"']],
  ] as const)('says where %j stops being JSON', (text, expected) => {
    expect(problemOf(text)).toEqual([...expected])
  })

  test('accepts what the parser accepts, and nothing else', () => {
    const texts = [
      '{}',
      ' [ ] ',
      '-0',
      '1e400',
      '-1.50E+7',
      '"\\u00e9\\\\\\"\\/\\b\\f\\n\\r\\t"',
      '"é\u2028"',
      'null',
      'true',
    ]
    const nested = ['{"a":[{"b":{}},[[]],"]"]}', '\t[\r\n1 ,\n2]', '[false,{"":""}]']
    const wrong = [
      '01',
      '1.',
      '.5',
      '1e',
      'NaN',
      "'a'",
      '"\u0001"',
      '[',
      ']',
      '{"a"}',
      '[,]',
      'truefalse',
      '--1',
      '\v1',
      '"\\x41"',
    ]
    for (const text of [...texts, ...nested, ...wrong])
      expect([text, problemOf(text) === undefined]).toEqual([text, parses(text)])
  })

  test('ends with an error, not a full call stack, in a text of brackets only', () => {
    expect(problemOf('['.repeat(1_000_000))).toEqual([1001, 'more than 1000 levels of nesting'])
    expect(problemOf('{"a":'.repeat(1_000_000))).toEqual([5005, 'more than 1000 levels of nesting'])
  })
})

test('membersOf() gives each key decoded and as written, and the text of its value', () => {
  const text = bytes('{ "a\\u0062" : 1.0 , "": [ {"x":"}"} ], "é":"\\"" }')
  const found = membersOf(text, 0).map((member) => [member.key, member.keyText, textOf(text, member)])
  expect(found).toEqual([
    ['ab', '"a\\u0062"', '1.0'],
    ['', '""', '[ {"x":"}"} ]'],
    ['é', '"é"', '"\\""'],
  ])
})

test('scanObjects() gives the objects of a list, whatever their strings say', () => {
  const text = bytes('[ {"a":"}]\\"{"} ,{"b":[{},[1]],"c":"\\\\"},\n{}\t] ]')
  const found: string[] = []
  const end = scanObjects(text, 0, (span) => found.push(textOf(text, span)))
  expect(found).toEqual(['{"a":"}]\\"{"}', '{"b":[{},[1]],"c":"\\\\"}', '{}'])
  expect(end).toBe(text.length - 2)
})
