import { describe, expect, test } from 'bun:test'
import { canonical, sameContent } from '../../lib/util/canonical.ts'

describe('canonical()', () => {
  test('puts keys in order, at every depth, and leaves out what says nothing', () => {
    const value = { b: 1, a: { d: null, c: [{ z: 1, y: undefined }], e: {} }, f: { g: { h: null } }, i: '' }
    expect(JSON.stringify(canonical(value))).toBe('{"a":{"c":[{"z":1}]},"b":1,"i":""}')
  })
})

describe('sameContent()', () => {
  test.each<[unknown, unknown, boolean]>([
    [{ a: 1, b: 2 }, { b: 2, a: 1 }, true],
    [undefined, {}, true],
    [null, { a: null }, true],
    [{ a: [] }, {}, false],
    [{ a: [1, 2] }, { a: [2, 1] }, false],
    [{ a: '1' }, { a: 1 }, false],
    [{ a: false }, {}, false],
    [{ a: '' }, {}, false],
  ])('of %j and %j is %p', (a, b, same) => {
    expect(sameContent(a, b)).toBe(same)
  })
})
