import { type ErrorReport, errorReport } from './error-report.ts'
import type { Event } from './events.ts'
import { formatBytes, formatDuration, pad, plainLine, plainText } from './format.ts'
import { createMask, type Mask } from './mask.ts'
import { PHASES } from './state-format.ts'

/** What a piece of a line says, for a terminal that has colours. */
export type Tone = 'good' | 'bad' | 'quiet' | 'notable'

export type Style = (tone: Tone, text: string) => string

export interface LineOptions {
  readonly mask: Mask
  /** Of the longest service name, where it is known. */
  readonly nameWidth: number
  /** Of the longest host name, where there are several. */
  readonly hostWidth?: number
  readonly style?: Style | undefined
}

const PHASE_WIDTH = Math.max(...PHASES.map((phase) => phase.length))
const STATUS_WIDTH = 'completed'.length
const DURATION_WIDTH = '12.3s'.length
const STEP_WIDTH = 'recreate'.length

const plain: Style = (_, text) => text

/** @returns whether an event is progress, which `--quiet` leaves out. */
export function isProgress(event: Event): boolean {
  return event.type !== 'warning' && event.type !== 'recovery'
}

/** @returns the lines of an event as text. A phase has one line, when it has ended. */
export function eventLines(event: Event, options: LineOptions): string[] {
  const style = options.style ?? plain
  const said = (text: string | undefined) => (text === undefined ? '' : options.mask.ours(plainLine(text)))
  switch (event.type) {
    case 'release':
      return [plainLine(`release ${event.id}  ${event.version} → ${event.environment}`)]
    case 'plan':
      return [] // what is done to each service is told when it is done
    case 'phase':
      return event.status === 'running' || event.status === 'pending' ? [] : [phaseLine(event, said(event.note), style)]
    case 'service':
      return [serviceLine(event, said(event.note), options, style)]
    case 'proxy':
      return [
        `  ${[...hostCell(event, options), pad('proxy', options.nameWidth), style('quiet', pad(event.step, STEP_WIDTH)), said(event.note)].join('  ')}`.trimEnd(),
      ]
    case 'sending':
      return [
        style('quiet', `  ${plainLine(event.host)}: sent ${formatBytes(event.bytes)} of ${formatBytes(event.total)}`),
      ]
    case 'output':
      return [style('quiet', `  | ${options.mask(plainText(event.line))}`)]
    case 'warning':
      return [
        `${style('notable', 'warning:')} ${event.host === undefined ? '' : `${plainLine(event.host)}: `}${said(event.message)}`,
        ...hintLines(event.hint, options.mask),
      ]
    case 'waiting':
      return [`${style('quiet', 'waiting:')} ${said(event.message)}`]
    case 'recovery':
      return [`${style('notable', 'recovery:')} ${said(event.message)}`]
  }
}

/** What a phase came to, on one line: also used where a release is shown. */
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

function serviceLine(event: Event & { type: 'service' }, note: string, options: LineOptions, style: Style): string {
  const step = style(toneOf(event.step), pad(event.step, STEP_WIDTH))
  const cells = [...hostCell(event, options), pad(plainLine(event.service), options.nameWidth), step, note]
  return `  ${cells.join('  ')}`.trimEnd()
}

/** Where there are several hosts, a column says which. */
function hostCell({ host }: { readonly host?: string }, { hostWidth = 0 }: LineOptions): string[] {
  return host === undefined ? [] : [pad(plainLine(host), hostWidth)]
}

function toneOf(word: string): Tone {
  if (word === 'completed' || word === 'ready') return 'good'
  if (word === 'failed') return 'bad'
  return word === 'restore' ? 'notable' : 'quiet'
}

/** @returns the lines of anything that was thrown, as they are printed without colours and secrets. */
export function formatError(error: unknown): string[] {
  return errorLines(errorReport(error, { verbose: false }), { mask: createMask([]) })
}

/** The message, whole what a program said, then what to do: spec/core/cli.md, Errors. */
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
