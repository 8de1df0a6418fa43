import { shownLine } from '../util/format.ts'
import type { Style, Tone } from './lines.ts'

/**
 * Colours are added last, after escape sequences in foreign text were removed. Until then random marks stand for them.
 * @returns `style`, which marks a piece of a line, and `finished`, which turns a marked line into the printed one
 */
export function lastStep(style: Style | undefined): { style: Style | undefined; finished: (line: string) => string } {
  if (style === undefined) return { style, finished: shownLine }
  const mark = `\u0000${crypto.randomUUID()}:`
  const finished = (line: string) => {
    const [first = '', ...pieces] = line.split(mark)
    const styled = pieces.map((piece, at) => {
      if (at % 2 === 1) return shownLine(piece)
      const [tone = ''] = piece.split(':', 1)
      return style(tone as Tone, shownLine(piece.slice(tone.length + 1))) // the mark was made with a Tone
    })
    return [shownLine(first), ...styled].join('')
  }
  return { style: (tone, text) => `${mark}${tone}:${text}${mark}`, finished }
}
