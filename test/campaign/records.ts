import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PHASES, type PhaseName } from '../../lib/plan/six-phases.ts'
import type { Journal } from '../../lib/record/journal.ts'
import { parseReleases, type Release } from '../../lib/record/releases-file/format.ts'
import type { Folder } from '../support/folder.ts'

const ENDED = ['completed', 'failed', 'skipped']

/** Every status that was acknowledged: printed, or in the file once. None of them may ever be lost. */
export class Acknowledged {
  readonly #seen = new Map<string, Map<PhaseName, string>>()

  /** @returns what an acknowledged status was, and is now, where that may not be. */
  observe(releases: readonly Release[]): string[] {
    const lost = [...this.#seen.keys()].filter((id) => !releases.some((release) => release.id === id))
    const changed = releases.flatMap(({ id, phases }) =>
      PHASES.flatMap((phase) => this.#note(id, phase, phases[phase])),
    )
    return [...lost.map((id) => `${id} is gone`), ...changed]
  }

  /** Takes the lines that a command printed with `--json`. */
  printed(events: readonly Event[]): void {
    let id = ''
    for (const event of events) {
      if (event.type === 'release') id = event.id ?? ''
      if (event.type === 'release' && !this.#seen.has(id)) this.#seen.set(id, new Map())
      if (event.type === 'phase' && event.phase && event.status) this.#note(id, event.phase, event.status)
    }
  }

  #note(id: string, phase: PhaseName, status: string): string[] {
    const release = this.#seen.get(id) ?? new Map<PhaseName, string>()
    this.#seen.set(id, release)
    const before = release.get(phase)
    const backwards = rank(status) < rank(before) || (rank(before) === 2 && status !== before)
    if (!backwards) release.set(phase, status)
    return backwards ? [`${phase} of ${id} was ${before} and is ${status}`] : []
  }
}

function rank(status: string | undefined): number {
  return status === undefined ? -1 : status === 'pending' ? 0 : status === 'running' ? 1 : 2
}

/** The fields of a `--json` line that are used here. */
export interface Event {
  readonly type: string
  readonly id?: string
  readonly phase?: PhaseName
  readonly status?: string
  readonly release?: string
  readonly outcome?: string
  readonly message?: string
  readonly exit?: number
}

/** @returns the JSON lines of an output, of which the last may be cut. */
export function eventsOf(output: string): Event[] {
  return output.split('\n').flatMap((line) => {
    try {
      return line.startsWith('{"v":1') ? [JSON.parse(line)] : []
    } catch {
      return []
    }
  })
}

/** Reads the state file, strictly by its format. @throws what is wrong with it */
export function readState(folder: Folder): readonly Release[] {
  const file = join(folder.here, '.stagecraft/releases.json')
  if (!existsSync(file)) return []
  const text = readFileSync(file, 'utf8')
  const releases = parseReleases(text)
  const escaped = (char: string) => `\\u00${char.charCodeAt(0).toString(16)}`
  const canonical = JSON.stringify({ releases }, null, 2).replace(/[<>&]/g, escaped)
  if (canonical !== text) throw new Error(`its text is not as the format has it:\n${text}`)
  return releases
}

export function isOpen({ phases }: Release): boolean {
  return PHASES.some((phase) => !ENDED.includes(phases[phase]))
}

/** Where a run was when it died. */
export interface Moment {
  /** a phase; of the rollout its step; or what lies outside of them */
  readonly at: string
  readonly release: Release | undefined
  /** the release was committed: it is live */
  readonly switched: boolean
}

/** @param known ids of the releases that were there before the run */
export function momentOf(folder: Folder, releases: readonly Release[], known: ReadonlySet<string>): Moment {
  const release = releases.findLast(({ id }) => !known.has(id))
  if (release === undefined) return { at: 'before the release', release, switched: false }
  const bundle = bundleOf(folder, release.id)
  const switched = bundle.switched_at !== undefined
  if (!isOpen(release)) return { at: 'after its end', release, switched }
  const phase = PHASES.find((name) => !ENDED.includes(release.phases[name])) ?? 'finalize'
  return { at: phase === 'rollout' ? `rollout: ${stepOf(bundle, switched)}` : phase, release, switched }
}

interface Kept {
  readonly switched_at?: string
  readonly journal?: Journal
}

function stepOf({ journal }: Kept, switched: boolean): string {
  return switched ? 'retire' : (journal?.step ?? 'plan')
}

function bundleOf(folder: Folder, id: string): Kept {
  const file = `.stagecraft/releases/${id}/release.json`
  return folder.exists(file) ? JSON.parse(folder.read(file)) : {}
}
