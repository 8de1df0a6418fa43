import { expect, test } from 'bun:test'
import { fencesOf } from '../support/golden.ts'

test('fencesOf() finds the blocks, their languages and golden names', () => {
  const markdown = [
    '# Title',
    '```sh',
    'stagecraft plan',
    '```',
    '```text golden=plan-first',
    'a',
    '',
    'b',
    '```',
  ].join('\n')
  expect(fencesOf(markdown)).toEqual([
    { language: 'sh', golden: undefined, line: 2, length: 1, content: 'stagecraft plan' },
    { language: 'text', golden: 'plan-first', line: 5, length: 3, content: 'a\n\nb' },
  ])
})

test('fencesOf() refuses a block that is never closed', () => {
  expect(() => fencesOf('```text\nx')).toThrow('the block that line 1 opens is never closed')
})
