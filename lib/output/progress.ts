import type { PhaseName } from '../plan/six-phases.ts'
import { formatBytes, formatDuration } from '../util/format.ts'
import type { Event } from './events.ts'

/** What happens to a service, to the proxy or to a database, or a hook: each has a line. */
type Step = Event & { type: 'service' | 'proxy' | 'migration' | 'hook' }

/** What is under way on a host, or with a service there. */
type Row = Step | (Event & { type: 'progress' | 'sending' | 'output' })

/** Lines of a child's output that are remembered: more than are ever shown at once is of no use. */
const MOST_OUTPUT = 4
/** The first line of a build step, as BuildKit prints it. */
const BUILD_STEP = /^#\d+ \[/
const ENDED: ReadonlySet<Step['step']> = new Set(['hold', 'keep', 'ready', 'failed', 'switch', 'remove', 'done'])

/** What is under way, from the events so far: for a live display, and for a line that says what is waited for. */
export interface Progress {
  /** the phase that is running */
  readonly phase: PhaseName | undefined
  /** the phase that is running, or whose work is done outside a release */
  readonly title: PhaseName | undefined
  /** what the running phase has done so far */
  readonly steps: readonly Step[]
  readonly isIdle: boolean
  /** since when something is under way */
  readonly since: number
  note(event: Event, now: number): void
  /** forgets everything */
  clear(): void
  /** @returns at most `most` rows, and how many are left out: those of what has ended first */
  rows(most: number): { readonly shown: readonly Row[]; readonly left: number }
  /** @returns what is waited for, in one line */
  text(now: number): string
}

export function createProgress(): Progress {
  let phase: Progress['phase']
  let since = 0
  let steps: Step[] = []
  let rows = new Map<string, Step | (Event & { type: 'progress' | 'sending' })>()
  let printed: (Event & { type: 'output' })[] = []
  let buildStep: string | undefined

  const clear = () => {
    ;[steps, rows, printed, buildStep, phase] = [[], new Map(), [], undefined, undefined]
  }
  const keep = (event: Event & { type: 'output' }) => {
    if (event.line.trim() === '') return
    if (BUILD_STEP.test(event.line)) buildStep = event.line
    const own = [...printed.filter(({ host }) => host === event.host), event]
    const others = printed.filter(({ host }) => host !== event.host)
    printed = [...others, ...own.slice(event.host === undefined ? -MOST_OUTPUT : -1)]
  }
  const titleOf = () => phase ?? printed.at(-1)?.phase
  const open = () => [...rows.values()].filter((row) => !hasEnded(row))

  return {
    get phase() {
      return phase
    },
    get title() {
      return titleOf()
    },
    get steps() {
      return steps
    },
    clear,
    get isIdle() {
      return phase === undefined && rows.size === 0 && printed.length === 0
    },
    get since() {
      return since
    },
    note(event, now) {
      if (this.isIdle || event.type === 'phase') since = now
      if (event.type === 'phase') {
        clear()
        if (event.status === 'running') phase = event.phase
      } else if (event.type === 'output') keep(event)
      else if (event.type === 'progress' || event.type === 'sending') rows.set(nameOf(event), event)
      else if (isStep(event)) {
        // Outside a phase its line has been printed, and only a hook says when it has ended.
        if (phase === undefined && (event.type !== 'hook' || hasEnded(event))) rows.delete(nameOf(event))
        else rows.set(nameOf(event), event)
        if (phase !== undefined) steps.push(event)
      }
    },
    rows(most) {
      const all = [...rows.values()]
      const tail = printed.slice(-Math.max(1, most - all.length))
      const current = all.toSorted((a, b) => Number(hasEnded(a)) - Number(hasEnded(b)))
      const chosen = new Set(current.slice(0, Math.max(0, most - tail.length)))
      return {
        shown: [...all.filter((row) => chosen.has(row)), ...tail].slice(0, most),
        left: all.length - chosen.size,
      }
    },
    text(now) {
      const [first, ...others] = open()
      if (first !== undefined) {
        const more = others.length === 0 ? '' : `; ${others.length} more: ${others.map(nameOf).join(', ')}`
        return `${nameOf(first)}: ${stateOf(first)}${more}`
      }
      const said = buildStep ?? printed.at(-1)?.line
      const title = titleOf()
      const elapsed = `${title === undefined ? '' : `${title}: `}${formatDuration(now - since)}`
      return said === undefined ? elapsed : `${elapsed}, ${said}`
    },
  }
}

/** @returns whether an event is a step of something that a phase does */
export function isStep(event: Event): event is Step {
  return ['service', 'proxy', 'migration', 'hook'].includes(event.type)
}

function hasEnded(row: Row): boolean {
  return isStep(row) && ENDED.has(row.step)
}

function nameOf(row: Row): string {
  const host = 'host' in row && row.host !== undefined ? [row.host] : []
  return [...host, ...thingOf(row)].join(' ')
}

function thingOf(row: Row): string[] {
  if (row.type === 'service' || row.type === 'progress') return [row.service]
  if (row.type === 'migration') return [row.database]
  if (row.type === 'hook') return [row.hook]
  return row.type === 'proxy' ? ['proxy'] : []
}

function stateOf(row: Row): string {
  if (row.type === 'progress') return row.message
  if (row.type === 'output') return row.line
  if (row.type === 'sending') return `sent ${formatBytes(row.bytes)} of ${formatBytes(row.total)}`
  return row.note === undefined ? row.step : `${row.step} (${row.note})`
}
