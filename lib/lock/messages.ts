import { StagecraftError } from '../util/errors.ts'
import { formatDuration, formatTime, plainLine } from '../util/format.ts'
import type { Freeze, LockHolder, LockRequest, LockState } from './holder.ts'

/** Why the lock cannot be taken. A run that died keeps it until its last docker command has ended. */
export type Obstacle =
  | { readonly kind: 'run'; readonly holder: LockHolder | undefined }
  | { readonly kind: 'dead'; readonly holder: LockHolder; readonly lockFile: string }
  | { readonly kind: 'hold'; readonly hold: Freeze }

/** `deploy of v2 (rel-20261122-080225643)` */
function workOf({ command, version, release }: LockHolder): string {
  const of = version === undefined ? '' : ` of ${plainLine(version)}`
  return `${plainLine(command)}${of}${release === undefined ? '' : ` (${plainLine(release)})`}`
}

/** @returns the lines of `lock status`: the run under way, and the hold */
export function lockLines(environment: string, { locked, holder, holderDied, hold }: LockState, now: number): string[] {
  const lines: string[] = []
  if (locked && holderDied && holder)
    lines.push(`${environment} is locked by the last docker command of a run that died: ${full(holder, now)}`)
  else if (locked) lines.push(`${environment} is locked${holder ? `: ${full(holder, now)}` : ' by another run'}`)
  if (hold) lines.push(`${environment} is held by ${heldBy(hold, now)}`)
  return lines.length === 0 ? [`${environment} is free`] : lines
}

/** `ana on web-1 since 2026-11-22 03:12:07 (4m05s): "moving the database"` */
export function heldBy(hold: Freeze, now: number): string {
  return `${whoOf(hold)} ${sinceOf(hold, now)}: ${said(hold)}`
}

/** @returns the error of `lock release` if there is only a run, and no hold */
export function onlyRun(environment: string, { holder, holderDied }: LockState, now: number): StagecraftError {
  const what = holderDied ? 'the last docker command of a run that died has not ended' : 'a run is under way'
  const who = holder ? `: ${full(holder, now)}` : ''
  // No pid is printed for a run that died: another process may have it now.
  const hint = holderDied ? 'That command ends within two minutes, and releases the lock.' : howToEnd(holder)
  return new StagecraftError('locked', `Cannot release ${environment}: nobody holds it, but ${what}${who}`, { hint })
}

function howToEnd(holder: LockHolder | undefined): string {
  const how = holder ? ` To end it now: kill -INT ${holder.pid} (on ${plainLine(holder.machine)})` : ''
  return `A run releases the lock when it ends.${how}`
}

/** `ana on web-1` */
function whoOf({ user, machine }: LockHolder | Freeze): string {
  return `${plainLine(user)} on ${plainLine(machine)}`
}

/** `since 2026-11-22 03:12:07 (4m05s)`; @param now epoch milliseconds */
function sinceOf({ since }: LockHolder | Freeze, now: number): string {
  const begun = Date.parse(since)
  if (Number.isNaN(begun)) return 'since when is unknown'
  // Their clock may be ahead of ours.
  return `since ${formatTime(since)}${begun > now ? '' : ` (${formatDuration(now - begun)})`}`
}

/** @returns the error for a run that does not get the lock, or not in time */
export function refusal(obstacle: Obstacle, request: LockRequest, now: number): StagecraftError {
  const { reason, hint } = explain(obstacle, request, now)
  const waited = request.wait > 0 && obstacle.kind !== 'dead' ? ` (waited ${shortDuration(request.wait)})` : ''
  return new StagecraftError('locked', `${attempt(request)}: ${reason}${waited}`, { hint })
}

/** @returns the error for a command that a hook of the release that holds the lock has called */
export function heldByOwnHook({ holder }: Obstacle & { kind: 'run' }, request: LockRequest): StagecraftError {
  const of = holder ? ` of ${plainLine(holder.version ?? '')} (${plainLine(holder.release ?? '')})` : ''
  const hook = plainLine(process.env['STAGECRAFT_HOOK'] ?? '')
  return new StagecraftError(
    'locked',
    `${attempt(request)}: this is the hook ${hook}${of}, which holds the lock until it ends`,
    {
      hint: 'Allowed in a hook: status, logs, exec, run, plan, releases. What needs the lock must run after the release.',
    },
  )
}

/** @returns the error for a run that got a signal while waiting */
export function waitEnded(obstacle: Obstacle, request: LockRequest, signal: number): StagecraftError {
  return stoppedWaiting(request, forWhom(obstacle), signal)
}

/** Like waitEnded. @param forWhat what it waited for: `for …` */
export function stoppedWaiting(request: LockRequest, forWhat: string, signal: number): StagecraftError {
  const message = `${attempt(request)}: ended by signal ${signal} while waiting ${forWhat}`
  return new StagecraftError('locked', message, { signal, hint: 'Nothing was done.' })
}

/** `for ana on web-1 (deploy of v2 (rel-…), pid 4242, since …), for at most 5m` */
export function waitingText(obstacle: Obstacle, limit: number): string {
  return `${forWhom(obstacle)}, for at most ${shortDuration(limit)}`
}

/** @returns what the run waits for */
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

function explain(
  obstacle: Obstacle,
  { environment, command }: LockRequest,
  now: number,
): Record<'reason' | 'hint', string> {
  const isDev = command === 'dev'
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
        hint: isDev
          ? `End it there with Ctrl-C${obstacle.holder ? `, or: kill -INT ${obstacle.holder.pid}` : ''}`
          : `Wait for it with --wait 10m, or look again with: stagecraft lock status --env ${environment}`,
      }
  }
}

function full(holder: LockHolder, now: number): string {
  return `${workOf(holder)} by ${whoOf(holder)}, pid ${holder.pid}, ${sinceOf(holder, now)}`
}

function details(holder: LockHolder): string {
  return `${workOf(holder)}, pid ${holder.pid}`
}

function said({ message }: Freeze): string {
  return `"${plainLine(message)}"`
}

/** What is tried with an environment, `%`; others are called by their command: `restart %`. */
const ATTEMPTS: Readonly<Record<string, string>> = {
  deploy: 'deploy to %',
  rollback: 'roll back %',
  dev: 'start %',
  down: 'take % down',
  'migrate run': 'migrate %',
  'proxy restart': 'restart the proxy of %',
  'state move': 'move the state of %',
}

/** `Cannot deploy to prod` */
function attempt({ command, environment }: Pick<LockRequest, 'command' | 'environment'>): string {
  return `Cannot ${(ATTEMPTS[command] ?? `${command} %`).replace('%', () => environment)}`
}

/** @returns a duration as it is typed: `5m`, `90s` */
export function shortDuration(milliseconds: number): string {
  for (const [unit, name] of [
    [3_600_000, 'h'],
    [60_000, 'm'],
    [1000, 's'],
  ] as const)
    if (milliseconds >= unit && milliseconds % unit === 0) return `${milliseconds / unit}${name}`
  return `${milliseconds}ms`
}
