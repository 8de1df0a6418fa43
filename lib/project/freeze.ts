import { hostname } from 'node:os'
import { dirname } from 'node:path'
import type { Host } from '../hosts/host.ts'
import type { LockWorld } from '../lock/environment-lock.ts'
import { asState, lockFiles, readHold, removeDescription, withStateLock, writeDescription } from '../lock/files.ts'
import type { Freeze, LockState } from '../lock/holder.ts'
import { lockLines, type Obstacle, refusal, shortDuration, waitingText } from '../lock/messages.ts'
import { protectFromGit } from '../system/protect-from-git.ts'
import { StagecraftError } from '../util/errors.ts'

interface HoldRequest {
  readonly stateFile: string
  readonly environment: string
  readonly message: string
}

/**
 * Freezes an environment until `releaseHold`. A run that is under way goes on. The same user may change the message.
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

/** Milliseconds between two checks whether a run is still under way. */
const POLL = 1_000

/**
 * Freezes an environment, and waits until no run is under way. It stays held also if the waiting fails.
 * @param request `wait`: milliseconds
 * @throws locked (7) if somebody else holds it, or a run is still under way when the time is over or a signal comes
 */
export async function holdAlone(
  host: Pick<Host, 'stateFile' | 'persist' | 'lookAtLock'>,
  { environment, message, wait }: Omit<HoldRequest, 'stateFile'> & { readonly wait: number },
  world: LockWorld,
): Promise<LockState> {
  holdLock({ stateFile: host.stateFile, environment, message }, world)
  await host.persist()
  const ends = world.clock.now() + wait
  let shown = false
  for (;;) {
    // Read after the hold was written: a run that has not seen the hold already has the lock.
    const lock = await host.lookAtLock(environment)
    if (lock.hold?.message !== message) throw anotherHold(environment, lock.hold, world)
    if (!lock.locked) return lock
    const left = ends - world.clock.now()
    if (left <= 0 || world.signal.aborted) throw stillAtWork({ environment, wait }, lock, world)
    if (!shown) world.emit({ type: 'waiting', environment, message: waitingText(obstacleOf(lock), wait) })
    shown = true
    await world.clock.sleep(Math.min(POLL, left))
  }
}

function obstacleOf({ holder }: LockState): Obstacle {
  return { kind: 'run', holder }
}

/** @returns the error if somebody else has held or released the environment at the same time */
function anotherHold(environment: string, hold: Freeze | undefined, { clock }: LockWorld): StagecraftError {
  if (hold === undefined)
    return new StagecraftError('locked', `Cannot hold ${environment}: somebody has released it meanwhile`, {
      hint: `See: stagecraft lock status --env ${environment}`,
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
    hint: `It is held: that run goes on, and no new one begins. Wait for its end with --wait 10m, or end the hold: stagecraft lock release --env ${environment}`,
  })
}

/** Ends a hold. @returns the hold, if there was one */
export function releaseHold(stateFile: string, environment: string): Freeze | undefined {
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
