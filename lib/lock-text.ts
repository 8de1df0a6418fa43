import { StagecraftError } from './errors.ts'
import { formatDuration, formatTime, plainLine } from './format.ts'
import type { Hold, Holder, LockRequest, LockState } from './lock.ts'

/** Why the lock is not to be had. A run that died keeps it for as long as a docker command of it works. */
export type Obstacle =
  | { readonly kind: 'run'; readonly holder: Holder | undefined }
  | { readonly kind: 'dead'; readonly holder: Holder; readonly lockFile: string }
  | { readonly kind: 'hold'; readonly hold: Hold }

/** `deploy of v2 (rel-20261122-080225643)` */
export function workOf({ command, version, release }: Holder): string {
  const of = version === undefined ? '' : ` of ${plainLine(version)}`
  return `${plainLine(command)}${of}${release === undefined ? '' : ` (${plainLine(release)})`}`
}

/** What `lock status` says: who is at work there, and who froze it. */
export function lockLines(environment: string, { locked, holder, holderDied, hold }: LockState, now: number): string[] {
  const lines: string[] = []
  if (locked && holderDied && holder)
    lines.push(`${environment} is locked by the last docker command of a run that died: ${full(holder, now)}`)
  else if (locked) lines.push(`${environment} is locked${holder ? `: ${full(holder, now)}` : ' by another run'}`)
  if (hold) lines.push(`${environment} is held by ${heldBy(hold, now)}`)
  return lines.length === 0 ? [`${environment} is free`] : lines
}

/** `ana on web-1 since 2026-11-22 03:12:07 (4m05s): "moving the database"` */
export function heldBy(hold: Hold, now: number): string {
  return `${whoOf(hold)} ${sinceOf(hold, now)}: ${said(hold)}`
}

/** The error of who wants to end a hold, and there is only a run. */
export function onlyRun(environment: string, { holder, holderDied }: LockState, now: number): StagecraftError {
  const what = holderDied ? 'the last docker command of a run that died has not ended' : 'a run is under way'
  const who = holder ? `: ${full(holder, now)}` : ''
  // The number of one that died may be another process's by now.
  const hint = holderDied ? 'That command is ended within two minutes, and lets go then.' : howToEnd(holder)
  return new StagecraftError('locked', `Cannot release ${environment}: nobody holds it, but ${what}${who}`, { hint })
}

function howToEnd(holder: Holder | undefined): string {
  const how = holder ? ` To end it: kill -INT ${holder.pid} (on ${plainLine(holder.machine)})` : ''
  return `A run lets go by itself when it ends.${how}`
}

/** `ana on web-1` */
export function whoOf({ user, machine }: Holder | Hold): string {
  return `${plainLine(user)} on ${plainLine(machine)}`
}

/** `since 2026-11-22 03:12:07 (4m05s)`; @param now epoch milliseconds */
export function sinceOf({ since }: Holder | Hold, now: number): string {
  const begun = Date.parse(since)
  if (Number.isNaN(begun)) return 'since when is unknown'
  // Their clock may be ahead of ours.
  return `since ${formatTime(since)}${begun > now ? '' : ` (${formatDuration(now - begun)})`}`
}

/** The error of who does not get the lock, or does not want to wait any longer. */
export function refusal(obstacle: Obstacle, request: LockRequest, now: number): StagecraftError {
  const { reason, hint } = explain(obstacle, request, now)
  const waited = request.wait > 0 && obstacle.kind !== 'dead' ? ` (waited ${shortDuration(request.wait)})` : ''
  return new StagecraftError('locked', `${attempt(request)}: ${reason}${waited}`, { hint })
}

/** The error of who is told to stop while waiting. */
export function waitEnded(obstacle: Obstacle, request: LockRequest, signal: number): StagecraftError {
  return stoppedWaiting(request, forWhom(obstacle), signal)
}

/** The same, with whom or what was waited for: `for …`. */
export function stoppedWaiting(request: LockRequest, forWhat: string, signal: number): StagecraftError {
  const message = `${attempt(request)}: ended by signal ${signal} while waiting ${forWhat}`
  return new StagecraftError('locked', message, { signal, hint: 'Nothing was done.' })
}

/** `for ana on web-1 (deploy of v2 (rel-…), pid 4242, since …), for at most 5m` */
export function waitingText(obstacle: Obstacle, limit: number): string {
  return `${forWhom(obstacle)}, for at most ${shortDuration(limit)}`
}

/** Tells whom we wait for. */
function forWhom(obstacle: Obstacle): string {
  switch (obstacle.kind) {
    case 'hold':
      return `for ${whoOf(obstacle.hold)} to release the hold of ${formatTime(obstacle.hold.since)}: ${said(obstacle.hold)}`
    case 'dead':
      return `for the last docker command of a run that died to end (${details(obstacle.holder)}, by ${whoOf(obstacle.holder)})`
    case 'run':
      if (!obstacle.holder) return 'for another run'
      return `for ${whoOf(obstacle.holder)} (${details(obstacle.holder)}, since ${formatTime(obstacle.holder.since)})`
  }
}

function explain(obstacle: Obstacle, { environment }: LockRequest, now: number): { reason: string; hint: string } {
  switch (obstacle.kind) {
    case 'hold':
      return {
        reason: `it is held by ${heldBy(obstacle.hold, now)}`,
        hint: `Once that is done: stagecraft lock release --env ${environment}`,
      }
    case 'dead':
      return {
        reason: `the last docker command of a run that died has not ended: ${full(obstacle.holder, now)}`,
        hint: `"fuser -v ${obstacle.lockFile}" shows the process. End it, then run the command again.`,
      }
    case 'run':
      return {
        reason: `another run is under way${obstacle.holder ? `: ${full(obstacle.holder, now)}` : ''}`,
        hint: `Wait for it with --wait 10m, or look again with: stagecraft lock status --env ${environment}`,
      }
  }
}

function full(holder: Holder, now: number): string {
  return `${workOf(holder)} by ${whoOf(holder)}, pid ${holder.pid}, ${sinceOf(holder, now)}`
}

function details(holder: Holder): string {
  return `${workOf(holder)}, pid ${holder.pid}`
}

function said({ message }: Hold): string {
  return `"${plainLine(message)}"`
}

const ATTEMPTS: Readonly<Record<string, string>> = { deploy: 'deploy to', rollback: 'roll back' }

/** `Cannot deploy to prod` */
function attempt({ command, environment }: Pick<LockRequest, 'command' | 'environment'>): string {
  return `Cannot ${ATTEMPTS[command] ?? command} ${environment}`
}

/** As it is typed: `5m`, `90s`. */
export function shortDuration(milliseconds: number): string {
  for (const [unit, name] of [
    [3_600_000, 'h'],
    [60_000, 'm'],
    [1000, 's'],
  ] as const)
    if (milliseconds >= unit && milliseconds % unit === 0) return `${milliseconds / unit}${name}`
  return `${milliseconds}ms`
}
