import * as v from 'valibot'
import { HOOK_NAMES } from '../../config/hooks.ts'
import { plan } from '../../plan/schema.ts'
import { described, text } from '../../util/schema.ts'
import { duration, phase } from './release.ts'

const host = v.exactOptional(text('which of several hosts'))
const hook = v.picklist(HOOK_NAMES)

/** What happens while a command works, by the type of the line, without its `v` and `type`. */
export const EVENTS = {
  release: v.strictObject({ id: v.string(), version: v.string(), environment: v.string(), project: v.string() }),
  adopted: v.strictObject({
    id: v.string(),
    version: v.string(),
    containers: described(v.number(), 'how many containers that no release made are kept'),
  }),
  plan: v.strictObject({ plan, host }),
  phase: v.strictObject({
    phase,
    status: v.picklist(['pending', 'running', 'completed', 'failed', 'skipped']),
    duration_ms: v.exactOptional(duration),
    note: v.exactOptional(v.string()),
  }),
  service: v.strictObject({
    service: v.string(),
    step: v.picklist([
      ...(['hold', 'keep', 'create', 'rolling', 'recreate', 'renew', 'scale', 'run', 'schedule'] as const),
      ...(['wait', 'ready', 'failed', 'switch', 'drain', 'restore', 'remove'] as const),
    ]),
    note: v.exactOptional(v.string()),
    host,
  }),
  proxy: v.strictObject({
    step: described(v.picklist(['start', 'upgrade', 'mend']), '`mend`: it is repaired'),
    note: v.string(),
    host,
  }),
  migration: v.strictObject({ database: v.string(), step: v.picklist(['migrate', 'done']), note: v.string(), host }),
  sending: v.strictObject({
    host: v.string(),
    bytes: described(v.number(), 'of an image that is sent to a host: so many until now'),
    total: v.number(),
  }),
  hook: v.strictObject({ hook, step: v.picklist(['run', 'done', 'failed']), note: v.string() }),
  output: v.strictObject({
    phase,
    line: text('of a program, with --verbose; of a migration or a hook always'),
    hook: v.exactOptional(hook),
    host,
  }),
  warning: v.strictObject({ message: v.string(), hint: v.exactOptional(v.string()), host }),
  waiting: v.strictObject({ environment: v.string(), message: text('what it waits for, and for how long at most') }),
  recovery: v.strictObject({
    release: v.string(),
    version: v.string(),
    outcome: described(
      v.picklist(['undone', 'finished', 'nothing', 'not-undone']),
      'how a release ended whose run died: its changes were undone, or it is live, or it had changed nothing',
    ),
    message: v.string(),
  }),
}
