import { describe, expect, test } from 'bun:test'
import { fit, openScreen } from '../../lib/output/screen.ts'

function recorded(size = { rows: 24, columns: 80 }) {
  const writes: string[] = []
  const screen = openScreen({ failure: undefined, write: (text) => void writes.push(text) }, () => size)
  return { screen, writes }
}

describe('a screen', () => {
  test('shows each text with one write, in place of the one before, and gives the terminal back', () => {
    const { screen, writes } = recorded()
    screen.close() // nothing was shown: the terminal is as it was
    screen.draw(['one', 'two'])
    screen.draw(['three'])
    screen.close()
    screen.close()
    expect(writes).toEqual([
      '\x1b[?1049h\x1b[?25l\x1b[?2026h\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J\x1b[?2026l',
      '\x1b[?2026h\x1b[Hthree\x1b[K\x1b[J\x1b[?2026l',
      '\x1b[?25h\x1b[?1049l',
    ])
  })

  test('is cut to the size of the terminal, again for each text', () => {
    const size = { rows: 24, columns: 80 }
    const { screen, writes } = recorded(size)
    screen.draw(['0123456789'])
    size.columns = 5
    screen.draw(['0123456789'])
    expect(writes.map((text) => text.includes('0123456789'))).toEqual([true, false])
    expect(writes[1]).toContain('\x1b[H0123…\x1b[K')
  })
})

describe('lines fit', () => {
  const fitted = (lines: string[], rows: number, columns: number) => fit(lines, { rows, columns })

  test('if they are short and few', () => {
    expect(fitted(['a', 'b'], 2, 1)).toEqual(['a', 'b'])
  })

  test('cut at their end; wide characters count two, colours none, and a cut colour ends', () => {
    expect(fitted(['日本語'], 1, 5)).toEqual(['日本…'])
    expect(fitted(['\x1b[31mred\x1b[39m'], 1, 3)).toEqual(['\x1b[31mred\x1b[39m'])
    expect(fitted(['\x1b[31mreddish\x1b[39m'], 1, 4)).toEqual(['\x1b[31mred\x1b[39m…'])
  })

  test('those that are too many are counted', () => {
    expect(fitted(['a', 'b', 'c', 'd'], 3, 80)).toEqual(['a', 'b', '… 2 more lines'])
    expect(fitted(['a', 'b'], 1, 4)).toEqual(['… 2…'])
  })
})
