import { PHASES, type PhaseName } from '../plan/six-phases.ts'
import { type Bundle, readBundle } from './bundle.ts'
import { hasJournal } from './bundle-parts.ts'
import { isUnfinished, statusOf } from './release-status.ts'
import type { Release } from './releases-file/format.ts'

/** A release whose run died, or that has ended and has something left to undo or to finish. */
export interface Unsettled {
  readonly release: Release
  /** the phase that its run died in or was about to begin; undefined: it has ended */
  readonly phase: PhaseName | undefined
  /** undefined: its run died before writing one */
  readonly bundle: Bundle | undefined
  /** it reached its commit point: it is finished, not undone */
  readonly switched: boolean
  /** a later release did */
  readonly overtaken: boolean
}

/**
 * @param releases of one environment, newest first
 * @param hasDied called for releases that have not ended: whether their run has died
 * @returns them newest first: the last change is undone first. Nothing older than the live release is left to undo.
 * @throws state (9)
 */
export function findUnsettled(
  stateFile: string,
  releases: readonly Release[],
  hasDied: (release: Release) => boolean,
): Unsettled[] {
  const found: Unsettled[] = []
  let overtaken = false
  for (const release of releases) {
    const status = statusOf(release)
    const isOpen = isUnfinished(status)
    const phase = isOpen ? (status.phase ?? PHASES.find((name) => release.phases[name] === 'pending')) : undefined
    const bundle = overtaken && !isOpen ? undefined : readBundle(stateFile, release.id)
    const switched = bundle?.switched_at !== undefined
    const isLeft = () => !overtaken && bundle !== undefined && hasJournal(stateFile, bundle)
    if (isOpen ? hasDied(release) : isLeft()) found.push({ release, phase, bundle, switched, overtaken })
    if (switched) overtaken = true
  }
  return found
}
