import { describe, expect, test } from 'bun:test'
import { chmodSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { addIgnoreLines, withLines } from '../../lib/cli/init/ignore-files.ts'
import { scratch } from '../support/command-line.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

describe('addIgnoreLines()', () => {
  const add = (text: string | undefined, ...lines: string[]) => {
    const folder = temporary(scratch(text === undefined ? {} : { ignore: text }))
    const { change } = addIgnoreLines(join(folder.path, 'ignore'), lines)
    return [change, readFileSync(join(folder.path, 'ignore'), 'utf8')]
  }

  test('keeps every byte of what is there, and the line breaks it uses', () => {
    expect(add(undefined, 'a/')).toEqual(['created', 'a/\n'])
    expect(add('', 'a/')).toEqual(['changed', 'a/\n'])
    expect(add('x', 'a/', 'b')).toEqual(['changed', 'x\na/\nb\n'])
    expect(withLines('x\r\ny', ['a/'])).toBe('x\r\ny\r\na/\r\n')
  })

  test.each(['.stagecraft', '/.stagecraft/', '**/.stagecraft', '.stagecraft/*', '.stagecraft/**', ' .stagecraft/\r'])(
    'leaves a file alone that has %p',
    (line) => {
      expect(add(`${line}\n`, '.stagecraft/')).toEqual(['unchanged', `${line}\n`])
    },
  )

  test('adds the line again where a later one takes it back', () => {
    expect(add('.stagecraft\n!.stagecraft\n', '.stagecraft/')).toEqual([
      'changed',
      '.stagecraft\n!.stagecraft\n.stagecraft/\n',
    ])
    expect(add('# .stagecraft\nx.stagecraft\n', '.stagecraft/')[0]).toBe('changed')
  })

  test('keeps the permissions of a file', () => {
    const folder = temporary(scratch({ ignore: 'x\n' }))
    chmodSync(join(folder.path, 'ignore'), 0o640)
    addIgnoreLines(join(folder.path, 'ignore'), ['a'])
    expect(statSync(join(folder.path, 'ignore')).mode & 0o777).toBe(0o640)
  })
})
