import type { ComposeModel } from './compose.ts'
import type { Mask } from './mask.ts'
import { secretsOfModel } from './secrets.ts'

/** A piece of a text in a model, which nothing but the env files of its day says is secret. */
export interface SecretPlace {
  /** the keys that lead there, from the model on */
  readonly path: readonly string[]
  readonly from: number
  readonly to: number
}

/**
 * For a bundle, without a value of one.
 * @returns where in the services of a model secrets stand that `secretsOfModel` would not find by itself
 */
export function secretPlaces(model: ComposeModel, mask: Mask): { secret_at?: SecretPlace[] } {
  const obvious = new Set(secretsOfModel(model))
  const places: SecretPlace[] = []
  const walk = (value: unknown, path: readonly string[]) => {
    if (typeof value === 'string')
      for (const [from, to] of mask.find(value))
        if (!obvious.has(value.slice(from, to))) places.push({ path, from, to })
    if (typeof value !== 'object' || value === null) return
    for (const [key, item] of Object.entries(value)) walk(item, [...path, key])
  }
  walk(model.services, ['services'])
  return places.length === 0 ? {} : { secret_at: places }
}

/** @returns the secrets that stand at these places of a model. Places that it does not have say nothing. */
export function secretsAt(model: ComposeModel, places: readonly SecretPlace[] | undefined = []): string[] {
  return places.flatMap(({ path, from, to }) => {
    const text = path.reduce<unknown>((value, key) => member(value, key), model)
    return typeof text === 'string' && to <= text.length ? [text.slice(from, to)] : []
  })
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return (value as Record<string, unknown>)[key] // it is its own
}
