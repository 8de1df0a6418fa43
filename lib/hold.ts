import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { StagecraftError } from './errors.ts'
import type { Host } from './host.ts'
import type { Hold, LockState, LockWorld } from './lock.ts'
import { asState, lockFiles, readHold, removeDescription, withStateLock, writeDescription } from './lock-files.ts'
import { lockLines, type Obstacle, refusal, shortDuration, waitingText } from './lock-text.ts'
import { protectFromGit } from './state-file.ts'

/** Whom a hold is for, and what it says. */
export interface HoldRequest {
  readonly stateFile: string
  readonly environment: string
  readonly message: string
}

/**
 * Freezes an environment until `releaseHold`. A run that is under way goes on. The same user may say something else.
 * @throws locked (7) if somebody else holds it
 */
export function holdLock(request: HoldRequest, world: Pick<LockWorld, 'user' | 'clock'>): void {
  const { stateFile, environment, message } = request
  asState(request, () => {
    const { hold: file } = lockFiles(stateFile, environment)
    const now = world.clock.now()
    withStateLock(stateFile, () => {
      const hold = readHold(file)
      if (hold && hold.user !== world.user)
        throw refusal({ kind: 'hold', hold }, { stateFile, environment, command: 'hold', wait: 0 }, now)
      writeDescription(file, { user: world.user, machine: hostname(), since: new Date(now).toISOString(), message })
    })
    protectFromGit(dirname(dirname(file)))
  })
}

/** Milliseconds between two looks whether a run is still at work. */
const POLL = 1_000

/**
 * Freezes an environment of a host, and waits until no run is at work on it any more. In any case it is held then.
 * @param request `wait`: milliseconds
 * @throws locked (7) if somebody else holds it, or a run is still at work when the time is over or a signal comes
 */
export async function holdAlone(
  host: Pick<Host, 'stateFile' | 'persist' | 'lookAtLock'>,
  { environment, message, wait }: Omit<HoldRequest, 'stateFile'> & { readonly wait: number },
  world: LockWorld,
): Promise<LockState> {
  holdLock({ stateFile: host.stateFile, environment, message }, world)
  await host.persist()
  const ends = world.clock.now() + wait
  let told = false
  for (;;) {
    // Only now: a run that has not seen the hold has the lock already.
    const lock = await host.lookAtLock(environment)
    if (lock.hold?.message !== message) throw anotherHold(environment, lock.hold, world)
    if (!lock.locked) return lock
    const left = ends - world.clock.now()
    if (left <= 0 || world.signal.aborted) throw stillAtWork({ environment, wait }, lock, world)
    if (!told) world.emit({ type: 'waiting', environment, message: waitingText(obstacleOf(lock), wait) })
    told = true
    await world.clock.sleep(Math.min(POLL, left))
  }
}

function obstacleOf({ holder }: LockState): Obstacle {
  return { kind: 'run', holder }
}

/** Somebody was as quick as we. */
function anotherHold(environment: string, hold: Hold | undefined, { clock }: LockWorld): StagecraftError {
  if (hold === undefined)
    return new StagecraftError('locked', `Cannot hold ${environment}: somebody has released it meanwhile`, {
      hint: `Look with: stagecraft lock status --env ${environment}`,
    })
  return refusal({ kind: 'hold', hold }, { environment, command: 'hold', wait: 0, stateFile: '' }, clock.now())
}

function stillAtWork(
  { environment, wait }: { readonly environment: string; readonly wait: number },
  lock: LockState,
  { clock, signal }: LockWorld,
): StagecraftError {
  const [first = ''] = lockLines(environment, lock, clock.now())
  const number = signal.aborted ? Number(signal.reason) : undefined
  const why = number ? ` (ended by signal ${number})` : wait > 0 ? ` (waited ${shortDuration(wait)})` : ''
  return new StagecraftError('locked', `Cannot have ${environment} to yourself yet: ${first}${why}`, {
    ...(number ? { signal: number } : {}),
    hint: `It is held: that run goes on, and no other one begins. Wait for its end with --wait 10m, or end the hold: stagecraft lock release --env ${environment}`,
  })
}

/** Ends a hold. @returns it, if there was one */
export function releaseHold(stateFile: string, environment: string): Hold | undefined {
  return asState({ stateFile, environment }, () => {
    const { hold: file } = lockFiles(stateFile, environment)
    if (readHold(file) === undefined) return undefined
    return withStateLock(stateFile, () => {
      const hold = readHold(file)
      removeDescription(file)
      return hold
    })
  })
}
