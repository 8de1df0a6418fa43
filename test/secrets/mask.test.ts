import { expect, test } from 'bun:test'
import { createMask, maskJson } from '../../lib/secrets/mask.ts'

test('createMask() hides every exact occurrence of values of eight characters or more', () => {
  const mask = createMask(['hunter22', 'short', 'p@ss$1.*w'])
  expect(mask('hunter22 is not hunter2, short stays, p@ss$1.*w=hunter22')).toBe(
    '••• is not hunter2, short stays, •••=•••',
  )
})

test('createMask() leaves nothing of values that contain or overlap each other', () => {
  const mask = createMask(['secret-1', 'secret-1-and-more', 'more-of-it'])
  expect(mask('<secret-1-and-more-of-it> <secret-1>')).toBe('<•••> <•••>')
})

test('createMask() hides a value of several lines as a whole and line by line', () => {
  const key = '-----BEGIN KEY-----\nMIIEvQIBADANBg\nab\n-----END KEY-----\n'
  const mask = createMask([key])
  expect(mask(`key: ${key}`)).toBe('key: •••')
  expect(mask('line MIIEvQIBADANBg!')).toBe('line •••!')
  expect(mask('ab stays')).toBe('ab stays')
})

test('createMask() takes blanks of a value for no piece of it', () => {
  const mask = createMask(['{ "uid":\n            "x7Kq93mZ0pL2vB8n"\n\t\t\t\t}        # k'])
  expect(mask('build            nothing')).toBe('build            nothing')
  expect(mask('build         "x7Kq93mZ0')).toBe('build•••')
})

test('createMask() of nothing changes nothing', () => {
  expect(createMask(['', 'a'])('a text')).toBe('a text')
})

test('maskJson() reaches every string and leaves keys and other values alone', () => {
  const mask = createMask(['hunter22'])
  expect(maskJson({ hunter22: ['x hunter22', { a: 'hunter22', n: 1, z: null, t: true }] }, mask)).toEqual({
    hunter22: ['x •••', { a: '•••', n: 1, z: null, t: true }],
  })
})
