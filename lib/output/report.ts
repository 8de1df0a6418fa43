import { createSecrets, type Mask, maskJson, type SecretSet } from '../secrets/mask.ts'
import { jsonLine } from '../util/format.ts'
import type { Result, ResultType } from './contract/results.ts'
import type { ErrorReport } from './error-report.ts'
import type { Emit, Event } from './events.ts'
import { lastStep } from './last-step.ts'
import { errorLines, eventLines, isProgress, reminderLine, type Style } from './lines.ts'
import type { OpenLive } from './live.ts'
import { namesOf } from './names.ts'
import { createProgress, isStep } from './progress.ts'
import { createReminder } from './reminder.ts'
import type { Output } from './streams.ts'

/** Prints all output (spec/core/cli.md, Output). Results go to stdout, progress and errors to stderr. */
export interface Reporter {
  readonly mode: ReportMode
  readonly emit: Emit
  /**
   * Prints the result of a command: as lines of text, or with `--json` as one object `{"v":1,"type":<type>,…value}`.
   * @param text called only if text is printed
   */
  result<T extends ResultType>(type: T, value: Result<T>, text: () => readonly string[]): void
  /** Prints a result that has no JSON: help, and what is not printed with `--json`. */
  text(lines: readonly string[]): void
  /** @returns lines as `result` prints them: masked, without anything that moves a cursor, coloured */
  finished(lines: readonly string[]): string[]
  /** marks a piece of a line of `result`: a terminal has a colour for it */
  readonly paint: Style
  /** printed as `•••` once they are added (spec/core/secrets.md) */
  readonly secrets: SecretSet
  /** Prints `shown` for a path of this machine from now on: the path is a local copy of a host's folder. */
  callPath(path: string, shown: string): void
}

type ReportMode = 'terminal' | 'plain' | 'json'

/** The reporter with the methods that only the dispatcher calls. */
export interface ReporterControl extends Reporter {
  error(error: ErrorReport): void
  /** Ends the output: prints the last JSON object, and what was held back for one write. */
  finish(exit: number, error?: ErrorReport): void
}

export interface ReporterOptions {
  readonly mode: ReportMode
  readonly quiet: boolean
  readonly verbose: boolean
  readonly stdout: Output
  readonly stderr: Output
  /** colours, for a terminal */
  readonly style?: Style
  /** for a terminal: shows what is under way. Without it, a line says so now and then */
  readonly openLive?: OpenLive | undefined
  /** for a terminal: what the characters of a line become that it cannot show */
  readonly spell?: ((line: string) => string) | undefined
  /** milliseconds of silence after which a line says what is waited for */
  readonly silence?: number
  /** hold stdout back and write it at once, at the end */
  readonly atOnce: boolean
}

