import { readFileSync, unlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { linkTarget, writeFileAtomic } from './atomic-write.ts'
import { errnoOf } from './errors.ts'
import { withFileLock } from './flock.ts'
import type { Hold, Holder } from './lock.ts'
import { systemError } from './system-error.ts'

const MODES = { mode: 0o600, folderMode: 0o700 }

/** Milliseconds: whoever copies content may have to copy much of it. */
const CONTENT_LIMIT = 120_000

/** Where the locks of a state file stand: beside the file itself, so that all who reach it by links share them. */
export function locksFolder(stateFile: string): string {
  return join(dirname(linkTarget(resolve(stateFile))), 'locks')
}

/** The files that belong to the lock of one environment. Only the kernel's lock on `lock` counts, the others tell of it. */
export function lockFiles(stateFile: string, environment: string) {
  const folder = locksFolder(stateFile)
  const name = encodeURIComponent(environment)
  return {
    lock: join(folder, `${name}.lock`),
    alive: join(folder, `${name}.alive`),
    holder: join(folder, `${name}.json`),
    hold: join(folder, `${name}.hold.json`),
  }
}

/**
 * Reads, changes and writes the state file, or what else is short, while nobody else does.
 * @throws the system's error (`errnoOf`), state (9) if it is not to be had for 10 s, and what `act` throws
 */
export function withStateLock<T>(stateFile: string, act: () => T): T {
  return withFileLock(join(locksFolder(stateFile), 'state'), act)
}

/**
 * Changes what the content folder holds while nobody else does.
 * @throws state (9) if the lock is not to be had for 2 minutes, and what `act` throws
 */
export function withContentLock<T>(stateFile: string, act: () => T): T {
  const file = join(locksFolder(stateFile), 'content')
  try {
    return withFileLock(file, act, CONTENT_LIMIT)
  } catch (error) {
    throw systemError(`Cannot lock ${file}`, error)
  }
}

/** @returns what the file says; undefined if it is not there, or says nothing of use (it only describes). */
export function readHolder(file: string): Holder | undefined {
  return holderOf(readJson(file))
}

/** @param value JSON that came from anywhere */
export function holderOf(value: unknown): Holder | undefined {
  if (!isRecord(value) || typeof value['pid'] !== 'number' || !hasTexts(value, ['user', 'machine', 'command', 'since']))
    return undefined
  return value as unknown as Holder // as checked; the optional ones are only shown
}

/** @returns what the file says. A hold that cannot be understood still holds: somebody put it there. */
export function readHold(file: string): Hold | undefined {
  return holdOf(readJson(file), file)
}

/** @param file where it stands */
export function holdOf(value: unknown, file: string): Hold | undefined {
  if (value === undefined) return undefined
  const known = isRecord(value) && hasTexts(value, ['user', 'machine', 'since', 'message'])
  return known
    ? (value as unknown as Hold)
    : { user: 'somebody', machine: 'an unknown machine', since: '', message: `${file} cannot be read` }
}

export function writeDescription(file: string, value: Holder | Hold): void {
  writeFileAtomic(file, `${JSON.stringify(value, null, 2)}\n`, MODES)
}

/** @throws the system's error, but not where it is gone already */
export function removeDescription(file: string): void {
  try {
    unlinkSync(file)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

/** @returns what `act` does. @throws state (9) for an error of the system */
export function asState<T>(of: { readonly stateFile: string; readonly environment: string }, act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw systemError(`Cannot use the lock of ${of.environment} beside ${of.stateFile}`, error)
  }
}

/** @returns undefined if there is no such file, null if it is not JSON */
function readJson(file: string): unknown {
  try {
    return parseJson(readFileSync(file, 'utf8'))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}

/** @returns null for what is not JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function hasTexts(value: Record<string, unknown>, keys: readonly string[]): boolean {
  return keys.every((key) => typeof value[key] === 'string')
}
