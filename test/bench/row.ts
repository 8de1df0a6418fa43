/** One line of the table: what was measured, what came out, what it may be at most. */
export type Row = { what: string; measured: string; limit: string; ok: boolean }

/** @returns the row of a ratio from pairs: each `ours` was measured right next to its `theirs`, in milliseconds. */
export function ratioRow(what: string, pairs: readonly { ours: number; theirs: number }[], limit?: number): Row {
  const ratio = median(pairs.map(({ ours, theirs }) => ours / theirs))
  const [ours, theirs] = [median(pairs.map((pair) => pair.ours)), median(pairs.map((pair) => pair.theirs))]
  const measured = `${ratio.toFixed(2)} × (${ours.toFixed(0)} ms against ${theirs.toFixed(0)} ms)`
  return {
    what,
    measured,
    limit: limit === undefined ? '(told only)' : `≤ ${limit} ×`,
    ok: limit === undefined || ratio <= limit,
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = Number.NaN, high = Number.NaN] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]]
  return (low + high) / 2
}
