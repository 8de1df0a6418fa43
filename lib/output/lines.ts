import { PHASES } from '../plan/six-phases.ts'
import type { Mask } from '../secrets/mask.ts'
import { formatBytes, formatDuration, pad, plainLine, plainText } from '../util/format.ts'
import type { ErrorReport } from './error-report.ts'
import type { Event, ProxyStep, ServiceStep } from './events.ts'

/** What a piece of a line means. A terminal has a colour for each. */
export type Tone = 'good' | 'bad' | 'quiet' | 'notable' | `name${0 | 1 | 2 | 3 | 4 | 5}`

export type Style = (tone: Tone, text: string) => string

export interface LineOptions {
  readonly mask: Mask
  /** Of the longest service name; 0 if it is not known. */
  readonly nameWidth: number
  /** Of the longest host name, if there are several hosts. */
  readonly hostWidth?: number
  readonly style?: Style | undefined
}

const PHASE_WIDTH = Math.max(...PHASES.map((phase) => phase.length))
const STATUS_WIDTH = 'completed'.length
const DURATION_WIDTH = '12.3s'.length
const STEP_WIDTH = 'recreate'.length

/** Steps that are printed under another name than `--json` has for them. */
const STEP_WORDS: Partial<Record<Step['step'], string>> = {
  ready: 'healthy',
  switch: 'switched',
  remove: 'removed',
  mend: 'repair',
}

const plain: Style = (_, text) => text

/** @returns whether an event is progress, which `--quiet` leaves out. */
export function isProgress(event: Event): boolean {
  return event.type !== 'warning' && event.type !== 'recovery'
}

/** @returns an event as lines of text. A phase has one line, printed when it has ended. */
export function eventLines(event: Event, options: LineOptions): string[] {
  const style = options.style ?? plain
  const shown = (text: string | undefined) => (text === undefined ? '' : options.mask.ours(plainLine(text)))
  switch (event.type) {
    case 'release':
      return [plainLine(`release ${event.id}  ${event.version} → ${event.environment}`)]
    case 'adopted':
      return [plainLine(`adopted ${event.id}  ${adoptedText(event)}`)]
    case 'plan':
      return [] // each service has a line when something is done to it
    case 'phase':
      return event.status === 'running' || event.status === 'pending'
        ? []
        : [phaseLine(event, shown(event.note), style)]
    case 'service':
      return [stepLine(event, shown(event.note), options, style)]
    case 'proxy':
      return [stepLine({ ...event, service: 'proxy' }, shown(event.note), options, style)]
    case 'migration':
      return [stepLine({ ...event, service: event.database }, shown(event.note), options, style)]
    case 'hook':
      return [stepLine({ ...event, service: event.hook }, shown(event.note), options, style)]
    case 'sending':
      return [
        style('quiet', `  ${plainLine(event.host)}: sent ${formatBytes(event.bytes)} of ${formatBytes(event.total)}`),
      ]
    case 'output':
      return [
        style(
          'quiet',
          `  ${[...hostCell(event, options), `| ${cut(options.mask(plainText(event.line)))}`].join('  ')}`,
        ),
      ]
    case 'progress':
      return [
        `  ${[...hostCell(event, options), pad(plainLine(event.service), options.nameWidth), shown(event.message)].join('  ')}`,
      ]
    case 'warning':
      return [
        `${style('notable', 'warning:')} ${event.host === undefined ? '' : `${plainLine(event.host)}: `}${shown(event.message)}`,
        ...hintLines(event.hint, options.mask),
      ]
    case 'waiting':
      return [`${style('quiet', 'waiting:')} ${shown(event.message)}`]
    case 'recovery':
      return [`${style('notable', 'recovery:')} ${shown(event.message)}`]
  }
}

/** Letters of a line of output that are shown: some programs print megabytes without a line break. */
const MOST_LETTERS = 2_000

function cut(line: string): string {
  const left = line.length - MOST_LETTERS
  return left > 0 ? `${line.slice(0, MOST_LETTERS)}… (${left} more)` : line
}

function adoptedText({ containers, version }: Event & { type: 'adopted' }): string {
  const count =
    containers === 1 ? '1 container that no release made is' : `${containers} containers that no release made are`
  return `${count} kept as ${version}: a rollback goes back there`
}

/** Cells of a line that says what is waited for: it is one of many. */
const MOST_REMINDER = 120

/** What is waited for, in a log. */
export function reminderLine(message: string): string {
  return Bun.sliceAnsi(`  ${plainLine(message)}`, 0, MOST_REMINDER, '…')
}

/** How a phase ended, on one line. `releases show` prints it too. */
export function phaseLine(
  event: { readonly phase: string; readonly status: string; readonly duration_ms?: number },
  note: string,
  style: Style = plain,
): string {
  const status = style(toneOf(event.status), pad(event.status, STATUS_WIDTH))
  const duration = event.duration_ms === undefined ? '' : formatDuration(event.duration_ms)
  const columns = [pad(event.phase, PHASE_WIDTH), status, pad(duration, DURATION_WIDTH, 'right'), note]
  return columns.join('  ').trimEnd()
}

type Step = Pick<Event & { type: 'service' }, 'service' | 'host'> & {
  readonly step: ServiceStep | ProxyStep | (Event & { type: 'migration' | 'hook' })['step']
}

function stepLine(event: Step, note: string, options: LineOptions, style: Style): string {
  // A service that is ready with a note has ended, with 0: it is not healthy, but done.
  const word = event.step === 'ready' && note !== '' ? 'done' : (STEP_WORDS[event.step] ?? event.step)
  const step = style(toneOf(event.step), pad(word, STEP_WIDTH))
  const cells = [...hostCell(event, options), pad(plainLine(event.service), options.nameWidth), step, note]
  return `  ${cells.join('  ')}`.trimEnd()
}

/** If there are several hosts, the first column names the host. */
function hostCell({ host }: { readonly host?: string }, { hostWidth = 0 }: LineOptions): string[] {
  return host === undefined ? [] : [pad(plainLine(host), hostWidth)]
}

function toneOf(word: string): Tone {
  if (word === 'completed' || word === 'ready' || word === 'done') return 'good'
  if (word === 'failed') return 'bad'
  return word === 'restore' ? 'notable' : 'quiet'
}

/** The message, the whole output of the program that failed, the hint (spec/core/cli.md, Errors). */
export function errorLines(error: ErrorReport, options: Pick<LineOptions, 'mask' | 'style'>): string[] {
  const { mask, style = plain } = options
  return [
    style('bad', mask.ours(plainLine(error.message))),
    ...(error.detail === undefined ? [] : mask(plainText(error.detail)).split('\n')),
    ...hintLines(error.hint, mask),
    ...(error.stack === undefined ? [] : mask(plainText(error.stack)).split('\n')),
  ]
}

function hintLines(hint: string | undefined, mask: Mask): string[] {
  if (hint === undefined) return []
  return mask
    .ours(plainText(hint))
    .split('\n')
    .map((line, at) => (at === 0 ? `  hint: ${line}` : `        ${line}`))
}
