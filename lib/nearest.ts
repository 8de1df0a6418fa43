/**
 * @returns the candidate that a mistyped name most likely meant, or undefined when none is near: at most a third of its
 * letters wrong. Two letters swapped count as one mistake. Of equally near ones the first.
 */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  // A name that long was no slip, and the comparison is quadratic.
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
  return best
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
