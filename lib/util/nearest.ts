import { quote } from './format.ts'

/** Existing names that a hint lists; further ones are counted. */
const MOST_LISTED = 10

/** @returns the hint for a name that does not exist: `Did you mean "web"? Services: db, web` */
export function namesHint(label: string, name: string, names: readonly string[]): string {
  return `${didYouMean(name, names)}${label}: ${listed(names)}`
}

/** @returns `Did you mean "web"? `, to begin a hint with; empty if nothing is near. @param shown how the name is typed */
export function didYouMean(name: string, names: readonly string[], shown = (meant: string) => meant): string {
  const meant = nearest(name, names)
  return meant === undefined || meant === name ? '' : `Did you mean ${quote(shown(meant))}? `
}

function listed(names: readonly string[]): string {
  const rest = names.length - MOST_LISTED
  return (names.slice(0, MOST_LISTED).join(', ') || 'none') + (rest > 0 ? ` and ${rest} more` : '')
}

/**
 * @returns the candidate that a mistyped name most likely meant, or undefined if none is near. At most a third of the letters
 * may be wrong; two swapped letters count as one mistake. Among equally near ones the first wins. If none is, the only one that
 * contains the name is meant: `web-1` of `deploy@web-1`.
 */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  // So long a name is not a typo, and the comparison is quadratic.
  if (name.length > 64) return undefined
  let best: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    const mistakes = distance(name.toLowerCase(), candidate.toLowerCase())
    const allowed = Math.max(1, Math.floor(Math.max(name.length, candidate.length) / 3))
    if (mistakes <= allowed && mistakes < least) {
      best = candidate
      least = mistakes
    }
  }
  return best ?? onlyWith(name, candidates)
}

function onlyWith(part: string, candidates: readonly string[]): string | undefined {
  const found = part.length < 3 ? [] : candidates.filter((one) => one.toLowerCase().includes(part.toLowerCase()))
  return found.length === 1 ? found[0] : undefined
}

/** Damerau–Levenshtein distance, optimal string alignment. */
function distance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1] ? 0 : 1
      let cost = Math.min(at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + same)
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) cost = Math.min(cost, at(beforeLast, column - 2) + 1)
      current.push(cost)
    }
    beforeLast = last
    last = current
  }
  return at(last, b.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY
}
