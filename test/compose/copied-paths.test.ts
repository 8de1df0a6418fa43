import { describe, expect, test } from 'bun:test'
import { contentNotes, copiedPaths, dataNotes, keptText, listPaths } from '../../lib/compose/copied-paths.ts'
import { expectGolden } from '../support/golden.ts'

const file = (name: string, from?: string) => ({ name, hash: 'h', ...(from === undefined ? {} : { from }) })

describe('what a plan says of files', () => {
  test('names what is kept, what is made, and what is renewed', () => {
    const content = [file('./certs'), file('./nginx.conf'), file('config text'), file('secret token', './token.txt')]
    const data = [
      { path: './data', why: 'a service writes to it', creates: true },
      { path: './uploads', why: 'a service writes to it' },
      { path: './dumps', why: 'a service writes to it', creates: true },
      { path: './media', why: 'a service writes to it' },
      { path: '/etc/localtime', why: 'outside the project folder' },
      { path: '/srv/files', why: 'outside the project folder', creates: true },
    ]
    const notes = [...dataNotes(data), ...contentNotes(content)].map((note) => `note: ${note}`)
    expectGolden('commands/plan.md', 'files', notes.join('\n'))
    expect(keptText(content)).toBe('kept as they are now: ./certs, ./nginx.conf, ./token.txt')
    expect(keptText([file('config text')])).toBeUndefined()
    expect(contentNotes([file('./a')])).toEqual([
      './a is kept with the release: containers get a copy, and see later changes only after the next deploy',
    ])
  })

  test('names a path once, and not more than a line holds', () => {
    expect(copiedPaths([file('config a', './x'), file('./x'), file('secret b', '/etc/x')])).toEqual(['./x', '/etc/x'])
    expect(listPaths('abcdef'.split(''))).toBe('a, b, c, d, e, f')
    expect(listPaths('abcdefgh'.split(''))).toBe('a, b, c, d, e and 3 more')
  })
})
