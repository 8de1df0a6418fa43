import * as v from 'valibot'
import { duration, orEmpty, shellCommand } from './fields.ts'

/** When a hook runs (spec/core/hooks.md), in the order of a release. */
export const HOOK_NAMES = [
  'before_build',
  'after_build',
  'before_push',
  'after_push',
  'before_migrate_pre',
  'after_migrate_pre',
  'before_rollout',
  'after_rollout',
  'before_migrate_post',
  'after_migrate_post',
  'before_finalize',
  'after_finalize',
  'on_failure',
  'on_interrupt',
] as const

export type HookName = (typeof HOOK_NAMES)[number]

const HOOK = 'must be a command (a text, or a list of words), or a mapping with `command` and `timeout`'
const hook = v.union(
  [shellCommand, v.strictObject({ command: shellCommand, timeout: v.exactOptional(duration(1)) }, HOOK)],
  HOOK,
)

/** `hooks` of an environment. */
export const hooks = orEmpty(
  v.strictObject(
    Object.fromEntries(HOOK_NAMES.map((name) => [name, v.exactOptional(hook)])) as Record<
      HookName,
      v.ExactOptionalSchema<typeof hook, undefined>
    >,
    'must be a mapping of hooks',
  ),
)

/** A program of the user that runs on the machine of the person who deploys. */
export interface HookConfig {
  /** words */
  readonly command: readonly string[]
  /** milliseconds */
  readonly timeout: number
}

/** As long as a migration may take: a backup is the most common hook. */
const HOOK_TIMEOUT = 600_000

/** @returns them with what is not said in the file, in the order of a release */
export function toHooks(parsed: v.InferOutput<typeof hooks>): Partial<Record<HookName, HookConfig>> {
  const all = HOOK_NAMES.flatMap((name) => {
    const own = parsed?.[name]
    if (own === undefined) return []
    return [[name, { timeout: HOOK_TIMEOUT, ...('command' in own ? own : { command: own }) }] as const]
  })
  return Object.fromEntries(all)
}
