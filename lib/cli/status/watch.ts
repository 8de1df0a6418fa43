import type { Result } from '../../output/contract/results.ts'
import { openScreen, type Screen, terminalSize } from '../../output/screen.ts'
import { createOutput } from '../../output/streams.ts'
import { currentIds } from '../../record/release-status.ts'
import { type Figures, NO_FIGURES } from '../../status/figures.ts'
import { formatWatched } from '../../status/watch-format.ts'
import { onTerminal, untilSignal } from '../../system/signals.ts'
import { formatTime } from '../../util/format.ts'
import type { Context } from '../command.ts'
import { type Eye, openEye, type Seen } from './eye.ts'
import { statusJson } from './json.ts'

/** All environments at one moment. */
interface Observation {
  /** milliseconds since the epoch */
  readonly at: number
  readonly seen: readonly Seen[]
  /** of each, in the same order */
  readonly figures: readonly Figures[]
}

/** What is done with observations: for a screen, for a pipe, or as JSON. */
interface Viewer {
  /** a first view, before it is measured; and while an engine takes long to answer */
  preview?(observation: Observation, waiting?: string): void
  show(observation: Observation): void
  end?(): void
}

/** Seconds after which it is shown that an answer is waited for: measuring takes two. */
const PATIENCE = 5

/**
 * Shows environments until a signal, or until the reader of the output has gone.
 * @param interval milliseconds from the end of one look to the beginning of the next
 * @returns the exit code
 */
export async function watchStatus(names: readonly string[], interval: number, context: Context): Promise<number> {
  const signal = untilSignal()
  const over = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  const eyes = names.map((name) => openEye(name, context))
  const viewer = openViewer(context, interval)
  context.onEnd(async () => {
    viewer.end?.()
    await Promise.all(eyes.map((eye) => eye.close()))
  })
  const goOn = () => !signal.aborted && !context.outputFailed()
  const work = async () => {
    for (let last: Observation | undefined; goOn(); ) {
      const report = (seconds: number) => {
        if (last && goOn()) viewer.preview?.(last, `waiting for an answer for ${seconds} s`)
      }
      const seen = await patiently(Promise.all(eyes.map((eye) => eye.look())), report)
      const at = context.clock()
      const pause = Bun.sleep(interval)
      if (goOn()) viewer.preview?.({ at, seen, figures: last?.figures ?? seen.map(() => NO_FIGURES) })
      last = { at, seen, figures: await patiently(measure(eyes, seen), report) }
      if (goOn()) viewer.show(last)
      if (goOn()) await pause
    }
  }
  await Promise.race([work(), over])
  return signal.aborted ? 128 + Number(signal.reason) : 0
}

function measure(eyes: readonly Eye[], seen: readonly Seen[]): Promise<Figures[]> {
  return Promise.all(eyes.flatMap((eye, at) => (seen[at] ? [eye.measure(seen[at])] : [])))
}

/** Waits for a promise, and reports every second for how long, once that is unusual. */
async function patiently<T>(work: Promise<T>, report: (seconds: number) => void): Promise<T> {
  let seconds = 0
  const timer = setInterval(() => {
    seconds += 1
    if (seconds >= PATIENCE) report(seconds)
  }, 1000)
  try {
    return await work
  } finally {
    clearInterval(timer)
  }
}

function openViewer(context: Context, interval: number): Viewer {
  if (context.report.mode === 'json') return jsonViewer(context)
  if (context.isTerminal(1) && context.env['TERM'] !== 'dumb') return screenViewer(context, interval)
  return blockViewer(context)
}

function jsonViewer({ report }: Context): Viewer {
  return {
    show({ at, seen, figures }) {
      const time = new Date(at).toISOString()
      for (const [index, each] of seen.entries())
        report.result('status', seenJson(each, figures[index], time), () => [])
    },
  }
}

function seenJson(seen: Seen, figures: Figures = NO_FIGURES, at: string): Result<'status'> {
  const { environment } = seen
  if ('error' in seen) {
    const { message, hint } = seen.error
    return { environment, at, as_released: false, engine: 'unreachable', error: { message, ...(hint ? { hint } : {}) } }
  }
  const { releases, interruptedIds: interrupted } = seen.status
  return statusJson(seen.status, { currents: currentIds(releases), interrupted }, { ...figures, at })
}

/** Without a terminal: a block with its time if anything but ages and figures has changed. */
function blockViewer(context: Context): Viewer {
  let before = ''
  return {
    show(observation) {
      const now = JSON.stringify(observation.seen.map((seen) => seenJson(seen, NO_FIGURES, '')))
      if (now === before) return
      before = now
      context.report.text([timeOf(observation), '', ...blocks(observation, context), ''])
    },
  }
}

/** On a terminal: in place. At the end the last view remains, below what was on the terminal before. */
function screenViewer(context: Context, interval: number): Viewer {
  const { report } = context
  const out = createOutput(1)
  const screen: Screen = openScreen(out, terminalSize)
  let last: readonly string[] = []
  let head = ''
  const draw = () => screen.draw(report.finished([head, '', ...last]))
  const preview = (observation: Observation, note = `every ${interval / 1000} s, Ctrl-C ends`) => {
    head = `${timeOf(observation)}  ${note}`
    last = blocks(observation, context)
    draw()
  }
  const off = onTerminal(draw, screen.close)
  return {
    preview,
    show: (observation) => preview(observation),
    end() {
      off()
      screen.close()
      if (last.length > 0) report.text([head.slice(0, TIME_WIDTH), '', ...last])
    },
  }
}

const TIME_WIDTH = 'yyyy-mm-dd hh:mm:ss'.length

function timeOf({ at }: Observation): string {
  return formatTime(new Date(at).toISOString())
}

function blocks({ at, seen, figures }: Observation, { report, isTerminal }: Context): string[] {
  const paint: typeof report.paint = isTerminal(1) ? report.paint : (_, text) => text
  return seen.flatMap((each, index) => {
    const lines =
      'error' in each
        ? [
            paint('bad', `${each.environment}: ${each.error.message}`),
            ...(each.error.hint ? [`  hint: ${each.error.hint}`] : []),
          ]
        : formatWatched(each.status, figures[index] ?? NO_FIGURES, at, paint)
    return index === 0 ? lines : ['', ...lines]
  })
}