export function createReporter(options: ReporterOptions): ReporterControl {
  const { mode, stdout, stderr } = options
  const secrets = createSecrets()
  const names = new Map<string, string>()
  const named = (text: string) => [...names].reduce((said, [path, shown]) => said.replaceAll(path, shown), text)
  const mask: Mask = Object.assign((text: string) => named(secrets.mask(text)), {
    ours: (text: string) => named(secrets.mask.ours(text)),
    find: secrets.mask.find,
  })
  const { style, finished } = lastStep(options.style)
  let [nameWidth, hostWidth] = [0, 0]
  let held = ''

  const print = (text: string) => {
    if (options.atOnce) held += text
    else stdout.write(text)
  }
  const printJson = (type: string, value: object) => print(`${jsonLine({ v: 1, type, ...value })}\n`)
  // Without secrets and names, long lists are not walked.
  const masked = (value: object): object => (secrets.isEmpty && names.size === 0 ? value : maskJson(value, mask))
  // Every line on a screen passes `finished`: no text in it can move the cursor, and only `style` colours it.
  const lines = (all: readonly string[]) => (all.length === 0 ? '' : `${all.map(finished).join('\n')}\n`)
  const hidden = (all: readonly string[], by: (line: string) => string = mask.ours) =>
    secrets.isEmpty && names.size === 0 ? all : all.map(by)
  const { spell = (line: string) => line } = options
  const finish = (line: string) => spell(finished(line))
  const lineOptions = () => ({ mask, nameWidth, hostWidth, style })
  const now = () => performance.now()
  const progress = createProgress()
  const live = options.openLive?.({ output: stderr, progress, lineOptions, finish, now })
  const say = (all: readonly string[]) => {
    if (live) live.print(all.map(finish))
    else if (all.length > 0) stderr.write(`${all.map(finish).join('\n')}\n`)
  }
  const remind = () => {
    const { title: phase, since } = progress
    const message = mask(progress.text(now()))
    if (mode === 'json') printJson('progress', { phase, duration_ms: Math.round(now() - since), message })
    else say([reminderLine(message)])
  }
  const isIdle = () => options.quiet || live !== undefined || progress.isIdle
  const reminder = createReminder({ isIdle, now }, remind, options.silence)

  const isWanted = (event: Event) => {
    if (event.type === 'progress') return false
    if (event.type === 'output' && !isNews(event)) return options.verbose
    return !options.quiet || !isProgress(event)
  }
  /** A live terminal has the steps of a phase below, and they stay only if it fails. */
  const staying = (event: Event): readonly Event[] => {
    if (!isWanted(event)) return []
    if (live === undefined || options.verbose || progress.phase === undefined) return [event]
    if (isStep(event) || event.type === 'output' || event.type === 'sending') return []
    return event.type === 'phase' && event.status === 'failed' ? [...progress.steps, event] : [event]
  }
  const learnWidths = ({ plan, host }: Event & { type: 'plan' }) => {
    const own = Math.max(0, ...plan.services.map(({ service }) => service.length))
    nameWidth = host === undefined ? own : Math.max(nameWidth, own) // one plan a host
    hostWidth = Math.max(hostWidth, host?.length ?? 0)
  }
  /** Nothing is under way any more, or it broke off. */
  const endProgress = () => {
    if (progress.isIdle) return
    const left =
      live === undefined || options.verbose ? [] : progress.steps.flatMap((step) => eventLines(step, lineOptions()))
    progress.clear()
    reminder.update()
    if (live) say(left)
  }

  return {
    mode,
    emit(event) {
      if (event.type === 'plan') learnWidths(event)
      const shown = staying(event)
      if (!options.quiet && !(event.type === 'output' && shown.length > 0)) progress.note(event, now())
      if (shown.length === 0) live?.update()
      else if (mode === 'json') {
        const { type, ...value } = event
        // Names are no secrets, and readers look up by them; a secret can equal a name (NODE_ENV=production).
        printJson(type, { ...masked(value), ...namesOf(event) })
      } else say(shown.flatMap((one) => eventLines(one, lineOptions())))
      if (shown.length > 0) reminder.printed()
      reminder.update()
    },
    result(type, value, text) {
      endProgress()
      if (mode === 'json') printJson(type, masked(value))
      else print(lines(hidden(text(), type === 'log' ? mask : mask.ours)))
    },
    text(all) {
      endProgress()
      print(lines(hidden(all)))
    },
    finished: (all) => hidden(all).map(finished),
    paint: style ?? ((_, text) => text),
    secrets,
    callPath: (path, shown) => void names.set(path, shown),
    error(error) {
      endProgress()
      say(errorLines(error, { mask, style }))
    },
    finish(exit, error) {
      endProgress()
      if (mode === 'json')
        printJson('finished', { exit, ...(error === undefined ? {} : { error: withoutStack(masked(error)) }) })
      if (held !== '') stdout.write(held)
      held = ''
    },
  }
}

/** What a build prints is for --verbose; what a migration or a hook prints is news. */
function isNews({ phase, hook }: Event & { type: 'output' }): boolean {
  return hook !== undefined || phase === 'migrate_pre' || phase === 'migrate_post'
}

function withoutStack(error: object): object {
  return Object.fromEntries(Object.entries(error).filter(([key]) => key !== 'stack'))
}
