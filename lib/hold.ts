import { hostname } from 'node:os'
import { dirname } from 'node:path'
import type { Hold, LockWorld } from './lock.ts'
import { asState, lockFiles, readHold, removeDescription, withStateLock, writeDescription } from './lock-files.ts'
import { refusal } from './lock-text.ts'
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
