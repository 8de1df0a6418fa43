import type { ErrorReport } from './error-report.ts'
import type { Emit, Event } from './events.ts'
import { jsonLine, shownLine } from './format.ts'
import { createSecrets, type Mask, maskJson, type SecretSet } from './mask.ts'
import type { Output } from './output.ts'
import { errorLines, eventLines, isProgress, type Style, type Tone } from './report-lines.ts'

/** Prints everything Stagecraft says (spec/core/cli.md, Output). Results go to stdout; progress and errors to stderr. */
export interface Reporter {
  readonly mode: ReportMode
  readonly emit: Emit
  /**
   * The answer of a command. As text its lines; with `--json` one object `{"v":1,"type":<type>,…value}`.
   * @param text called only where text is printed.
   */
  result(type: string, value: object, text: () => readonly string[]): void
  /** What is printed as `•••` from when it is added on (spec/core/secrets.md) */
  readonly secrets: SecretSet
  /** From now on a path of this machine is called by what it stands for: the copy of a host's folder. */
  callPath(path: string, shown: string): void
}

export type ReportMode = 'terminal' | 'plain' | 'json'

/** The reporter, as the dispatcher has it. */
export interface ReporterControl extends Reporter {
  /** The error, on stderr. */
  error(error: ErrorReport): void
  /** The end of the output: the last JSON object, and whatever was held back for one write. */
  finish(exit: number, error?: ErrorReport): void
}

export interface ReporterOptions {
  readonly mode: ReportMode
  readonly quiet: boolean
  readonly verbose: boolean
  readonly stdout: Output
  readonly stderr: Output
  /** Colours, for a terminal. */
  readonly style?: Style
  /** Hold stdout back and write it at once, at the end. */
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
  // Where there are none, long lists are spared the walk.
  const masked = (value: object): object => (secrets.isEmpty && names.size === 0 ? value : maskJson(value, mask))
  // The only way to a screen: whoever wrote a line, nothing in it moves the cursor, and nothing but `style` colours it.
  const lines = (all: readonly string[]) => (all.length === 0 ? '' : `${all.map(finished).join('\n')}\n`)

  const isWanted = (event: Event) => {
    if (event.type === 'output') return options.verbose
    return !options.quiet || !isProgress(event)
  }

  return {
    mode,
    emit(event) {
      if (event.type === 'plan') {
        const own = Math.max(0, ...event.plan.services.map(({ service }) => service.length))
        nameWidth = event.host === undefined ? own : Math.max(nameWidth, own) // one plan a host
        hostWidth = Math.max(hostWidth, event.host?.length ?? 0)
      }
      if (!isWanted(event)) return
      if (mode === 'json') {
        const { type, ...value } = event
        // Names are what the reader looks up by, and no secrets; a secret can equal one (NODE_ENV=production).
        printJson(type, { ...masked(value), ...namesOf(event) })
      } else stderr.write(lines(eventLines(event, { mask, nameWidth, hostWidth, style })))
    },
    result(type, value, text) {
      if (mode === 'json') printJson(type, masked(value))
      else print(lines(secrets.isEmpty && names.size === 0 ? text() : text().map(type === 'log' ? mask : mask.ours)))
    },
    secrets,
    callPath: (path, shown) => void names.set(path, shown),
    error(error) {
      stderr.write(lines(errorLines(error, { mask, style })))
    },
    finish(exit, error) {
      if (mode === 'json')
        printJson('finished', { exit, ...(error === undefined ? {} : { error: withoutStack(masked(error)) }) })
      if (held !== '') stdout.write(held)
      held = ''
    },
  }
}

/**
 * Colours are put on last, once nothing of others can be one: until then they are marks that nobody else knows.
 * @returns what marks a piece of a line, and what makes the line that is printed of it
 */
function lastStep(style: Style | undefined): { style: Style | undefined; finished: (line: string) => string } {
  if (style === undefined) return { style, finished: shownLine }
  const mark = `\u0000${crypto.randomUUID()}:`
  const finished = (line: string) => {
    const [first = '', ...pieces] = line.split(mark)
    const styled = pieces.map((piece, at) => {
      if (at % 2 === 1) return shownLine(piece)
      const [tone = ''] = piece.split(':', 1)
      return style(tone as Tone, shownLine(piece.slice(tone.length + 1))) // it is what was marked with
    })
    return [shownLine(first), ...styled].join('')
  }
  return { style: (tone, text) => `${mark}${tone}:${text}${mark}`, finished }
}

function namesOf(event: Event): object {
  switch (event.type) {
    case 'release': {
      const { type: _, ...names } = event
      return names
    }
    case 'phase':
      return { phase: event.phase, status: event.status }
    case 'service':
      return { service: event.service, step: event.step, ...hostOf(event) }
    case 'plan':
    case 'proxy':
    case 'warning':
      return hostOf(event)
    case 'sending':
      return { host: event.host }
    case 'output':
      return { phase: event.phase }
    case 'waiting':
      return { environment: event.environment }
    case 'recovery':
      return { release: event.release, version: event.version, outcome: event.outcome }
    default:
      return {}
  }
}

function hostOf({ host }: { readonly host?: string }): object {
  return host === undefined ? {} : { host }
}

function withoutStack(error: object): object {
  return Object.fromEntries(Object.entries(error).filter(([key]) => key !== 'stack'))
}
