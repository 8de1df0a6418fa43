import { readFileSync, unlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { linkTarget, writeFileAtomic } from '../system/atomic-write.ts'
import { systemError } from '../system/errors.ts'
import { withFileLock } from '../system/flock.ts'
import { errnoOf } from '../util/errors.ts'
import type { Freeze, LockHolder } from './holder.ts'

const MODES = { mode: 0o600, folderMode: 0o700 }

/** Milliseconds to wait for the content lock: its holder may be copying much content. */
const CONTENT_LIMIT = 120_000

/** @returns the folder of the locks: next to the real state file, so that all links to it share them */
function locksFolder(stateFile: string): string {
  return join(dirname(linkTarget(resolve(stateFile))), 'locks')
}

/** @returns the files of an environment's lock. Only the kernel's lock on `lock` counts; the others describe it. */
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
 * Runs `act`, which must be short, while no other process changes the state file.
 * @throws the system's error (`errnoOf`), state (9) if the lock is not free within 10 s, and what `act` throws
 */
export function withStateLock<T>(stateFile: string, act: () => T): T {
  return withFileLock(join(locksFolder(stateFile), 'state'), act)
}

/**
 * Runs `act` while no other process changes the content folder.
 * @throws state (9) if the lock is not free within 2 minutes, and what `act` throws
 */
export function withContentLock<T>(stateFile: string, act: () => T): T {
  const file = join(locksFolder(stateFile), 'content')
  try {
    return withFileLock(file, act, CONTENT_LIMIT)
  } catch (error) {
    throw systemError(`Cannot lock ${file}`, error)
  }
}

/** @returns the description in the file; undefined if there is none, or it cannot be understood */
export function readHolder(file: string): LockHolder | undefined {
  return holderOf(readJson(file))
}

/** @param value JSON from any source */
export function holderOf(value: unknown): LockHolder | undefined {
  if (!isRecord(value) || typeof value['pid'] !== 'number' || !hasTexts(value, ['user', 'machine', 'command', 'since']))
    return undefined
  return value as unknown as LockHolder // optional fields are only shown
}

/** @returns the hold in the file. One that cannot be understood still counts. */
export function readHold(file: string): Freeze | undefined {
  return holdOf(readJson(file), file)
}

/** @param file the hold's file, for its message if the value cannot be understood */
export function holdOf(value: unknown, file: string): Freeze | undefined {
  if (value === undefined) return undefined
  const known = isRecord(value) && hasTexts(value, ['user', 'machine', 'since', 'message'])
  return known
    ? (value as unknown as Freeze)
    : { user: 'somebody', machine: 'an unknown machine', since: '', message: `${file} cannot be read` }
}

export function writeDescription(file: string, value: LockHolder | Freeze): void {
  writeFileAtomic(file, `${JSON.stringify(value, null, 2)}\n`, MODES)
}

/** @throws the system's error, except for a file that does not exist */
export function removeDescription(file: string): void {
  try {
    unlinkSync(file)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

/** @returns the result of `act`. @throws state (9) for an error of the system */
export function asState<T>(of: { readonly stateFile: string; readonly environment: string }, act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw systemError(`Cannot use the lock of ${of.environment} next to ${of.stateFile}`, error)
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

/** @returns null if it is not JSON */
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
