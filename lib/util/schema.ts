import * as v from 'valibot'

/** What a schema describes, read-only. */
export type Of<S extends v.GenericSchema> = Immutable<v.InferOutput<S>>

type Immutable<T> = T extends object ? { readonly [K in keyof T]: Immutable<T[K]> } : T

/** a text, and what it is: the JSON Schema has it too */
export function text(description: string) {
  return v.pipe(v.string(), v.description(description))
}

/** any value, with a description */
export function described<const S extends v.GenericSchema>(schema: S, description: string) {
  return v.pipe(schema, v.description(description))
}
