import * as v from 'valibot'
import { HOOK_NAMES } from '../../config/hooks.ts'
import { EXIT_CODES } from '../../util/errors.ts'
import { described } from '../../util/schema.ts'
import { EVENTS } from './events.ts'
import { document, duration, phase } from './release.ts'
import { RESULTS } from './results.ts'

const errorKinds = Object.keys(EXIT_CODES) as (keyof typeof EXIT_CODES)[] // all its keys are in its type

/** What is neither an event nor a result. */
const OTHERS = {
  // Not printed: hooks and webhooks get it.
  release: v.strictObject({
    ...document.entries,
    hook: v.exactOptional(v.picklist(HOOK_NAMES)),
    recovery: v.exactOptional(v.strictObject({ outcome: EVENTS.recovery.entries.outcome, message: v.string() })),
  }),
  progress: v.strictObject({ phase: v.exactOptional(phase), duration_ms: duration, message: v.string() }),
  finished: v.strictObject({
    exit: described(v.number(), 'the exit code'),
    error: v.exactOptional(
      v.strictObject({
        kind: v.picklist(errorKinds),
        message: v.string(),
        hint: v.exactOptional(v.string()),
        detail: v.exactOptional(described(v.string(), 'output of the program that failed')),
      }),
    ),
  }),
}

type Shape = v.StrictObjectSchema<v.ObjectEntries, undefined>

/** @returns every shape that a line of `--json` can have, by its type. For tests and the JSON Schema: the program checks no line */
export function lineShapes(): ReadonlyMap<string, readonly Shape[]> {
  const all = [EVENTS, RESULTS, OTHERS].flatMap((some) =>
    Object.entries<Shape | v.UnionSchema<Shape[], undefined>>(some),
  )
  const shapes = all.flatMap(([type, schema]) =>
    (schema.type === 'union' ? schema.options : [schema]).map((shape) => ({ type, line: lineOf(type, shape) })),
  )
  return new Map([...Map.groupBy(shapes, ({ type }) => type)].map(([type, own]) => [type, own.map(({ line }) => line)]))
}

function lineOf(type: string, shape: Shape): Shape {
  const line = v.strictObject({ v: v.literal(1), type: v.literal(type), ...shape.entries })
  const description = v.getDescription(shape)
  return description === undefined ? line : described(line, description)
}
