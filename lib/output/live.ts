import { formatDuration } from '../util/format.ts'
import { createArea, cutLine, wrapLine } from './area.ts'
import { eventLines, type LineOptions, phaseLine } from './lines.ts'
import type { Progress } from './progress.ts'
import type { Output } from './streams.ts'

/** What a reporter shows on a terminal while something is under way. */
interface Live {
  /** prints finished lines that stay, above what is drawn */
  print(lines: readonly string[]): void
  /** draws, and goes on drawing as long as something is under way */
  update(): void
}

interface LiveSource {
  readonly output: Output
  readonly progress: Progress
  readonly lineOptions: () => LineOptions
  /** makes a line printable */
  finish(line: string): string
  now(): number
}

export type OpenLive = (source: LiveSource) => Live

interface Terminal {
  size(): { readonly columns: number; readonly rows: number }
  readonly unicode: boolean
}

/** Milliseconds between two frames. */
const FRAME = 100

const SIGNS = { unicode: ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'], ascii: ['|', '/', '-', '\\'] }

/** @returns what opens a display on a terminal. It draws ten times a second at most, whatever is reported to it. */
export const liveOn =
  ({ size, unicode }: Terminal): OpenLive =>
  (source) => {
    const drawing = createArea(source.output)
    const signs = unicode ? SIGNS.unicode : SIGNS.ascii
    let timer: Timer | undefined
    let frame = 0
    const print = (lines: readonly string[]) => {
      const { columns, rows } = size()
      const sign = signs[frame % signs.length] ?? ''
      // The last column stays free: a full line moves the cursor in some terminals. The cursor has the last row.
      const area = areaLines(source, sign, { columns: columns - 1, rows: rows - 1 })
      drawing.draw(
        lines.flatMap((line) => wrapLine(line, columns)),
        area.map((line) => cutLine(source.finish(line), columns - 1, unicode ? '…' : '...')),
        columns,
      )
      if (area.length === 0) {
        clearInterval(timer)
        timer = undefined
      } else timer ??= setInterval(next, FRAME).unref()
    }
    const next = () => {
      frame++
      print([])
    }
    return { print, update: () => timer ?? print([]) }
  }

/** @returns the lines of the area: the phase, what it is at with each service, and the last lines that its programs print */
function areaLines(
  { progress, lineOptions, now }: LiveSource,
  sign: string,
  { columns, rows }: { readonly columns: number; readonly rows: number },
): string[] {
  const { title: phase, isIdle, since } = progress
  if (isIdle || rows < 1) return []
  const options = lineOptions()
  const elapsed = now() - since
  const full = phase === undefined ? '' : phaseLine({ phase, status: `${sign} running`, duration_ms: elapsed }, '')
  const isShort = full === '' || full.length > columns
  const head = isShort ? `${sign} ${formatDuration(elapsed)} ${phase ?? ''}`.trimEnd() : full
  if (rows === 1) return [head]
  const whole = progress.rows(rows - 1)
  if (whole.left === 0) return [head, ...whole.shown.flatMap((row) => eventLines(row, options))]
  const { shown, left } = progress.rows(rows - 2)
  return [head, ...shown.flatMap((row) => eventLines(row, options)), `  ${left} more`]
}
