import type { Tone } from '../../output/lines.ts'
import type { LogLine } from '../../status/logs.ts'
import type { Clock } from '../../system/clock.ts'
import { untilSignal } from '../../system/signals.ts'
import { parseDuration } from '../../util/duration.ts'
import { pad } from '../../util/format.ts'
import { usage } from '../arguments.ts'
import type { Context } from '../command.ts'

/** @throws usage (2) for what is no time */
export function checkTime(flag: string, value: string | undefined): void {
  if (value === undefined || parseDuration(value) !== undefined || !Number.isNaN(Date.parse(value))) return
  throw usage('logs', `"--${flag} ${value}" is no time`, {
    hint: 'For example: --since 10m, --since 2026-11-22T08:00:00Z',
  })
}

/** What it takes to follow a log. */
interface Follow<Line> {
  readonly clock: Clock
  /** ends it */
  readonly signal: AbortSignal
  readonly print: (line: Line) => void
}

/** Prints lines until Ctrl-C, or until the reader of the output has gone. @returns the exit code */
export async function followPrinting<Line>(
  context: Context,
  print: (line: Line) => void,
  follow: (how: Follow<Line>) => Promise<void>,
): Promise<number> {
  const signal = untilSignal()
  const ended = new AbortController()
  await follow({
    clock: { now: context.clock, sleep: (ms) => Bun.sleep(ms) },
    signal: AbortSignal.any([signal, ended.signal]),
    print(line) {
      print(line)
      if (context.outputFailed()) ended.abort()
    },
  })
  return signal.aborted ? 128 + Number(signal.reason) : 141
}

/** @returns the name before a line: aligned, and on a terminal each service has its colour. @param widest that is to be expected */
export function nameColumn(
  { report, isTerminal }: Context,
  services: readonly string[],
  widest: number,
): (service: string, name: string) => string {
  let width = widest
  const painted = isTerminal(1)
  return (service, name) => {
    width = Math.max(width, name.length)
    const tone: Tone = `name${(Math.max(0, services.indexOf(service)) % 6) as 0 | 1 | 2 | 3 | 4 | 5}`
    return painted ? report.paint(tone, pad(name, width)) : pad(name, width)
  }
}

/** @returns what prints lines of containers */
export function logPrinter(
  context: Context,
  { services, several }: { readonly services: readonly string[]; readonly several: boolean },
): (line: LogLine) => void {
  const widest = Math.max(...services.map((service) => service.length)) + '-1'.length
  const column = nameColumn(context, services, widest)
  return (log) => {
    const { host, service, container, line } = log
    const short = container.replace(/^.*?-(?=[^-]+-\d+$)/, '')
    context.report.result('log', log, () => [`${column(service, several ? `${host} ${short}` : short)} | ${line}`])
  }
}
